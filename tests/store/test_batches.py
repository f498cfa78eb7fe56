"""Batches from creation to their terminal status, on every store."""

from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from nightlane.domain.admission_order import Slots, Waiting
from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.stores import Admission, BatchStore, Due, FileStore
from tests.store.examples import (
    BUSY,
    NOW,
    SILENT,
    assembling,
    begin,
    checkpoint,
    file,
    look,
    new_batch,
    planned,
    running,
)


def test_a_batch_is_created_once(store: BatchStore) -> None:
    batch = new_batch()
    assert store.create_batch(batch, NOW + 60) is None
    assert store.create_batch(batch, NOW + 60) == batch
    assert look(store, batch) == batch
    assert store.get_batch("batch_none") is None


def test_concurrent_creates_have_one_winner(store: BatchStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: store.create_batch(new_batch(), NOW), range(16)))
    assert answers.count(None) == 1


def test_batches_are_listed_by_tenant_newest_first(store: BatchStore) -> None:
    for number in range(5):
        store.create_batch(new_batch(number), NOW)
    store.create_batch(new_batch(9, tenant="other"), NOW)
    newest = store.list_batches("acme", None, 2)
    assert [batch.id for batch in newest] == [new_batch(number).id for number in (4, 3)]
    rest = store.list_batches("acme", newest[-1].listed, 10)
    assert [batch.id for batch in rest] == [new_batch(number).id for number in (2, 1, 0)]


def test_waiting_batches_have_all_that_their_order_depends_on(store: BatchStore) -> None:
    for number in (2, 0, 1):
        planned(store, number, tenant=f"tenant-{number}")
    batches = [new_batch(number, f"tenant-{number}") for number in range(3)]
    assert list(store.waiting_batches()) == [
        Waiting(batch.id, batch.tenant, batch.expires_at, batch.listed) for batch in batches
    ]
    assert not store.record_plan(planned(store, 3), manifest_key="x", shards=1, total=1, model=None, at=NOW)


def admit(store: BatchStore, batch: Batch, limit: int = 2) -> Admission:
    recent = store.slots().recent_with(batch.tenant)
    return store.admit_batch(batch, limit, NOW, NOW, recent=recent)


def test_the_slots_name_the_tenants_of_running_batches_and_of_the_last_admissions(store: BatchStore) -> None:
    assert store.slots() == Slots({})
    batches = [planned(store, number, tenant=tenant) for number, tenant in enumerate(("b", "c", "b"))]
    for batch in batches:
        assert admit(store, batch, limit=3) is Admission.ADMITTED
    assert store.slots() == Slots({batch.id: batch.tenant for batch in batches}, ("b", "c"))
    first = assembling(store, look(store, batches[0]))
    assert store.finish_batch(first, Outcome.EXPIRED, NOW, None, None)
    assert store.slots() == Slots({batches[1].id: "c", batches[2].id: "b"}, ("b", "c"))


def test_an_admission_that_fails_leaves_the_slots_as_they_are(store: BatchStore) -> None:
    first, second = (planned(store, number, tenant=f"tenant-{number}") for number in range(2))
    assert admit(store, first, limit=1) is Admission.ADMITTED
    slots = store.slots()
    assert admit(store, second, limit=1) is Admission.FULL
    assert admit(store, first, limit=2) is Admission.NOT_WAITING
    assert store.slots() == slots


def test_no_more_batches_are_admitted_than_the_limit(store: BatchStore) -> None:
    batches = [planned(store, number) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda batch: admit(store, batch), batches))
    assert answers.count(Admission.ADMITTED) == 2
    admitted = set(store.slots().running)
    assert len(admitted) == 2
    assert {each.batch_id for each in store.waiting_batches()} == {batch.id for batch in batches} - admitted
    again = next(batch for batch in batches if batch.id in admitted)
    assert admit(store, again) is Admission.NOT_WAITING


def test_only_batches_and_files_that_are_due_are_returned(store: BatchStore, files: FileStore) -> None:
    batch = new_batch()
    store.create_batch(batch, NOW + 60)
    files.put_file(file(1))
    assert list(store.due(NOW + 59)) == []
    assert list(store.due(NOW + 60)) == [Due(batch_id=batch.id)]
    assert set(store.due(NOW + 100)) == {Due(batch_id=batch.id), Due(file_id="file-1")}
    store.record_sweep(batch, 7, NOW + 500)
    assert list(store.due(NOW + 60)) == []
    assert look(store, batch).progress_seen == 7
    store.record_sweep(replace(batch, status=BatchStatus.FINALIZING), 8, NOW)
    assert look(store, batch).progress_seen == 7


def test_the_trouble_of_an_open_batch_lasts_until_a_line_completes(store: BatchStore) -> None:
    batch = running(store)
    for trouble in (BUSY, SILENT):
        store.note_trouble(batch.id, trouble)
        assert look(store, batch).trouble == trouble
    shard = begin(store, batch, 0)
    failed = replace(checkpoint(shard, 0), completed=0, failed=1)
    shard = store.commit_checkpoint(shard, failed)
    assert look(store, batch).trouble == SILENT
    store.commit_checkpoint(shard, checkpoint(shard, 1))
    assert look(store, batch).trouble is None
    store.close_batch(look(store, batch), Outcome.EXPIRED, NOW, NOW, drained=False)
    store.note_trouble(batch.id, BUSY)
    store.note_trouble("batch_none", BUSY)
    assert look(store, batch).trouble is None
    assert store.get_batch("batch_none") is None


def test_a_resting_batch_becomes_due_and_stops_resting_when_it_is_dispatched(store: BatchStore) -> None:
    batch = running(store)
    store.record_dispatch(batch.id, 1, NOW + 600)
    assert store.rest_batch(batch.id, NOW + 300)
    assert look(store, batch).is_resting
    assert list(store.due(NOW + 299)) == []
    assert list(store.due(NOW + 300)) == [Due(batch_id=batch.id)]
    store.record_dispatch(batch.id, 2, NOW + 900)
    again = look(store, batch)
    assert (again.is_resting, again.dispatches) == (False, 2)
    assert list(store.due(NOW + 899)) == []


def test_only_a_running_batch_can_rest(store: BatchStore) -> None:
    assert not store.rest_batch(planned(store).id, NOW)
    assert not store.rest_batch("batch_none", NOW)
    closed, cancelled = running(store, 1), running(store, 2)
    store.close_batch(closed, Outcome.EXPIRED, NOW, NOW, drained=False)
    store.request_cancel(cancelled.id, NOW, NOW)
    for batch in (closed, cancelled):
        assert not store.rest_batch(batch.id, NOW)
        assert not look(store, batch).is_resting


def test_a_retry_remembers_the_batch_that_it_repeats(store: BatchStore) -> None:
    batch = new_batch()
    batch = replace(batch, request=replace(batch.request, retry_of="batch_0"))
    store.create_batch(batch, NOW)
    assert look(store, batch) == batch
