"""The page "Files": a list with search and filters, a preview of the beginning, download and delete."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.batches import chat_lines
from tests.console.conftest import Console
from tests.e2e.conftest import HomeInstance

LARGE_LINES = 20_000
PREVIEW_LINES = 50


@pytest.fixture(scope="module")
def file_ids(home: HomeInstance) -> Iterator[dict[str, str]]:
    """The files of the tenant, by name, the last one being the newest."""
    files = home.client.files
    data: dict[str, tuple[bytes, Any]] = {
        "notes.txt": (b"plain text", "user_data"),
        "few-lines.jsonl": (chat_lines(3), "batch"),
        "many-lines.jsonl": (chat_lines(LARGE_LINES), "batch"),
        'a <b>"bold"</b> name.jsonl': (chat_lines(1), "batch"),
    }
    batch = home.wait(home.create(chat_lines(4, latency=0.01), metadata={"name": "Of the results"}).id)
    made = {
        name: files.create(file=(name, text), purpose=purpose).id for name, (text, purpose) in data.items()
    }
    yield {**made, "results": str(batch.output_file_id)}
    for file_id in made.values():
        files.delete(file_id)


def open_page(console: Console) -> Page:
    page = console.open("#/files")
    expect(row(page, "few-lines.jsonl")).to_be_visible()
    return page


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has_text=name)


def test_the_files_are_listed_with_what_is_known_of_them(console: Console, file_ids: dict[str, str]) -> None:
    page = open_page(console)
    names = page.get_by_role("rowgroup").last.get_by_role("row")
    expect(names.first).to_contain_text('a <b>"bold"</b> name.jsonl')
    small = row(page, "few-lines.jsonl")
    for text in (file_ids["few-lines.jsonl"], "Input", "B", "just now", "in 30 d", "Ready"):
        expect(small).to_contain_text(text)
    expect(row(page, file_ids["results"])).to_contain_text("Results")
    expect(row(page, "notes.txt").get_by_role("button")).to_have_count(1)
    expect(row(page, "few-lines.jsonl").get_by_role("link")).to_have_count(0)
    assert console.find_violations() == []
    page.emulate_media(color_scheme="dark")
    assert console.find_violations() == []


def test_a_file_leads_to_its_batch(console: Console, file_ids: dict[str, str]) -> None:
    page = open_page(console)
    page.get_by_label("Search files").fill("of the results")
    expect(row(page, "Input of Of the results")).to_be_visible()
    results = row(page, file_ids["results"])
    expect(results).to_contain_text("Results of Of the results")
    results.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Of the results")).to_be_visible()


def test_a_search_and_a_filter_leave_what_matches(console: Console, file_ids: dict[str, str]) -> None:
    page = open_page(console)
    search = page.get_by_label("Search files")
    search.fill(file_ids["many-lines.jsonl"][-8:].upper())
    expect(row(page, "few-lines.jsonl")).to_have_count(0)
    expect(row(page, "many-lines.jsonl")).to_be_visible()
    search.fill("nothing has this name")
    expect(page.get_by_text("No loaded file matches.")).to_be_visible()
    search.fill("")
    page.get_by_role("button", name="Results").click()
    expect(row(page, file_ids["results"])).to_be_visible()
    expect(row(page, "few-lines.jsonl")).to_have_count(0)
    page.get_by_role("button", name="Other").click()
    expect(row(page, "notes.txt")).to_be_visible()


def test_a_preview_reads_only_the_beginning_of_a_large_file(
    console: Console, file_ids: dict[str, str]
) -> None:
    page = open_page(console)
    with page.expect_response("**/content") as content:
        page.get_by_role("button", name="Preview many-lines.jsonl").click()
    assert content.value.status == 206
    assert int(content.value.header_value("content-length") or 0) < 100_000
    dialog = page.get_by_role("dialog", name="many-lines.jsonl")
    lines = dialog.get_by_role("listitem")
    expect(lines).to_have_count(PREVIEW_LINES)
    expect(lines.first).to_contain_text('{"custom_id": "line-0000"')
    expect(dialog).to_contain_text("The first 50 lines")
    dialog.get_by_role("button", name="Indent").click()
    expect(lines.first).to_contain_text('{\n  "custom_id": "line-0000"')
    assert console.find_violations() == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Preview few-lines.jsonl").click()
    expect(page.get_by_role("dialog", name="few-lines.jsonl")).to_contain_text("3 lines")


def test_a_file_is_downloaded_as_it_is(console: Console, file_ids: dict[str, str]) -> None:
    page = open_page(console)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download many-lines.jsonl").click()
    assert download.value.suggested_filename == "many-lines.jsonl"
    assert download.value.path().read_bytes() == chat_lines(LARGE_LINES)


def test_a_file_is_deleted_only_after_a_confirmation(
    console: Console, home: HomeInstance, file_ids: dict[str, str]
) -> None:
    file = home.client.files.create(file=("doomed.jsonl", json.dumps({}).encode()), purpose="batch")
    page = open_page(console)
    page.get_by_role("button", name="Delete doomed.jsonl").click()
    page.get_by_role("button", name="Keep it").click()
    expect(row(page, "doomed.jsonl")).to_be_visible()
    page.get_by_role("button", name="Delete doomed.jsonl").click()
    expect(page.get_by_role("dialog", name="Delete “doomed.jsonl”?")).to_be_visible()
    page.get_by_role("button", name="Delete the file").click()
    expect(row(page, "doomed.jsonl")).to_have_count(0)
    assert file.id not in {each.id for each in home.client.files.list()}
