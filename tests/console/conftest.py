"""A Chromium with the console of a `nightlane local`. Nothing that it logs or requests goes unnoticed."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.conftest import ACME, HomeInstance, running_home

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
# Starts before every script of the page. The policy forbids scripts in the page, but not the browser's own.
WATCH_POLICY = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""
# Generous, because a machine that is busy must not fail a test; nothing waits for it otherwise.
TIMEOUT_MS = 30_000
expect.set_options(timeout=TIMEOUT_MS)
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()


def chromium_path() -> str | None:
    """Where the browser is, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Watched:
    """A page of the console, and all that it should not have done."""

    page: Page
    origin: str
    problems: list[str] = field(default_factory=list)
    expected_statuses: set[int] = field(default_factory=set)
    """Of responses, which the browser logs as errors."""
    may_violate: bool = False
    """Whether the test provokes such problems on purpose."""

    def __post_init__(self) -> None:
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", lambda request: self._note_url(request.url))

    def _note_message(self, message: ConsoleMessage) -> None:
        if any(f"status of {status}" in message.text for status in self.expected_statuses):
            return
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    def _note_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("blob", "data") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.problems.append(f"request to {url}")

    def check(self) -> None:
        """Fail if there was an error, a request to another origin or a violation of the policy."""
        if self.may_violate:
            return
        violations = [] if self.page.is_closed() else self.page.evaluate("window.violations")
        assert [*self.problems, *violations] == []


@dataclass
class Console:
    """The console in a browser, and the server behind it."""

    base_url: str
    context: BrowserContext
    watched: Watched

    @property
    def page(self) -> Page:
        return self.watched.page

    @property
    def url(self) -> str:
        return f"{self.base_url}/console"

    def open(self, hash_: str = "", key: str = ACME) -> Page:
        """Open a page of the console and give it the key if it asks for one."""
        self.page.goto(f"{self.url}{hash_}")
        asks = self.page.get_by_label("Key", exact=True)
        expect(asks.or_(self.page.locator("#tabs a").first)).to_be_visible()
        if asks.is_visible():
            asks.fill(key)
            asks.press("Enter")
        return self.page

    def open_batch(self, batch_id: str) -> Page:
        page = self.open(f"#/batches/{batch_id}")
        expect(page.get_by_role("region", name="Progress")).to_be_visible()
        return page

    def find_violations(self, *rules: str) -> list[str]:
        """Run axe's rules, by default all, on the page as it is: those that are broken, and where."""
        # Evaluated by the browser's debugger, so that the policy stays as it is.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        options: dict[str, object] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = list(rules)
        found = self.page.evaluate("(options) => axe.run(document, options)", options)
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    assert path is not None, f"none of {', '.join(NAMES)} is on the PATH"
    # Root has no sandbox of its own.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=options)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def home() -> Iterator[HomeInstance]:
    """The server that most tests share. Its model takes a fifth of a second."""
    mock = {"latency_mean": 0.2, "latency_sigma": 0.3}
    with running_home(mock, max_concurrent_batches=2, upstream_pause_seconds=1) as made:
        yield made


@pytest.fixture
def open_console(browser: Browser) -> Iterator[Callable[..., Console]]:
    """Opens a new browser profile on the console of a server, and checks at the end what it did."""
    opened: list[Console] = []

    def open_on(base_url: str, **options: Any) -> Console:
        width, height = DESKTOP
        context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US", **options)
        context.set_default_timeout(TIMEOUT_MS)
        context.add_init_script(WATCH_POLICY)
        watched = Watched(context.new_page(), base_url.removesuffix("/v1"))
        opened.append(Console(base_url, context, watched))
        return opened[-1]

    yield open_on
    for console in opened:
        console.watched.check()
        console.context.close()


@pytest.fixture
def console(open_console: Callable[..., Console], home: HomeInstance) -> Console:
    return open_console(home.base_url)
