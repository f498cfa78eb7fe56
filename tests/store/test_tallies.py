"""What running a batch took is added up with its checkpoints, on every store."""

from msgspec.structs import replace

from nightlane.domain.stores import BatchStore
from nightlane.domain.tally import NO_TALLY, Tally
from tests.store.examples import begin, checkpoint, look, running

FIRST = Tally(
    checkpoints=1, output_bytes=20, requests=3, refusals=1, in_flight_ms=40, invocations=1, worker_ms=9
)


def test_tallies_of_checkpoints_are_added_once(store: BatchStore) -> None:
    batch = running(store, shards=1)
    assert look(store, batch).tally == NO_TALLY
    shard = begin(store, batch)
    first = replace(checkpoint(shard, 0), tally=FIRST)
    saved = store.commit_checkpoint(shard, first)
    # As if the response was lost.
    store.commit_checkpoint(shard, first)
    last = replace(checkpoint(saved, 1, 2, finished=True), tally=Tally(checkpoints=1, worker_ms=5))
    store.commit_checkpoint(saved, last)
    assert look(store, batch).tally == FIRST + Tally(checkpoints=1, worker_ms=5)
