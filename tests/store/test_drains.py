"""The drains of lanes, on every store."""

from msgspec.structs import replace

from nightlane.domain.handover import Drain
from nightlane.domain.stores import BatchStore
from tests.store.examples import NOW, new_batch, running

DRAIN = Drain("a" * 32, 7, NOW + 40)
BATCH = new_batch().id


def test_a_drain_is_replaced_by_its_holder_and_removed_at_its_end(store: BatchStore) -> None:
    assert list(store.drains(BATCH, 1)) == []
    store.put_drain(BATCH, 1, DRAIN, NOW + 99)
    store.put_drain(BATCH, 1, replace(DRAIN, in_flight=3), NOW + 99)
    assert list(store.drains(BATCH, 1)) == [replace(DRAIN, in_flight=3)]
    store.end_drain(BATCH, 1, DRAIN.holder)
    store.end_drain(BATCH, 1, DRAIN.holder)
    assert list(store.drains(BATCH, 1)) == []


def test_the_drains_of_a_lane_are_neither_those_of_others_nor_shards(store: BatchStore) -> None:
    batch = running(store)
    other = replace(DRAIN, holder="b" * 32)
    store.begin_shard(store.get_shard(batch.id, 0), 1)
    for lane, drain in ((1, DRAIN), (1, other), (10, DRAIN)):
        store.put_drain(batch.id, lane, drain, NOW + 99)
    assert list(store.drains(batch.id, 1)) == [DRAIN, other]
    assert [shard.index for shard in store.shards(batch.id)] == [0]
    store.end_drain(batch.id, 1, DRAIN.holder)
    assert (list(store.drains(batch.id, 1)), list(store.drains(batch.id, 10))) == ([other], [DRAIN])
