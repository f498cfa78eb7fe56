"""The history of a batch, an extension: while it runs, and after it has ended."""

from dataclasses import replace
from typing import Any

from nightlane.domain.assembly import assemble_batch
from nightlane.domain.batch import BatchStatus
from nightlane.domain.history import get_history
from nightlane.domain.shard import Shard
from nightlane.domain.stores import BatchStore
from tests.upstream import Upstream, question, refusal
from tests.world import TENANT, World, requests


def points_of(world: World, batch_id: str) -> Any:
    status, body = world.call("GET", f"/batches/{batch_id}/history")
    assert (status, body["object"], body["batch_id"]) == (200, "batch.history", batch_id)
    return body["points"]


def test_a_running_batch_shows_what_was_committed_so_far(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(6)))
    nightlane.deliver("plan")
    nightlane.pass_time(3)
    nightlane.complete_shard(batch_id, 0)
    points = points_of(nightlane, batch_id)
    batch = nightlane.batch(batch_id)
    assert batch.completed == sum(each["completed"] for each in points) > 0
    assert points[0]["start"] == batch.in_progress_at
    assert [each["start"] - points[0]["start"] for each in points] == list(range(len(points)))
    assert points[0] | {"start": 0} == {
        "start": 0,
        "seconds": 1,
        "completed": 0,
        "failed": 0,
        "mean_latency_ms": None,
    }


def test_a_batch_that_has_ended_keeps_its_history(nightlane: World, upstream: Upstream) -> None:
    upstream.script = lambda body, _: refusal(400) if "1?" in question(body) else None
    batch_id = nightlane.create(nightlane.upload(requests(6)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert batch.status is BatchStatus.COMPLETED
    assert list(nightlane.ports.batches.shards(batch_id)) == []
    points = points_of(nightlane, batch_id)
    assert sum(each["completed"] for each in points) == batch.completed == 5
    assert sum(each["failed"] for each in points) == batch.failed == 1
    assert any(each["mean_latency_ms"] is not None for each in points)


def test_a_batch_that_was_not_admitted_has_no_history(nightlane: World) -> None:
    first, waiting = (nightlane.create(nightlane.upload(requests(2))) for _ in range(2))
    for _ in range(2):
        nightlane.deliver("plan")
    assert points_of(nightlane, waiting) == []
    nightlane.call("POST", f"/batches/{waiting}/cancel")
    nightlane.run()
    assert nightlane.batch(waiting).status is BatchStatus.CANCELLED
    assert points_of(nightlane, waiting) == []
    assert points_of(nightlane, first) != []


class EndsMeanwhile:
    """A store in which a batch ends while its shards are read."""

    def __init__(self, world: World, batch_id: str) -> None:
        self._world, self._batch_id = world, batch_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.ports.batches, name)

    def shards(self, batch_id: str, first: int = 0) -> Any:
        assemble_batch(self._world.ports, self._batch_id)
        found: list[Shard] = list(self._world.ports.batches.shards(batch_id, first))
        assert found == []
        return iter(found)


def test_a_batch_that_ends_while_its_history_is_read_shows_all_of_it(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.deliver("plan")
    while nightlane.deliver("infer"):
        pass
    store: BatchStore = EndsMeanwhile(nightlane, batch_id)
    history = get_history(replace(nightlane.ports, batches=store), TENANT, batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert history is not None
    assert sum(each.completed for each in history.points) == 4
