"""One batch in the console: it moves by itself, and its buttons do what they say."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from infra.cli.mock.gate import NO_LIMITS, Capacity
from tests.console.batches import chat_line, chat_lines
from tests.console.conftest import Console
from tests.e2e.conftest import HomeInstance

# Collects every width that the bar says it has.
WATCH_BAR = """() => {
  window.seen = [];
  const bar = document.querySelector(".hero [role=progressbar]");
  const note = () => window.seen.push(Number(bar.getAttribute("aria-valuenow")));
  new MutationObserver(note).observe(bar, { attributeFilter: ["aria-valuenow"] });
  note();
}"""


def test_the_bar_of_a_running_batch_moves_to_the_end_without_a_reload(
    console: Console, home: HomeInstance
) -> None:
    batch = home.create(chat_lines(240), metadata={"name": "Moves by itself"})
    page = console.open_batch(batch.id)
    page.evaluate(WATCH_BAR)
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.locator("h1 + .badge")).to_have_text("Completed")
    seen = page.evaluate("window.seen")
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len(seen) > 2, seen
    expect(page.locator(".hero")).to_contain_text("240of 240 · 100 %")


def test_results_appear_as_they_come_and_show_their_json(console: Console, home: HomeInstance) -> None:
    batch = home.create(chat_lines(60))
    page = console.open_batch(batch.id)
    results = page.get_by_role("region", name="Results")
    expect(results.get_by_role("listitem")).to_have_count(60)
    last = results.get_by_role("listitem").last
    last.locator("summary").click()
    expect(last.locator("pre")).to_contain_text('"status_code": 200')


def test_cancel_asks_first_and_then_cancels(console: Console, home: HomeInstance) -> None:
    batch = home.create(chat_lines(2_000, latency=1))
    page = console.open_batch(batch.id)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it running").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert home.client.batches.retrieve(batch.id).status == "in_progress"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the batch").click()
    expect(page.locator("h1 + .badge")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert home.client.batches.retrieve(batch.id).status == "cancelled"


@pytest.fixture(scope="module")
def with_failures(home: HomeInstance) -> str:
    """A batch that has ended, with 3 of 20 lines failed."""
    batch = home.create(chat_lines(20, bad=3, latency=0.01), metadata={"name": "Has failures"})
    return home.wait(batch.id).id


def test_errors_are_grouped_by_code_with_examples(console: Console, with_failures: str) -> None:
    page = console.open_batch(with_failures)
    errors = page.get_by_role("region", name="Errors")
    expect(errors).to_contain_text("400 invalid_request_error3")
    expect(errors).to_contain_text("The request asks the mock for 400.line-0000, line-0001, line-0002")


def test_retry_creates_a_batch_of_the_failed_lines_and_shows_it(
    console: Console, home: HomeInstance, with_failures: str
) -> None:
    page = console.open_batch(with_failures)
    page.get_by_role("button", name="Retry failed").click()
    page.wait_for_url(lambda url: with_failures not in url)
    retried = home.client.batches.retrieve(page.url.rpartition("/")[2])
    assert (retried.metadata or {})["retry_of"] == with_failures
    expect(page.locator(".hero")).to_contain_text("of 3")
    page.get_by_role("link", name=with_failures[:18]).click()
    expect(page.locator(".hero")).to_contain_text("of 20")


@pytest.mark.parametrize(("button", "kind"), [("Results", "output"), ("Errors", "error")])
def test_a_download_has_the_content_of_the_file(
    console: Console, home: HomeInstance, with_failures: str, button: str, kind: str
) -> None:
    page = console.open_batch(with_failures)
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    batch = home.client.batches.retrieve(with_failures)
    assert waiting.value.suggested_filename == f"{with_failures}_{kind}.jsonl"
    assert Path(waiting.value.path()).read_text() == home.text(getattr(batch, f"{kind}_file_id"))


def test_an_invalid_input_file_is_explained_line_by_line(console: Console, home: HomeInstance) -> None:
    batch = home.create(b'{"custom_id": "a"}\nnot JSON\n')
    home.wait(batch.id)
    page = console.open_batch(batch.id)
    expect(page.get_by_role("status")).to_contain_text("The input file is not valid")
    expect(page.get_by_role("region", name="Errors")).to_contain_text(
        "This line is not parseable as valid JSON.line 2"
    )


def test_a_batch_that_waits_for_a_slot_says_so(console: Console, home: HomeInstance) -> None:
    running = [home.create(chat_lines(500, latency=1)) for _ in range(2)]
    waiting = home.create(chat_lines(5))
    page = console.open_batch(waiting.id)
    expect(page.get_by_role("status")).to_contain_text("Waiting for a slot")
    expect(page.locator("h1 + .badge")).to_have_text("Waiting")
    for batch in running:
        home.client.batches.cancel(batch.id)
    expect(page.locator("h1 + .badge")).to_have_text("Completed")
    expect(page.get_by_role("status")).to_have_count(0)


def test_a_batch_that_waits_for_the_endpoints_hours_says_when_they_begin(
    console: Console, home: HomeInstance
) -> None:
    batch = home.create(chat_lines(300))
    opens_at = int(time.time()) + 7_205
    console.page.route(
        "**/progress",
        lambda route: route.fulfill(
            json=route.fetch().json() | {"waits_for": "active_hours", "resumes_at": opens_at}
        ),
    )
    page = console.open_batch(batch.id)
    expect(page.get_by_role("status")).to_contain_text(re.compile("may be used again at .*, in 2 h"))
    home.client.batches.cancel(batch.id)
    page.unroute_all(behavior="wait")


@pytest.fixture
def refusing(home: HomeInstance) -> Iterator[HomeInstance]:
    """The server while its model refuses nearly everything."""
    home.upstream.set_capacity(Capacity(requests_per_second=0.1))
    yield home
    home.upstream.set_capacity(NO_LIMITS)


def test_a_batch_whose_endpoint_refuses_shows_its_last_words(
    console: Console, refusing: HomeInstance
) -> None:
    batch = refusing.create(chat_lines(40))
    page = console.open_batch(batch.id)
    callout = page.get_by_role("status")
    expect(callout).to_contain_text("The endpoint does not take requests")
    expect(callout).to_contain_text("429 Too many requests.")
    refusing.client.batches.cancel(batch.id)


def test_what_the_server_sends_is_text_and_never_html(console: Console, home: HomeInstance) -> None:
    name = "<img src=x onerror=alert(1)>"
    batch = home.create(chat_line("<b>id</b>", "<i>?</i>").encode(), metadata={"name": name, "<u>": "<s>"})
    home.wait(batch.id)
    page = console.open_batch(batch.id)
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Results")).to_contain_text("<b>id</b>")
    assert page.locator("main :is(b, i, u, s, img)").count() == 0


def test_an_unknown_batch_is_not_found(console: Console) -> None:
    console.watched.expected_statuses = {404}
    page = console.open("#/batches/batch_00000000000000000000000000000000")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("Not found.*batch_0000"))
    page.get_by_role("link", name="Batches").click()
    expect(page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()


def test_another_tenants_batch_is_not_found(console: Console, home: HomeInstance) -> None:
    console.watched.expected_statuses = {404}
    with home.client_of("other") as other:
        file = other.files.create(file=chat_lines(1), purpose="batch")
        batch = other.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    page = console.open(f"#/batches/{batch.id}")
    expect(page.get_by_role("alert")).to_contain_text("Not found")
