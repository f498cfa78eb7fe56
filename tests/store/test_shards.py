"""Shards, checkpoints and fenced workers, on every store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from nightlane.domain.batch import BatchStatus, Outcome, Usage
from nightlane.domain.shard import Shard, Suspicion
from nightlane.domain.stores import BatchStore, Fenced
from tests.store.examples import (
    NOW,
    begin,
    checkpoint,
    look,
    running,
)


def test_a_repeated_checkpoint_counts_once(store: BatchStore) -> None:
    batch = running(store)
    shard = begin(store, batch, 0)
    saved = store.commit_checkpoint(shard, checkpoint(shard, 0, 2))
    # As if the response was lost: the same checkpoint is sent again.
    assert store.commit_checkpoint(shard, checkpoint(shard, 0, 2)).commits == 1
    assert saved == store.get_shard(batch.id, 0) == next(store.shards(batch.id))
    store.commit_checkpoint(saved, checkpoint(saved, 1, finished=True))
    counted = look(store, batch)
    assert (counted.completed, counted.shards_done, counted.model) == (3, 1, "m-2")
    assert counted.usage == Usage(2, 4, 6, 8, 10)
    with pytest.raises(Fenced):
        begin(store, batch, 0)
    assert store.get_shard(batch.id, 0).epoch == 1


def test_only_one_of_racing_lanes_begins_a_shard(store: BatchStore) -> None:
    batch = running(store)
    seen = store.get_shard(batch.id, 0)

    def race(lane: int) -> Shard | None:
        try:
            return store.begin_shard(seen, lane, NOW + 9)
        except Fenced:
            return None

    with ThreadPoolExecutor(8) as pool:
        (begun,) = filter(None, pool.map(race, range(8)))
    assert (begun.epoch, begun.strikes) == (1, 1)
    assert store.get_shard(batch.id, 0) == begun
    # The same lane continues it.
    assert begin(store, batch, 0, begun.lane or 0).epoch == 2


def test_a_replaced_worker_is_fenced_off(store: BatchStore) -> None:
    batch = running(store)
    old = begin(store, batch, 0)
    new = begin(store, batch, 0)
    assert (new.epoch, new.strikes) == (2, 2)
    with pytest.raises(Fenced):
        store.commit_checkpoint(old, checkpoint(old, 0))
    with pytest.raises(Fenced):
        store.mark_suspect(old, 0)
    store.release_shard(old, {})
    assert store.get_shard(batch.id, 0).strikes == 2
    suspected = store.mark_suspect(store.mark_suspect(new, 1), 1)
    assert (suspected.suspect, suspected.suspect_strikes) == (1, 2)
    store.commit_checkpoint(suspected, checkpoint(suspected, 1))
    calm = store.get_shard(batch.id, 0)
    assert (calm.suspect, calm.strikes) == (None, 0)


def test_suspicions_are_stored_by_commits_and_by_an_orderly_end(store: BatchStore) -> None:
    batch = running(store)
    shard = begin(store, batch, 0)
    first = {4_799: Suspicion(failures=3), 0: Suspicion(1, NOW, 17, others_answered=True)}
    saved = store.commit_checkpoint(shard, replace(checkpoint(shard, 0), suspicions=first))
    assert saved.suspicions == store.get_shard(batch.id, 0).suspicions == first
    then = {2: Suspicion(refused_since=NOW)}
    store.release_shard(saved, then)
    assert begin(store, batch, 0).suspicions == then
    # A worker that was replaced can no longer change them.
    store.release_shard(saved, first)
    assert store.get_shard(batch.id, 0).suspicions == then


def test_an_orderly_end_clears_the_suspect_and_the_strikes(store: BatchStore) -> None:
    batch = running(store)
    for _ in range(5):
        shard = begin(store, batch, 0)
    suspected = store.mark_suspect(shard, 1)
    assert (suspected.strikes, suspected.suspect, suspected.suspect_strikes) == (5, 1, 1)
    store.release_shard(suspected, {})
    calm = store.get_shard(batch.id, 0)
    assert (calm.strikes, calm.suspect, calm.suspect_strikes, calm.suspicions) == (0, None, 0, {})


def test_concurrent_commits_of_all_lanes_are_counted(store: BatchStore) -> None:
    batch = running(store, shards=8)
    shards = [begin(store, batch, index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda shard: store.commit_checkpoint(shard, checkpoint(shard, 0, 1, finished=True)), shards
            )
        )
    counted = look(store, batch)
    assert (counted.completed, counted.shards_done) == (16, 8)


def test_a_closed_batch_accepts_no_commit(store: BatchStore) -> None:
    batch = running(store)
    shard = begin(store, batch, 0)
    assert not store.close_batch(batch, Outcome.COMPLETED, NOW, NOW, drained=True)
    assert store.close_batch(batch, Outcome.EXPIRED, NOW + 9, NOW, drained=False)
    assert not store.close_batch(batch, Outcome.EXPIRED, NOW, NOW, drained=False)
    with pytest.raises(Fenced):
        store.commit_checkpoint(shard, checkpoint(shard, 0))
    closed = look(store, batch)
    assert (closed.status, closed.finalizing_at) == (BatchStatus.FINALIZING, NOW + 9)


def test_the_shards_of_a_batch_can_be_deleted(store: BatchStore) -> None:
    batch, other = running(store), running(store, 1)
    for index in range(60):
        begin(store, batch, index)
    begin(store, other, 0)
    store.forget_shards(batch.id)
    store.forget_shards(batch.id)
    assert list(store.shards(batch.id)) == []
    assert len(list(store.shards(other.id))) == 1
    assert look(store, batch) == batch


def test_shards_are_listed_in_order_from_any_index(store: BatchStore) -> None:
    batch, other = running(store), running(store, 1)
    for index in (30, 2, 0, 12):
        begin(store, batch, index)
    begin(store, other, 20)
    for first, expected in ((0, [0, 2, 12, 30]), (2, [2, 12, 30]), (3, [12, 30]), (31, [])):
        assert [shard.index for shard in store.shards(batch.id, first)] == expected
