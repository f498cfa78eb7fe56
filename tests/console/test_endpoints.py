"""The page "Endpoints": the health of each inference endpoint, live, and the models that batches may use."""

from playwright.sync_api import Page, expect

from tests.console.conftest import Console
from tests.console.drafts import CLOSED, NOW, RESTING, UPSTREAM, Upstreams


def open_page(console: Console) -> Page:
    page = console.open("#/endpoints")
    expect(page.get_by_role("heading", name="Endpoints", exact=True)).to_be_visible()
    return page


def test_the_endpoint_of_the_server_is_shown_with_its_models(console: Console) -> None:
    page = open_page(console)
    endpoint = page.get_by_role("region", name="default")
    expect(endpoint).to_contain_text("Healthy")
    expect(endpoint.get_by_role("list", name="Models it takes")).to_have_text("*")
    expect(page.get_by_role("list", name="Models", exact=True)).to_contain_text("mock-small")


def test_each_endpoint_shows_its_limit_refusals_hours_and_last_error(console: Console) -> None:
    Upstreams(console.page, UPSTREAM, RESTING, CLOSED)
    page = open_page(console)
    expect(page.get_by_text("3 endpoints, 1 healthy")).to_be_visible()
    expected = {
        "gpu-box": ("Healthy", "38 of 64", "184.2K", "1.2K · 0.7 %", "takes requests", "qwen3-*llama-*"),
        "router": (
            "Resting",
            "4",
            "311 · 34 %",
            "tried again in 3",
            "429 rate_limit",
            "refuses requests",
        ),
        "night-cluster": ("Closed", "128 of 128", "22:00-06:00 UTC", "opens in 2 h"),
    }
    for name, texts in expected.items():
        for text in texts:
            expect(page.get_by_role("region", name=name)).to_contain_text(text)
    expect(page.get_by_role("meter", name="Limit of gpu-box")).to_have_attribute("aria-valuenow", "59")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert console.find_violations() == []


def test_a_change_is_shown_without_a_reload(console: Console) -> None:
    upstreams = Upstreams(console.page, UPSTREAM)
    page = open_page(console)
    expect(page.get_by_text("1 endpoint, all healthy")).to_be_visible()
    upstreams.data = [UPSTREAM | {"status": "resting", "resting_until": NOW + 600}]
    expect(page.get_by_role("region", name="gpu-box")).to_contain_text("Resting")
    expect(page.get_by_text("1 endpoint, 0 healthy")).to_be_visible()


def test_many_models_can_be_searched(console: Console) -> None:
    Upstreams(console.page, UPSTREAM)
    models = [{"id": f"model-{number}"} for number in range(300)]
    console.page.route("**/v1/models", lambda route: route.fulfill(json={"object": "list", "data": models}))
    page = open_page(console)
    listed = page.get_by_role("list", name="Models", exact=True).get_by_role("listitem")
    expect(listed).to_have_count(200)
    page.get_by_label("Search models").fill("MODEL-29")
    expect(listed).to_have_count(11)
