"""Planning and assembly: of concurrent steps only the newest can write, on every store."""

from nightlane.domain.batch import BatchError, BatchStatus, Outcome
from nightlane.domain.file import FilePurpose
from nightlane.domain.stores import BatchStore, Due, FileStore
from tests.store.examples import NOW, assembling, begin, checkpoint, file, look, planned, planning, running


def test_only_an_unplanned_batch_fails(store: BatchStore) -> None:
    batch = planning(store)
    errors = [BatchError("invalid_url", "no", "url", 3), BatchError("empty_file", "none")]
    assert store.fail_batch(batch, errors, NOW + 5)
    # As if the response was lost: this planner has failed the batch, so repeating it changes nothing.
    assert store.fail_batch(batch, errors, NOW + 6)
    failed = look(store, batch)
    assert (failed.status, failed.failed_at, failed.errors) == (BatchStatus.FAILED, NOW + 5, tuple(errors))
    assert list(store.due(NOW + 10**6)) == []
    assert store.begin_planning(batch.id, NOW) is None
    assert not store.fail_batch(planned(store, 1), errors, NOW)


def test_finishing_a_batch_is_one_write(store: BatchStore, files: FileStore) -> None:
    batch = running(store, shards=1)
    shard = begin(store, batch, 0)
    store.commit_checkpoint(shard, checkpoint(shard, 0, 1, 2, finished=True))
    assert not store.finish_batch(look(store, batch), Outcome.COMPLETED, NOW, None, None)
    closed = assembling(store, look(store, batch), Outcome.COMPLETED)
    output = file(1, FilePurpose.BATCH_OUTPUT)
    assert store.finish_batch(closed, Outcome.COMPLETED, NOW + 20, output, None)
    # As if the response was lost: this assembler has ended the batch, so repeating it changes nothing.
    assert store.finish_batch(closed, Outcome.COMPLETED, NOW + 21, None, None)
    ended = look(store, batch)
    assert (ended.status, ended.completed_at) == (BatchStatus.COMPLETED, NOW + 20)
    assert (ended.output_file_id, ended.error_file_id) == (output.id, None)
    assert files.get_file(output.id) == output
    assert store.slots().running == {}
    assert store.request_cancel(batch.id, NOW, NOW) is None


def test_of_a_concurrent_cancel_and_finish_only_one_succeeds(store: BatchStore) -> None:
    batch = running(store)
    closed = assembling(store, batch)
    cancelling = store.request_cancel(batch.id, NOW + 3, NOW + 3)
    assert cancelling is not None
    assert (cancelling.status, cancelling.cancelling_at) == (BatchStatus.CANCELLING, NOW + 3)
    assert store.request_cancel(batch.id, NOW + 4, NOW) is None
    assert not store.finish_batch(closed, Outcome.EXPIRED, NOW, None, None)
    assert store.finish_batch(cancelling, Outcome.CANCELLED, NOW + 5, None, None)
    assert look(store, batch).cancelled_at == NOW + 5


def test_only_the_later_of_two_planners_can_plan_or_fail_the_batch(store: BatchStore) -> None:
    for number, fails in enumerate((False, True)):
        earlier = planning(store, number)
        later = store.begin_planning(earlier.id, NOW + 90)
        assert later is not None
        assert (earlier.epoch, later.epoch) == (1, 2)
        assert not store.fail_batch(earlier, [], NOW)
        assert not store.record_plan(earlier, manifest_key="work/1", shards=1, total=1, model="m", at=NOW)
        if fails:
            assert store.fail_batch(later, [], NOW)
        else:
            assert store.record_plan(later, manifest_key="work/2", shards=2, total=6, model="m", at=NOW)
        assert not store.fail_batch(earlier, [], NOW)
        assert not store.record_plan(earlier, manifest_key="work/1", shards=1, total=1, model="m", at=NOW)
        assert store.begin_planning(earlier.id, NOW) is None
        assert look(store, earlier).manifest_key == (None if fails else "work/2")


def test_a_plan_whose_response_was_lost_is_recorded_once(store: BatchStore) -> None:
    batch = planning(store)
    for _ in range(2):
        assert store.record_plan(batch, manifest_key="work/m", shards=2, total=6, model="m", at=NOW)
    assert [each.batch_id for each in store.waiting_batches()] == [batch.id]
    stored = look(store, batch)
    assert (stored.validated_at, stored.shown_status) == (NOW, BatchStatus.IN_PROGRESS)
    assert (stored.in_progress_at, stored.status) == (None, BatchStatus.VALIDATING)


def test_only_the_later_of_two_assemblers_can_end_the_batch(store: BatchStore, files: FileStore) -> None:
    earlier = assembling(store, running(store))
    later = store.begin_assembly(earlier.id, NOW + 90)
    assert later is not None
    assert later.epoch == earlier.epoch + 1
    for _ in range(2):
        assert not store.finish_batch(earlier, Outcome.EXPIRED, NOW, file(1), None)
        assert store.finish_batch(later, Outcome.EXPIRED, NOW + 1, file(2), None)
    assert look(store, earlier).output_file_id == "file-2"
    assert files.get_file("file-1") is None
    assert store.begin_assembly(earlier.id, NOW) is None


def test_an_open_or_unknown_batch_is_not_assembled(store: BatchStore) -> None:
    assert store.begin_assembly(running(store).id, NOW) is None
    assert store.begin_assembly(planning(store, 1).id, NOW) is None
    assert store.begin_assembly("batch_none", NOW) is None
    assert store.begin_planning("batch_none", NOW) is None
    assert store.get_batch("batch_none") is None


def test_only_the_newest_step_can_postpone_the_redrive(store: BatchStore) -> None:
    earlier = planning(store)
    later = store.begin_planning(earlier.id, NOW + 70)
    assert later is not None
    assert not store.hold_step(earlier, NOW + 500)
    assert list(store.due(NOW + 70)) == [Due(batch_id=earlier.id)]
    assert store.hold_step(later, NOW + 500)
    assert list(store.due(NOW + 499)) == []
    assert store.request_cancel(later.id, NOW, NOW + 60) is not None
    assert not store.hold_step(later, NOW + 500)
    assert list(store.due(NOW + 60)) == [Due(batch_id=later.id)]


def test_a_step_of_a_terminal_batch_does_not_wake_the_sweeper(store: BatchStore) -> None:
    batch = assembling(store, running(store))
    assert store.finish_batch(batch, Outcome.EXPIRED, NOW, None, None)
    assert not store.hold_step(look(store, batch), NOW)
    assert list(store.due(NOW + 10**6)) == []


def test_only_the_newest_assembler_records_a_problem_with_the_copies(store: BatchStore) -> None:
    batch = running(store, shards=1)
    first = assembling(store, batch)
    second = store.begin_assembly(batch.id, NOW + 60)
    assert second is not None
    store.note_output_problem(first, "old")
    assert look(store, batch).output_problem is None
    store.note_output_problem(second, "«new»")
    assert look(store, batch).output_problem == "«new»"
    store.note_output_problem(second, None)
    assert look(store, batch).output_problem is None
    assert store.finish_batch(second, Outcome.EXPIRED, NOW, None, None)
    store.note_output_problem(second, "late")
    assert look(store, batch).output_problem is None
