"""What the history of a batch is made of, on every store."""

from msgspec.structs import replace

from nightlane.domain.batch import Outcome
from nightlane.domain.shard import Part, Sample, part_key
from nightlane.domain.stores import BatchStore
from tests.store.examples import NOW, assembling, begin, checkpoint, look, running

SAMPLE = Sample(NOW, 30, 2, 1, 3, 6_000)


def test_a_part_keeps_what_its_checkpoint_took(store: BatchStore) -> None:
    batch = running(store, shards=1)
    shard = begin(store, batch)
    first = Part(part_key(shard), 0, 1, SAMPLE)
    saved = store.commit_checkpoint(shard, replace(checkpoint(shard, 0, 1), part=first))
    second = Part(part_key(saved), 2, 2)
    assert second.key != first.key
    store.commit_checkpoint(saved, replace(checkpoint(saved, 2, finished=True), part=second))
    (stored,) = store.shards(batch.id)
    assert stored.parts == (first, second)


def test_a_batch_gets_its_history_when_it_ends(store: BatchStore) -> None:
    batch = assembling(store, running(store))
    assert batch.history is None
    assert store.finish_batch(batch, Outcome.EXPIRED, NOW, None, None, "1:1:2,3,4")
    assert look(store, batch).history == "1:1:2,3,4"
    without = assembling(store, running(store, 1))
    assert store.finish_batch(without, Outcome.EXPIRED, NOW, None, None)
    assert look(store, without).history is None
