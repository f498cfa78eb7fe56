"""A lane runs its shards without a pause between them, and takes over what no other lane has begun."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.inference.lane_shards import LaneShards
from nightlane.domain.stores import Fenced
from nightlane.settings import Settings
from tests.upstream import Upstream, only, question, serving
from tests.world import World, moto_world, requests

LINES = 12


@pytest.fixture
def batch_id(nightlane: World, upstream: Upstream) -> str:
    """A batch with several shards in each of two lanes, planned and dispatched."""
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=2, requests_in_flight_per_worker=1, shard_max_lines=2
    )
    batch_id = nightlane.create(nightlane.upload(requests(LINES)))
    nightlane.deliver("plan")
    return batch_id


def shards_of(nightlane: World, batch_id: str, lane: int) -> list[int]:
    """Return the shards that are planned for a lane."""
    return [
        spec.index
        for spec in read_manifest(nightlane.ports, nightlane.batch(batch_id)).shards
        if spec.lane == lane
    ]


def test_a_lane_with_nothing_left_runs_what_no_other_lane_has_begun(
    nightlane: World, upstream: Upstream, batch_id: str
) -> None:
    nightlane.deliver("infer")
    assert nightlane.batch(batch_id).completed == LINES
    assert {shard.lane for shard in nightlane.ports.batches.shards(batch_id)} == {0}
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert set(upstream.asked.values()) == {1}


def test_a_lane_leaves_alone_what_another_has_begun(
    nightlane: World, upstream: Upstream, batch_id: str
) -> None:
    store, theirs = nightlane.ports.batches, shards_of(nightlane, batch_id, lane=1)
    store.begin_shard(store.get_shard(batch_id, theirs[0]), 1)
    nightlane.deliver("infer")
    assert nightlane.batch(batch_id).completed == LINES - 2
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, LINES)
    assert set(upstream.asked.values()) == {1}


@dataclass
class FirstWaitsForLast(Upstream):
    """Answers the first question when it gets the last one."""

    last: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        asked = question(json.loads(await request.read()))
        if asked == f"Question {LINES - 1}?":
            self.last.set()
        if asked == "Question 0?":
            await asyncio.wait_for(self.last.wait(), 30)
        return await super().answer(request)


def test_the_last_line_of_a_shard_does_not_delay_the_next_shard() -> None:
    with serving(FirstWaitsForLast()) as upstream:
        settings = Settings(
            upstreams=only(upstream.url), shard_max_lines=4, max_concurrent_requests_per_batch=2
        )
        with moto_world(settings) as nightlane:
            batch_id = nightlane.create(nightlane.upload(requests(LINES)))
            nightlane.deliver("plan")
            assert len(shards_of(nightlane, batch_id, lane=0)) == 3
            nightlane.deliver("infer")
            batch = nightlane.batch(batch_id)
            assert (batch.completed, batch.failed) == (LINES, 0)


def test_a_cancelled_batch_ends_although_lanes_have_shards_that_never_began(
    nightlane: World, upstream: Upstream, batch_id: str
) -> None:
    assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, len(upstream.raw)) == (BatchStatus.CANCELLED, 0)
    assert len(nightlane.lines(batch.error_file_id)) == LINES


def test_a_worker_that_lost_its_message_begins_nothing(nightlane: World, batch_id: str) -> None:
    batch, held = nightlane.batch(batch_id), [True]
    shards = LaneShards(nightlane.ports, batch, read_manifest(nightlane.ports, batch), 0, lambda: held[0])
    first = shards.begin_next()
    assert first is not None
    assert first[1].epoch == 1
    held[0] = False
    with pytest.raises(Fenced):
        shards.begin_next()
    assert [shard.epoch for shard in nightlane.ports.batches.shards(batch_id)] == [1]


def test_a_shard_whose_beginning_was_not_confirmed_is_begun_again(
    nightlane: World, batch_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, batch = nightlane.ports.batches, nightlane.batch(batch_id)
    begin, calls = store.begin_shard, []

    def lose_the_first_response(*arguments: Any) -> Any:
        calls.append(arguments)
        begun = begin(*arguments)
        if len(calls) == 1:
            raise Fenced
        return begun

    monkeypatch.setattr(store, "begin_shard", lose_the_first_response)
    shards = LaneShards(nightlane.ports, batch, read_manifest(nightlane.ports, batch), 0, lambda: True)
    begun = []
    while (each := shards.begin_next()) is not None:
        begun.append((each[0].index, each[1].epoch))
    assert sorted(begun) == [(0, 2), *((index, 1) for index in range(1, batch.shards_total))]
