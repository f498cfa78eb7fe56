"""The console is for everyone: axe finds nothing, all works by keyboard, and nothing leaves the server."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.batches import chat_lines
from tests.console.conftest import DESKTOP, PHONE, Console
from tests.e2e.conftest import HomeInstance

SIZES = {"desktop": DESKTOP, "phone": PHONE}
# Every element that must be reachable, and the one that has the focus.
OPERABLE = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled)
  .map((each, i) => (each.dataset.reach = `${i} ${each.tagName} ${each.textContent.trim().slice(0, 40)}`))"""
FOCUSED = """() => {
  const each = document.activeElement;
  const style = getComputedStyle(each);
  const row = each.closest("li.batch");
  const shown = style.outlineStyle !== "none" || (row && getComputedStyle(row).outlineStyle !== "none");
  return { reach: each.dataset.reach ?? null, shown };
}"""


@pytest.fixture(scope="module")
def addresses(home: HomeInstance) -> Iterator[dict[str, str]]:
    """The address of each page, with batches in several states."""
    ended = home.wait(home.create(chat_lines(30, bad=4, latency=0.01), metadata={"name": "Ended"}).id)
    invalid = home.wait(home.create(b"{}\n").id)
    running = home.create(chat_lines(2_000, latency=2), metadata={"name": "Running"})
    yield {
        "batches": "#/batches",
        "ended": f"#/batches/{ended.id}",
        "invalid": f"#/batches/{invalid.id}",
        "running": f"#/batches/{running.id}",
        "new": "#/new",
        "files": "#/files",
        "endpoints": "#/endpoints",
    }
    home.client.batches.cancel(running.id)


def settle(page: Page) -> None:
    """Wait until the page has shown what it asked for first."""
    expect(page.locator("main h1")).to_be_visible()
    page.wait_for_load_state("networkidle")
    # Bars and badges move, and axe measures the colours of a moment.
    page.emulate_media(reduced_motion="reduce")


@pytest.mark.parametrize(
    "name", ["key", "batches", "ended", "invalid", "running", "new", "files", "endpoints"]
)
def test_axe_finds_nothing_in_light_and_dark_on_desktop_and_phone(
    console: Console, addresses: dict[str, str], name: str
) -> None:
    page = console.page
    if name == "key":
        page.goto(console.url)
    else:
        console.open(addresses[name])
    settle(page)
    found = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        # Between the schemes, only colours differ.
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        found += [f"{size}: {each}" for each in console.find_violations()]
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found += [f"{size}, dark: {each}" for each in console.find_violations("color-contrast")]
        if size == "phone":
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    assert found == []


@pytest.mark.parametrize("name", ["batches", "ended", "running", "new", "files", "endpoints"])
def test_everything_is_reached_by_the_tab_key_and_shows_its_focus(
    console: Console, addresses: dict[str, str], name: str
) -> None:
    page = console.open(addresses[name])
    settle(page)
    wanted = set(page.evaluate(OPERABLE))
    page.evaluate("document.activeElement.blur()")
    reached, hidden = set(), set()
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["reach"]:
            reached.add(focused["reach"])
            if not focused["shown"]:
                hidden.add(focused["reach"])
    # A list that is updated meanwhile may have replaced some of them.
    still_there = set(
        page.evaluate("() => [...document.querySelectorAll('[data-reach]')].map((e) => e.dataset.reach)")
    )
    assert (wanted & still_there) - reached == set()
    assert hidden == set()


def test_a_batch_is_found_opened_and_left_by_keyboard(console: Console, addresses: dict[str, str]) -> None:
    page = console.open()
    expect(page.locator("main")).to_be_focused()
    page.reload()
    expect(page.locator("li.batch")).not_to_have_count(0)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.locator("h1")).to_have_text("Batches")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("Ended")
    expect(page.locator("li.batch:visible")).to_have_count(1)
    page.locator("li.batch:visible a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Ended")
    expect(page.locator("main")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("Ended")
    page.get_by_role("searchbox").fill("")
    expect(page.locator("li.batch:visible")).not_to_have_count(1)
    page.locator("li.batch:visible a").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("li.batch:visible a").nth(1)).to_be_focused()


def test_escape_closes_the_question_and_the_focus_goes_back(
    console: Console, addresses: dict[str, str]
) -> None:
    page = console.open(addresses["running"])
    button = page.get_by_role("button", name="Cancel")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Cancel “Running”?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


def test_nothing_moves_for_those_who_prefer_less_motion(console: Console, addresses: dict[str, str]) -> None:
    page = console.open(addresses["running"])
    badge = "getComputedStyle(document.querySelector('h1 + .badge'), '::before').animationName"
    expect(page.locator("h1 + .badge")).to_be_visible()
    assert page.evaluate(badge) == "breathe"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(badge) == "none"


def test_the_policy_stops_what_the_page_must_not_do(console: Console) -> None:
    """Every other test fails if there was a violation; this one shows that it would be noticed."""
    page = console.open()
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.head.append(script);
      document.body.insertAdjacentHTML("beforeend", "<p style='color: red' id='styled'>x</p>");
      return fetch("https://example.com/").catch(() => {});
    }""")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    assert {each.split()[0] for each in page.evaluate("window.violations")} == {
        "script-src-elem",
        "style-src-attr",
        "connect-src",
    }
    console.watched.may_violate = True
