"""A batch whose lines go to several upstreams: each of them has lanes of its own."""

import json
from collections.abc import Iterator

import pytest
from aiohttp import web
from msgspec.structs import replace

from nightlane.domain.batch import BatchRequest, BatchStatus
from nightlane.domain.batches import create_batch
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.inference import fair_share, upstream_monitor
from nightlane.domain.quotas import Quota
from nightlane.domain.shares import Share, Shares
from nightlane.settings import Settings
from nightlane.upstream_settings import UpstreamSettings
from tests.integration.test_progress import get_progress
from tests.upstream import Body, Upstream, refusal, serving
from tests.world import ENDPOINT, TENANT, World, moto_world, requests

SMALL = [0, 3, 6, 9]


@pytest.fixture
def small() -> Iterator[Upstream]:
    with serving(Upstream()) as upstream:
        yield upstream


@pytest.fixture
def large() -> Iterator[Upstream]:
    with serving(Upstream()) as upstream:
        yield upstream


@pytest.fixture
def nightlane(small: Upstream, large: Upstream) -> Iterator[World]:
    upstreams = (
        UpstreamSettings(
            name="small",
            url=small.url,
            models=("tiny-*",),
            rewrite={"fast": "tiny-7b"},
            max_concurrent_requests=2,
        ),
        UpstreamSettings(name="large", url=large.url, models=("big-*",)),
    )
    settings = Settings(
        upstreams=upstreams,
        max_concurrent_requests_per_batch=4,
        requests_in_flight_per_worker=2,
        worker_lease_seconds=5,
        watch_seconds=0.2,
        # So long that the sweeper ends it: the clock of the queues is not under the test's control.
        upstream_pause_seconds=300,
    )
    with moto_world(settings) as world:
        yield world


def mixed(lines: int = 10) -> bytes:
    """Every third request is for the small model, by its other name; the rest are for the large one."""
    data = requests(lines).splitlines(keepends=True)
    models = (b"fast" if number % 3 == 0 else b"big-1" for number in range(lines))
    return b"".join(line.replace(b"mock-small", model) for line, model in zip(data, models, strict=True))


def answered(world: World, batch_id: str) -> list[tuple[str, str]]:
    """The custom id of each output line, and the model that answered it."""
    lines = world.lines(world.batch(batch_id).output_file_id)
    return [(line["custom_id"], line["response"]["body"]["model"]) for line in lines]


EXPECTED = [(f"request-{n}", "tiny-7b-2026" if n in SMALL else "big-1-2026") for n in range(10)]


def test_a_batch_of_two_models_completes_in_the_order_of_its_input(
    nightlane: World, small: Upstream, large: Upstream
) -> None:
    batch_id = nightlane.create(nightlane.upload(mixed()))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 10)
    assert answered(nightlane, batch_id) == EXPECTED
    assert [json.loads(body)["model"] for body in small.raw] == ["tiny-7b"] * 4
    assert [json.loads(body)["model"] for body in large.raw] == ["big-1"] * 6
    assert nightlane.waiting_messages() == 0


def test_the_lower_limit_of_an_upstream_gives_its_lines_fewer_lanes(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(mixed()))
    nightlane.deliver("plan")
    lanes = read_manifest(nightlane.ports, nightlane.batch(batch_id)).lanes
    assert [(lane.upstream, lane.capacity) for lane in lanes] == [("small", 2), ("large", 2), ("large", 2)]


def test_an_upstreams_limit_holds_for_a_batch_with_more_requests_at_once(
    nightlane: World, small: Upstream, large: Upstream
) -> None:
    nightlane.ports.settings.__dict__["requests_in_flight_per_worker"] = 4
    small.delay_seconds = large.delay_seconds = 0.05
    nightlane.create(nightlane.upload(mixed(30)))
    nightlane.run()
    assert (small.max_in_flight, large.max_in_flight) == (2, 4)
    assert nightlane.ports.upstreams.get_shares("small").lanes == {}
    # An upstream without a limit has no shares.
    assert nightlane.ports.upstreams.get_shares("large").version == 0


def test_a_lane_without_a_share_hands_its_message_back_and_keeps_its_place(
    nightlane: World, small: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_share, "PATIENCE_SECONDS", 0.3)
    now = int(nightlane.ports.now())
    other = Share(granted=2, wanted=2, until=now + 3_600, deadline=now, holder="other")
    nightlane.ports.upstreams.put_shares("small", Shares(1, {"batch_other-0": other}))
    batch_id = nightlane.create(nightlane.upload(mixed()))
    nightlane.run()
    assert (nightlane.batch(batch_id).completed, small.asked.total()) == (6, 0)
    assert nightlane.waiting_messages() == 1
    lanes = nightlane.ports.upstreams.get_shares("small").lanes
    assert lanes["batch_other-0"] == other
    assert (lanes[f"{batch_id}-0"].granted, lanes[f"{batch_id}-0"].wanted) == (0, 2)


def test_a_worker_that_was_replaced_leaves_the_share_of_its_successor(
    nightlane: World, small: Upstream
) -> None:
    store = nightlane.ports.upstreams

    def replace_worker(_body: Body, _seen: int) -> None:
        shares = store.get_shares("small")
        lanes = {name: replace(share, holder="successor") for name, share in shares.lanes.items()}
        store.put_shares("small", Shares(shares.version + 1, lanes))

    small.script = replace_worker
    batch_id = nightlane.create(nightlane.upload(mixed(1)))
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    assert store.get_shares("small").lanes[f"{batch_id}-0"].holder == "successor"


def test_a_dead_upstream_does_not_hold_up_the_lines_of_another(
    nightlane: World, small: Upstream, large: Upstream
) -> None:
    small.script = lambda _body, _seen: refusal(503, **{"retry-after": "0.001"})
    batch_id = nightlane.create(nightlane.upload(mixed()))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.IN_PROGRESS, 6, 0)
    assert len(large.asked) == 6
    rest = nightlane.ports.upstreams.get_rest("small")
    assert rest is not None
    assert nightlane.ports.upstreams.get_rest("large") is None
    progress = get_progress(nightlane, batch_id)
    assert (progress["waits_for"], progress["resumes_at"]) == ("endpoint", rest.until)
    assert progress["last_refusal"]["status"] == 503
    small.script = lambda _body, _seen: None
    nightlane.pass_time(700)
    nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert answered(nightlane, batch_id) == EXPECTED
    assert large.asked.total() == 6


def test_a_key_that_is_no_longer_valid_fails_no_line_although_another_upstream_answers(
    nightlane: World, small: Upstream
) -> None:
    small.script = lambda _body, _seen: refusal(401, **{"retry-after": "0.001"})
    small.models = lambda _path: web.json_response({"object": "list", "data": []})
    batch_id = nightlane.create(nightlane.upload(mixed()))
    for _ in range(3):
        nightlane.run()
        nightlane.pass_time(700)
        nightlane.sweep()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.IN_PROGRESS, 6, 0)
    small.script = lambda _body, _seen: None
    nightlane.run()
    nightlane.pass_time(700)
    nightlane.sweep()
    nightlane.run()
    assert answered(nightlane, batch_id) == EXPECTED


def test_lines_answered_by_one_upstream_do_not_show_that_another_has_served_the_batch(
    nightlane: World, large: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the user of an account without quota would learn the reason only when the window ends."""
    monkeypatch.setattr(upstream_monitor, "QUOTA_PATIENCE_SECONDS", 0.1)
    error = {"message": "You exceeded your quota", "type": "x", "code": "insufficient_quota"}
    headers = {"retry-after": "0.001"}
    large.script = lambda _body, _seen: web.json_response({"error": error}, status=429, headers=headers)
    batch_id = nightlane.create(nightlane.upload(mixed()))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 4, 6)


def test_an_upstream_that_was_removed_counts_as_down(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(mixed()))
    nightlane.deliver("plan")
    both = nightlane.ports.settings.upstreams
    nightlane.ports.settings.__dict__["upstreams"] = both[1:]
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.IN_PROGRESS, 6, 0)
    rest = nightlane.ports.upstreams.get_rest("small")
    assert rest is not None
    assert "no upstream is named 'small'" in rest.trouble.message
    nightlane.ports.settings.__dict__["upstreams"] = both
    nightlane.pass_time(700)
    nightlane.sweep()
    nightlane.run()
    assert answered(nightlane, batch_id) == EXPECTED


@pytest.mark.parametrize(("in_flight", "capacities"), [(5, [2, 2]), (3, [1, 1])])
def test_the_requests_in_flight_of_a_tenant_are_divided_among_the_upstreams(
    nightlane: World, in_flight: int, capacities: list[int]
) -> None:
    batch_id = create_with(nightlane, Quota(requests_in_flight=in_flight))
    nightlane.deliver("plan")
    batch = nightlane.batch(batch_id)
    lanes = read_manifest(nightlane.ports, batch).lanes
    totals = [sum(each.capacity for each in lanes if each.upstream == name) for name in ("small", "large")]
    assert totals == capacities
    assert batch.size.requests_in_flight == sum(capacities) <= in_flight


def test_a_batch_with_more_upstreams_than_requests_in_flight_fails(nightlane: World) -> None:
    batch_id = create_with(nightlane, Quota(requests_in_flight=1))
    nightlane.deliver("plan")
    batch = nightlane.batch(batch_id)
    assert batch.status is BatchStatus.FAILED
    (error,) = batch.errors
    assert error.code == "invalid_request"
    assert "2 endpoints" in error.message
    assert nightlane.ports.batches.slots().running == {}


def create_with(world: World, quota: Quota) -> str:
    request = BatchRequest(input_file_id=world.upload(mixed()), endpoint=ENDPOINT, completion_window="24h")
    return create_batch(world.ports, TENANT, request, None, quota).id
