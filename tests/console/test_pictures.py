"""The pictures of the console in docs and README, made from a running server.

`NIGHTLANE_SCREENSHOTS=1` takes its time and writes docs/console; otherwise they go to .build/console.
"""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.console.conftest import DESKTOP, PHONE, Console
from tests.console.drafts import CLOSED, RESTING, UPSTREAM, Upstreams, ticket_lines, with_mistakes
from tests.console.scene import MODELS, Scene, playing
from tests.e2e.homes import KEY

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ROOT = Path(__file__).parents[2]
# Removed, because the server reads all variables that begin like this as settings.
FOR_DOCS = bool(os.environ.pop("NIGHTLANE_SCREENSHOTS", ""))
FOLDER = ROOT / "docs" / "console" if FOR_DOCS else ROOT / ".build" / "console"
MAX_PICTURE_BYTES, MAX_ANIMATION_BYTES = 150_000, 1_000_000
SCALE = 2 if FOR_DOCS else 0.3
FRAMES, FRAME_MS = (24, 900) if FOR_DOCS else (3, 300)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with playing(tmp_path_factory.mktemp("scene"), scale=SCALE) as made:
        yield made


@pytest.fixture
def shown(open_console: Callable[..., Console], scene: Scene) -> Console:
    console = open_console(
        str(scene.server.client.base_url).rstrip("/"), device_scale_factor=2 if FOR_DOCS else 1
    )
    scene.show_ages(console.page)
    return console


def take(page: Page, name: str, **options: object) -> None:
    """Save what the page shows, with few enough colours that it is small."""
    png = page.screenshot(animations="disabled", **options)
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(FOLDER / name, optimize=True)
    assert (FOLDER / name).stat().st_size < MAX_PICTURE_BYTES


def resize(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


def test_pictures_of_the_list_and_of_one_batch(shown: Console, scene: Scene) -> None:
    page = shown.open(key=KEY)
    expect(page.locator("li.batch")).to_have_count(8)
    expect(page.locator("li.batch .badge").first).to_have_text("Waiting")
    page.wait_for_timeout(FRAME_MS * 10 if FOR_DOCS else 0)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        resize(page, (DESKTOP[0], 800))
        take(page, f"batches-{scheme}.png")
        resize(page, PHONE)
        take(page, f"phone-batches-{scheme}.png")
    page.emulate_media(color_scheme="light")
    resize(page, DESKTOP)
    page.get_by_role("link", name="GSM8K").click()
    expect(page.get_by_role("region", name="Results").get_by_role("listitem")).not_to_have_count(0)
    page.wait_for_timeout(FRAME_MS * 20 if FOR_DOCS else 0)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        resize(page, (DESKTOP[0], 1_180))
        take(page, f"batch-{scheme}.png")
        resize(page, PHONE)
        take(page, f"phone-batch-{scheme}.png")


def test_an_animation_of_a_batch_that_moves(shown: Console, scene: Scene) -> None:
    resize(shown.page, (1_080, 640))
    page = shown.open(f"#/batches/{scene.running_id}", key=KEY)
    expect(page.locator(".hero")).to_be_visible()
    frames = []
    for _ in range(FRAMES):
        page.wait_for_timeout(FRAME_MS)
        with Image.open(io.BytesIO(page.screenshot(scale="css"))) as picture:
            frames.append(picture.convert("RGB"))
    path = FOLDER / "batch.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=500, loop=0, quality=70, method=4)
    assert path.stat().st_size < MAX_ANIMATION_BYTES
    assert len({frame.tobytes() for frame in frames}) > 1


def test_pictures_of_a_new_batch_files_and_endpoints(shown: Console, scene: Scene) -> None:
    page = shown.open("#/new", key=KEY)
    lines = ticket_lines(1_200, MODELS[0])
    for name, drafts in (("new-errors", with_mistakes(lines)), ("new-ready", lines)):
        draft: Any = {"name": "support-tickets.jsonl", "mimeType": "", "buffer": b"\n".join(drafts)}
        page.locator("input[type=file]").set_input_files(draft)
        expect(page.get_by_role("region", name="File")).to_contain_text(
            "errors" if "errors" in name else "Valid"
        )
        if name == "new-ready":
            expect(page.get_by_role("region", name="Estimate")).to_contain_text("≈")
        page.get_by_role("button", name="Another file").blur()
        take_both(page, name, DESKTOP)
        page.get_by_role("button", name="Another file").click()
    page.get_by_role("link", name="Files").click()
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    take_both(page, "files", (DESKTOP[0], 760))
    Upstreams(page, UPSTREAM, RESTING, CLOSED)
    page.get_by_role("link", name="Endpoints").click()
    expect(page.get_by_role("region", name="Models")).to_contain_text(MODELS[0])
    take_both(page, "endpoints", (DESKTOP[0], 700))


def take_both(page: Page, name: str, size: tuple[int, int]) -> None:
    """Save the page in light and dark."""
    resize(page, size)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        take(page, f"{name}-{scheme}.png")
