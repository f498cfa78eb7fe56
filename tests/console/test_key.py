"""The key of the console: asked once, kept in the tab, and explained if it is wrong."""

from playwright.sync_api import expect

from tests.console.conftest import Console
from tests.e2e.conftest import ACME


def test_the_key_is_asked_once_and_kept_in_the_tab_alone(console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage)") == [ACME]
    assert page.evaluate("localStorage.length") == 0
    assert console.context.cookies() == []
    other_tab = console.context.new_page()
    other_tab.goto(console.url)
    expect(other_tab.get_by_label("Key", exact=True)).to_be_focused()


def test_a_wrong_key_is_explained_and_the_right_one_may_follow(console: Console) -> None:
    console.watched.expected_statuses = {401}
    page = console.open(key="sk-wrong-0123456789abcdef")
    expect(page.get_by_role("alert")).to_contain_text("Incorrect API key provided: sk-****cdef")
    field = page.get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    assert field.get_attribute("aria-invalid") == "true"
    field.fill(ACME)
    page.get_by_role("button", name="Open the console").click()
    expect(page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()


def test_a_forgotten_key_is_asked_for_again(console: Console) -> None:
    page = console.open()
    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_page_that_cannot_be_loaded_says_so(console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()
    page.route("**/console/endpoints.js", lambda route: route.abort())
    console.watched.may_violate = True  # The browser logs what it could not load.
    page.get_by_role("link", name="Endpoints").click()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_the_address_is_kept_while_the_key_is_asked_for(console: Console) -> None:
    page = console.open("#/files")
    expect(page.get_by_role("heading", name="Files", exact=True)).to_be_visible()
