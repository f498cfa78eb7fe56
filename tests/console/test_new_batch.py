"""The page "New batch": a file is checked line by line in the browser, uploaded and turned into a batch."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.console.batches import chat_lines
from tests.console.conftest import Console

PART = 4 * 1024 * 1024
CHAT = "/v1/chat/completions"


def open_page(console: Console) -> Page:
    page = console.open("#/new")
    expect(page.get_by_role("heading", name="Drop a JSONL file here")).to_be_visible()
    return page


def choose(page: Page, data: bytes, name: str = "requests.jsonl") -> Locator:
    """Choose a file, and return the part of the page that describes it."""
    file: Any = {"name": name, "mimeType": "application/jsonl", "buffer": data}
    page.locator("input[type=file]").set_input_files(file)
    return page.get_by_role("region", name="File")


def create_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Upload and create")


def edited(lines: bytes, changes: dict[int, Callable[[bytes], bytes]]) -> bytes:
    """Return the lines with some of them changed, by number."""
    found = lines.splitlines()
    for number, change in changes.items():
        found[number - 1] = change(found[number - 1])
    return b"\n".join(found)


BAD = edited(
    chat_lines(400),
    {
        3: lambda line: line[:-2],
        7: lambda line: line.replace(b'"POST"', b'"GET"'),
        8: lambda _: chat_lines(1).rstrip(),
        20: lambda line: line.replace(b"/v1/chat/completions", b"/v1/embeddings"),
        21: lambda _: "ä".encode("latin-1"),
        222: lambda line: line.replace(b'"model"', b'"modell"'),
        400: lambda line: line.replace(b'"body": {', b'"body": {"stream": true, '),
    },
)
REASONS = {
    3: "This line is not parseable as valid JSON.",
    7: "Invalid value: 'GET'. Supported values are: 'POST'.",
    8: "is a duplicate of another request",
    20: "does not match the batch endpoint: '/v1/embeddings' is not '/v1/chat/completions'",
    21: "Must be utf-8 encoded: the byte 0xE4 is not UTF-8",
    222: "Model parameter is required.",
    400: "Streaming is not supported in the Batch API.",
}


def test_a_bad_file_shows_each_reason_with_its_line_and_nothing_is_sent(console: Console) -> None:
    sent: list[str] = []
    page = open_page(console)
    page.on("request", lambda request: sent.append(request.method))
    file = choose(page, BAD)
    expect(file).to_contain_text("7 errors")
    rows = page.get_by_role("region", name="7 lines to correct").locator("tbody tr")
    expect(rows).to_have_count(len(REASONS))
    for row, (line, reason) in zip(rows.all(), REASONS.items(), strict=True):
        expect(row.get_by_role("rowheader")).to_have_text(str(line))
        expect(row).to_contain_text(reason)
    expect(page.get_by_role("list", name="Errors by reason")).to_contain_text("2Not a JSON object")
    expect(create_button(page)).to_be_disabled()
    assert "POST" not in sent
    assert console.find_violations() == []
    page.emulate_media(color_scheme="dark")
    assert console.find_violations() == []


def test_the_first_hundred_errors_are_listed_and_all_are_counted(console: Console) -> None:
    page = open_page(console)
    choose(page, b"{}\n" * 1_234)
    errors = page.get_by_role("region", name="1,234 lines to correct")
    expect(errors.locator("tbody tr")).to_have_count(100)
    expect(errors).to_contain_text("and 1,134 more lines with errors")


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "The input file is empty"), (b"\n\n", "The input file is empty")]
)
def test_an_empty_file_is_explained(console: Console, data: bytes, reason: str) -> None:
    page = open_page(console)
    choose(page, data)
    expect(page.get_by_role("region", name="The file is invalid")).to_contain_text(reason)


def test_a_valid_file_is_summarized_and_estimated_and_becomes_a_batch(console: Console) -> None:
    page = open_page(console)
    file = choose(page, chat_lines(60), "tickets.jsonl")
    expect(file).to_contain_text("Valid")
    for text in ("60", "KB", "≈", "mock-small"):
        expect(file).to_contain_text(text)
    expect(page.get_by_label("Endpoint")).to_have_value(CHAT)
    estimate = page.get_by_role("region", name="Estimate")
    expect(estimate).to_contain_text(re.compile("≈ 3\\d s"))
    expect(estimate).to_contain_text("$0.000")
    expect(estimate).to_contain_text("This machine bills nothing")
    page.get_by_text("Assumptions").click()
    page.get_by_label("Seconds of a request").fill("60")
    expect(estimate).to_contain_text(re.compile("≈ 6 min 0\\d s"))
    assert console.find_violations() == []
    page.emulate_media(color_scheme="dark")
    assert console.find_violations() == []
    page.get_by_label("Completion window").select_option("2d")
    page.get_by_label("Value 1").fill("Tickets of the week")
    page.get_by_role("button", name="Add a pair").click()
    expect(page.get_by_label("Key 2")).to_be_focused()
    page.get_by_label("Key 2").fill("team")
    page.get_by_label("Value 2").fill("support")
    with page.expect_request(
        lambda request: request.url.endswith("/batches") and request.method == "POST"
    ) as sent:
        create_button(page).click()
    body = json.loads(sent.value.post_data or "")
    assert body["metadata"] == {"name": "Tickets of the week", "team": "support"}
    assert (body["endpoint"], body["completion_window"]) == (CHAT, "2d")
    expect(page.get_by_role("heading", name="Tickets of the week")).to_be_visible()


def test_the_endpoint_is_that_of_the_lines_and_another_one_checks_them_again(console: Console) -> None:
    page = open_page(console)
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": "mock-embedding", "input": "a"},
    }
    file = choose(page, json.dumps(line).encode())
    expect(file).to_contain_text("Valid")
    expect(page.get_by_label("Endpoint")).to_have_value("/v1/embeddings")
    page.get_by_label("Endpoint").select_option(CHAT)
    expect(file).to_contain_text("1 error")
    expect(create_button(page)).to_be_disabled()


def test_a_model_that_no_endpoint_has_is_a_warning(console: Console) -> None:
    console.watched.expected_statuses = {404}
    page = open_page(console)
    choose(page, chat_lines(2).replace(b"mock-small", b"nobody-has-this"))
    expect(page.get_by_role("alert")).to_contain_text("No endpoint has “nobody-has-this”.")
    expect(create_button(page)).to_be_enabled()


def test_a_file_can_be_dropped_and_chosen_by_keyboard(console: Console) -> None:
    page = open_page(console)
    # From now on the browser reports choosers; to switch this on takes it a moment.
    page.on("filechooser", lambda _: None)
    script = """(text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], "dropped.jsonl"));
      return data;
    }"""
    dropped = page.evaluate_handle(script, chat_lines(3).decode())
    page.dispatch_event("main", "drop", {"dataTransfer": dropped})
    expect(page.get_by_role("region", name="File")).to_contain_text("dropped.jsonl")
    expect(page.get_by_role("button", name="Another file")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("input[type=file]")).to_be_focused()
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


def test_the_example_is_valid(console: Console) -> None:
    page = open_page(console)
    page.get_by_role("button", name="Use an example").click()
    expect(page.get_by_role("region", name="File")).to_contain_text("Valid")
    expect(page.get_by_role("region", name="Estimate")).to_be_visible()


class Parts:
    """What happens to the parts that a page sends; each is noted with the number of its first byte."""

    def __init__(self, page: Page) -> None:
        self.sent = self.finished = 0
        self.holding: set[int] = set()
        """Those that wait, counted from 1."""
        self.held: list[Route] = []
        self.failing: set[int] = set()
        """Those that get an error, counted from 1."""
        self.status = 503
        self.cancelled: list[str] = []
        page.route("**/v1/uploads/*/parts", self._part)
        page.on("request", lambda request: self._note(request.url))
        page.on("requestfinished", self._note_finished)

    def _note(self, url: str) -> None:
        if url.endswith("/cancel"):
            self.cancelled.append(url)

    def _note_finished(self, request: Request) -> None:
        self.finished += request.url.endswith("/parts")

    def refuse(self, route: Route) -> None:
        route.fulfill(status=self.status, json={"error": {"message": "No room for this part.", "code": None}})

    def _part(self, route: Route) -> None:
        self.sent += 1
        if self.sent in self.failing:
            self.refuse(route)
        elif self.sent in self.holding:
            self.held.append(route)
        else:
            route.continue_()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A valid file of three parts."""
    path = tmp_path / "large.jsonl"
    words = b"word " * 2_000
    line = chat_lines(1).rstrip().replace(b'"content": "', b'"content": "' + words)
    size = 5 * PART // (2 * len(line))
    names = (b"large-%d" % number for number in range(size))
    first = json.loads(line)["custom_id"].encode()
    path.write_bytes(b"\n".join(line.replace(b'"%b"' % first, b'"%b"' % name, 1) for name in names))
    assert 2 * PART < path.stat().st_size < 3 * PART
    return path


def test_a_large_file_goes_up_in_parts_with_progress_and_can_be_cancelled(
    console: Console, large: Path
) -> None:
    console.watched.expected_statuses = {503}
    page = open_page(console)
    parts = Parts(page)
    parts.holding = {2, 3}
    page.locator("input[type=file]").set_input_files(large)
    create_button(page).click()
    progress = page.get_by_role("progressbar", name="Upload")
    expect(progress).to_have_attribute("aria-valuetext", re.compile(r"^[1-9]\d % uploaded"))
    expect(page.get_by_label("Endpoint")).to_be_disabled()
    # It goes on while another page is shown.
    page.get_by_role("link", name="Files").click()
    expect(page.get_by_role("heading", name="Files", exact=True)).to_be_visible()
    page.get_by_role("link", name="New batch").first.click()
    page.get_by_role("button", name="Cancel").click()
    expect(create_button(page)).to_be_focused()
    expect(progress).to_be_hidden()
    page.wait_for_timeout(50)
    assert len(parts.cancelled) == 1
    for route in parts.held:
        route.abort()
    # Once more: a part that is refused for a moment is sent again.
    parts.holding, parts.sent, parts.failing = set(), 0, {2}
    create_button(page).click()
    expect(page.get_by_role("heading", name="large")).to_be_visible()
    assert parts.sent == 4


def test_an_upload_that_stopped_continues_with_what_is_missing(console: Console, large: Path) -> None:
    console.watched.expected_statuses = {400}
    page = open_page(console)
    parts = Parts(page)
    parts.holding, parts.status = {3}, 400
    page.locator("input[type=file]").set_input_files(large)
    create_button(page).click()
    while parts.finished < 2 or not parts.held:
        page.wait_for_timeout(20)
    parts.refuse(parts.held[0])
    problem = page.get_by_role("alert").filter(has_text="The upload stopped")
    expect(problem).to_contain_text("No room for this part.")
    expect(problem).to_contain_text("What has arrived is kept for an hour.")
    parts.holding, parts.sent = set(), 0
    page.get_by_role("button", name="Continue the upload").click()
    expect(page.get_by_role("heading", name="large")).to_be_visible()
    assert parts.sent == 1


def test_an_upload_that_stopped_before_anything_arrived_begins_again(console: Console) -> None:
    console.watched.expected_statuses = {400}
    page = open_page(console)
    refusals = [{"error": {"message": "No room for this file.", "code": None}}]

    def refuse_once(route: Route) -> None:
        if refusals and route.request.method == "POST":
            route.fulfill(status=400, json=refusals.pop())
        else:
            route.continue_()

    page.route("**/v1/files", refuse_once)
    choose(page, chat_lines(5), "again.jsonl")
    create_button(page).click()
    problem = page.get_by_role("alert").filter(has_text="The upload stopped")
    expect(problem).to_contain_text("No room for this file.")
    expect(problem).to_contain_text("Nothing has arrived yet.")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="again")).to_be_visible()


def test_nothing_is_lost_if_creating_fails(console: Console) -> None:
    console.watched.expected_statuses = {429}
    tokens: list[str | None] = []
    page = open_page(console)

    def fail_once(route: Route) -> None:
        if route.request.method == "POST":
            tokens.append(route.request.header_value("idempotency-key"))
        if len(tokens) == 1:
            route.fulfill(status=429, json={"error": {"message": "Too many batches.", "code": None}})
        else:
            route.continue_()

    page.route("**/v1/batches", fail_once)
    choose(page, chat_lines(5), "kept.jsonl")
    with page.expect_request("**/v1/files"):
        create_button(page).click()
    problem = page.get_by_role("alert").filter(has_text="The batch was not created")
    expect(problem).to_contain_text("Too many batches.")
    file_id = problem.locator("code").inner_text()
    assert file_id.startswith("file-")
    uploads: list[str] = []
    page.on(
        "request", lambda request: uploads.append(request.url) if request.url.endswith("/files") else None
    )
    with page.expect_response(lambda response: response.url.endswith("/batches") and response.ok) as created:
        page.get_by_role("button", name="Create again").click()
    assert created.value.json()["input_file_id"] == file_id
    expect(page.get_by_role("heading", name="kept")).to_be_visible()
    assert uploads == []
    assert tokens[0] == tokens[1] is not None
