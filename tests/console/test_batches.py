"""The list of batches: live, searched and filtered, and smooth with a thousand of them."""

import pytest
from playwright.sync_api import Page, expect

from tests.console.batches import chat_lines
from tests.console.conftest import Console
from tests.console.pages import ListedBatches, batch_object
from tests.e2e.conftest import HomeInstance

# Counts what is written to the list, and how many rows are touched by it.
WATCH_LIST = """() => {
  window.written = { nodes: 0, rows: new Set(), added: 0, removed: 0 };
  new MutationObserver((records) => {
    for (const { target, addedNodes, removedNodes, type } of records) {
      const row = (target.nodeType === 1 ? target : target.parentElement).closest("li");
      window.written.nodes += 1;
      if (row) window.written.rows.add(row.querySelector("a").textContent);
      if (type === "childList" && target.tagName === "OL") {
        window.written.added += addedNodes.length;
        window.written.removed += removedNodes.length;
      }
    }
  }).observe(document.querySelector("ol.batches"), {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
}"""
RENDERED = """() => [...document.querySelectorAll("li.batch .badge")]
  .filter((each) => each.checkVisibility({ contentVisibilityAuto: true })).length"""


def wait_for_polls(page: Page, listed: ListedBatches, count: int) -> None:
    until = listed.polls + count
    while listed.polls < until:
        page.clock.run_for(1_000)
        page.wait_for_timeout(20)
    # The answer to the last one is shown.
    page.wait_for_timeout(100)


def scroll_to_end(page: Page, count: int) -> None:
    """Scroll until the list has this many batches."""
    rows = page.locator("li.batch")
    expect(rows).not_to_have_count(0)
    while (shown := rows.count()) < count:
        page.keyboard.press("End")
        expect(rows).not_to_have_count(shown)


@pytest.fixture
def console(console: Console) -> Console:
    """A console whose clock a test may advance, so as not to wait for the next poll."""
    console.page.clock.install()
    return console


def test_a_new_batch_appears_at_the_top_without_a_reload(console: Console, home: HomeInstance) -> None:
    earlier = home.create(chat_lines(1), metadata={"name": "Earlier"})
    home.wait(earlier.id)
    page = console.open()
    rows = page.locator("li.batch")
    expect(rows.first).to_contain_text("Earlier")
    home.create(chat_lines(200), metadata={"name": "Later"})
    page.clock.run_for(6_000)
    expect(rows.first).to_contain_text("Later")
    expect(rows.first).to_contain_text("of 200")
    expect(rows.nth(1)).to_contain_text("Earlier")
    expect(page.get_by_role("link", name="Later")).to_have_count(1)


@pytest.mark.parametrize(
    "query", ["Number 7", "000b5", "file-00000000000000000000000000000007", "EMBEDDINGS"]
)
def test_the_search_finds_names_ids_files_and_endpoints(console: Console, query: str) -> None:
    batches = [batch_object(number) for number in range(0x100, 0x110)]
    wanted = batch_object(7) | {
        "endpoint": "/v1/embeddings",
        "id": "batch_000b5",
        "metadata": {"a": "number 7"},
    }
    ListedBatches(console.page, [*batches, wanted])
    page = console.open()
    page.get_by_role("searchbox").fill(query)
    rows = page.locator("li.batch:visible")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("link")).to_have_attribute("href", "#/batches/batch_000b5")


def test_a_filter_shows_one_status_and_is_kept_on_the_way_back(console: Console) -> None:
    batches = [batch_object(i, "failed" if i % 5 == 0 else "completed") for i in range(20)]
    ListedBatches(console.page, batches)
    page = console.open()
    page.get_by_role("button", name="Failed", exact=True).click()
    expect(page.locator("li.batch:visible")).to_have_count(4)
    page.get_by_role("link", name="Files").click()
    page.go_back()
    expect(page.locator("li.batch:visible")).to_have_count(4)
    expect(page.get_by_role("button", name="Failed", exact=True)).to_have_attribute("aria-pressed", "true")


def test_with_a_thousand_batches_a_poll_writes_only_what_has_changed(console: Console) -> None:
    batches = [
        batch_object(i, "in_progress" if i < 3 else "completed", 10 if i < 3 else 100) for i in range(1_000)
    ]
    listed = ListedBatches(console.page, batches)
    page = console.open()
    scroll_to_end(page, 1_000)
    page.keyboard.press("Home")
    # What cannot be seen is not laid out.
    assert page.evaluate(RENDERED) < 60
    wait_for_polls(page, listed, 1)
    page.evaluate(WATCH_LIST)
    listed.batches[1] = batch_object(1, "in_progress", 50)
    wait_for_polls(page, listed, 2)
    written = page.evaluate("({...window.written, rows: [...window.written.rows]})")
    assert set(written["rows"]) <= {f"Batch number {i}" for i in range(3)}
    assert "Batch number 1" in written["rows"]
    assert (written["added"], written["removed"]) == (0, 0)
    assert written["nodes"] < 40, written
    expect(page.locator("li.batch").nth(1)).to_contain_text("50 of 100")


def test_older_batches_are_loaded_while_scrolling_and_stay_in_order(console: Console) -> None:
    ListedBatches(console.page, [batch_object(i) for i in range(180)])
    page = console.open()
    scroll_to_end(page, 180)
    names = page.locator("li.batch a").all_text_contents()
    assert names == [f"Batch number {i}" for i in range(180)]
    expect(page.get_by_role("button", name="Load older batches")).to_have_count(0)


def test_a_server_that_comes_back_is_asked_again(console: Console) -> None:
    listed = ListedBatches(console.page, [batch_object(1, "in_progress", 10)])
    page = console.open()
    expect(page.locator("#connection")).to_have_text("Live")
    console.watched.expected_statuses = {500}
    page.route("**/v1/batches?**", lambda route: route.fulfill(status=500, json={}), times=1)
    page.clock.run_for(2_000)
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    listed.batches[0] = batch_object(1, "in_progress", 90)
    wait_for_polls(page, listed, 1)
    expect(page.locator("li.batch")).to_contain_text("90 of 100")
    expect(page.locator("#connection")).to_have_text("Live")
