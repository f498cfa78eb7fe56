"""An upstream is used only in its active hours, unless the batch would expire before they begin."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.settings import Settings
from nightlane.upstream_settings import UpstreamSettings
from tests.integration.test_progress import get_progress
from tests.upstream import Upstream, only
from tests.world import World, moto_world, requests

HOUR = 3_600
LINES = 20


@pytest.fixture
def nightlane(upstream: Upstream) -> Iterator[World]:
    settings = Settings(
        upstreams=only(upstream.url), max_concurrent_requests_per_batch=4, worker_lease_seconds=5
    )
    with moto_world(settings) as world:
        yield world


def set_hours(world: World, begin_in: int, end_in: int, others: tuple[UpstreamSettings, ...] = ()) -> int:
    """Give the first upstream active hours, by hours from now; returns when they begin, or began."""
    now = int(world.ports.now()) // 60 * 60
    begin, end = now + begin_in * HOUR, now + end_in * HOUR
    text = f"{datetime.fromtimestamp(begin, UTC):%H:%M}-{datetime.fromtimestamp(end, UTC):%H:%M} UTC"
    first = UpstreamSettings.model_validate(world.ports.settings.upstreams[0].model_dump() | {"active": text})
    world.ports.settings.__dict__["upstreams"] = (first, *others)
    return begin


def test_outside_the_active_hours_nothing_is_sent_and_no_message_is_held(
    nightlane: World, upstream: Upstream
) -> None:
    opens_at = set_hours(nightlane, 2, 4)
    batch_id = nightlane.create(nightlane.upload(requests(LINES)))
    nightlane.run()
    progress = get_progress(nightlane, batch_id)
    assert (progress["waits_for"], progress["resumes_at"]) == ("active_hours", opens_at)
    for _ in range(2):
        assert (upstream.asked.total(), nightlane.waiting_messages()) == (0, 0)
        nightlane.pass_time(HOUR - 120)
        nightlane.sweep()
        nightlane.run()
    assert upstream.asked.total() == 0
    nightlane.pass_time(240)
    nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert get_progress(nightlane, batch_id)["waits_for"] is None


def test_when_the_active_hours_end_requests_in_flight_finish_and_no_more_start(
    nightlane: World, upstream: Upstream
) -> None:
    set_hours(nightlane, -1, 1)

    def let_the_hours_end(_body: Any, _seen: int) -> web.Response | None:
        if upstream.asked.total() >= 6 and not upstream.delay_seconds:
            nightlane.pass_time(HOUR)
            # Until the worker has noticed.
            upstream.delay_seconds = 0.5
        return None

    upstream.script = let_the_hours_end
    batch_id = nightlane.create(nightlane.upload(requests(LINES)))
    nightlane.run()
    batch, sent = nightlane.batch(batch_id), upstream.asked.total()
    assert sent < LINES
    assert (batch.status, batch.completed, batch.is_resting) == (BatchStatus.IN_PROGRESS, sent, True)
    assert nightlane.waiting_messages() == 0
    assert get_progress(nightlane, batch_id)["waits_for"] == "active_hours"
    upstream.script = lambda _body, _seen: None
    upstream.delay_seconds = 0.0
    nightlane.pass_time(22 * HOUR + 120)
    nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert set(upstream.asked.values()) == {1}


def test_a_batch_that_would_expire_first_runs_at_any_hour(nightlane: World, upstream: Upstream) -> None:
    set_hours(nightlane, 2, 4)
    batch_id = nightlane.create(nightlane.upload(requests(LINES)), window="1h")
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert upstream.asked.total() == LINES


def test_with_strict_hours_a_batch_expires_rather_than_run_outside_them(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__["active_hours_are_strict"] = True
    set_hours(nightlane, 2, 4)
    batch_id = nightlane.create(nightlane.upload(requests(LINES)), window="1h")
    nightlane.run()
    assert (upstream.asked.total(), nightlane.waiting_messages()) == (0, 0)
    nightlane.pass_time(HOUR + 10)
    nightlane.sweep()
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.EXPIRED, 0)
    assert len(nightlane.lines(batch.error_file_id)) == LINES
    assert upstream.asked.total() == 0


def test_a_batch_that_is_cancelled_outside_the_active_hours_ends_at_once(
    nightlane: World, upstream: Upstream
) -> None:
    set_hours(nightlane, 2, 4)
    batch_id = nightlane.create(nightlane.upload(requests(LINES)))
    nightlane.run()
    assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.CANCELLED
    assert upstream.asked.total() == 0


def test_the_lines_for_another_upstream_run_meanwhile(nightlane: World, upstream: Upstream) -> None:
    always = UpstreamSettings(name="always", url=upstream.url, models=("big-*",))
    first = nightlane.ports.settings.upstreams[0].model_copy(update={"models": ("mock-*",)})
    nightlane.ports.settings.__dict__["upstreams"] = (first,)
    set_hours(nightlane, 2, 4, (always,))
    data = requests(5) + requests(3, model="big-1")
    batch_id = nightlane.create(nightlane.upload(data.replace(b'"request-', b'"r-', 5)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.is_resting) == (BatchStatus.IN_PROGRESS, 3, True)
    assert nightlane.waiting_messages() == 0
    assert get_progress(nightlane, batch_id)["waits_for"] == "active_hours"
    nightlane.pass_time(2 * HOUR)
    nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
