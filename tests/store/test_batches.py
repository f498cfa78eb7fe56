"""The store's verbs, on moto always and on DynamoDB Local where `NIGHTLANE_TEST_DYNAMODB` names one."""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from infra.local.provision import create_table
from nightlane.aws.clients import Clients
from nightlane.aws.table import DynamoBatches, DynamoFiles, DynamoKeys, DynamoUpstreams
from nightlane.aws.table.connection import encode
from nightlane.aws.table.items import batch_key, part_to_text
from nightlane.domain.batch import Batch, BatchError, BatchRequest, BatchStatus, Outcome, Usage
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.ports import Admission, Due, Fenced
from nightlane.domain.shard import Checkpoint, DoneLines, Part, Shard, Suspicion
from nightlane.domain.trouble import Rest, Trouble
from nightlane.settings import Settings
from tests.moto_lock import one_write_at_a_time

NOW = 1_800_000_000
DYNAMODB_LOCAL = os.environ.get("NIGHTLANE_TEST_DYNAMODB")
ENGINES = ["moto", *(["DynamoDB Local"] if DYNAMODB_LOCAL else [])]


@pytest.fixture(params=ENGINES)
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Clients, str]]:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    name = f"table-{uuid.uuid4().hex}"
    if request.param == "moto":
        one_write_at_a_time(monkeypatch)
        with mock_aws():
            clients = Clients(session)
            create_table(clients, name)
            yield clients, name
    else:
        clients = Clients(session, DYNAMODB_LOCAL)
        create_table(clients, name)
        yield clients, name
        clients.dynamodb.delete_table(TableName=name)


@pytest.fixture
def store(table: tuple[Clients, str]) -> DynamoBatches:
    return DynamoBatches(table[0].dynamodb, table[1])


@pytest.fixture
def files(table: tuple[Clients, str]) -> DynamoFiles:
    return DynamoFiles(table[0].dynamodb, table[1])


@pytest.fixture
def upstreams(table: tuple[Clients, str]) -> DynamoUpstreams:
    return DynamoUpstreams(table[0].dynamodb, table[1])


def new_batch(number: int = 0, tenant: str = "acme") -> Batch:
    batch_id = f"batch_{number:032x}"
    return Batch(
        id=batch_id,
        tenant=tenant,
        request=BatchRequest(
            input_file_id="file-1",
            endpoint="/v1/completions",
            completion_window="24h",
            metadata={"é": "中", "": ""},
            output_expires_after=3_600,
        ),
        status=BatchStatus.VALIDATING,
        listed=f"{NOW * 1000 + number:013d}#{batch_id}",
        created_at=NOW,
        expires_at=NOW + 86_400,
    )


def planning(store: DynamoBatches, number: int = 0) -> Batch:
    batch = new_batch(number)
    store.create_batch(batch, NOW + 60)
    begun = store.begin_planning(batch.id, NOW + 60)
    assert begun is not None
    return begun


def planned(store: DynamoBatches, number: int = 0, shards: int = 2) -> Batch:
    batch = planning(store, number)
    assert store.record_plan(batch, manifest_key="work/m", shards=shards, total=6, model="m")
    return look(store, batch)


def running(store: DynamoBatches, number: int = 0, shards: int = 2) -> Batch:
    batch = planned(store, number, shards)
    assert store.admit_batch(batch, 100, NOW + 1, NOW + 61) is Admission.ADMITTED
    return look(store, batch)


def assembling(store: DynamoBatches, batch: Batch, outcome: Outcome = Outcome.EXPIRED) -> Batch:
    assert store.close_batch(batch, outcome, NOW, NOW + 60, drained=outcome is Outcome.COMPLETED)
    begun = store.begin_assembly(batch.id, NOW + 60)
    assert begun is not None
    return begun


def look(store: DynamoBatches, batch: Batch) -> Batch:
    found = store.get_batch(batch.id)
    assert found is not None
    return found


def checkpoint(shard: Shard, *lines: int, finished: bool = False) -> Checkpoint:
    done = DoneLines(3, shard.done)
    for line in lines:
        done.add(line)
    part = Part(f"work/p/{shard.epoch}-{shard.commits}", min(lines), max(lines)) if lines else None
    usage = Usage(1, 2, 3, 4, 5) if lines else Usage()
    return Checkpoint(
        part=part,
        done=bytes(done),
        completed=len(lines),
        failed=0,
        usage=usage,
        model="m-2" if lines else None,
        finished=finished,
    )


def file(number: int, purpose: FilePurpose = FilePurpose.BATCH, tenant: str = "acme") -> StoredFile:
    return StoredFile(
        id=f"file-{number}",
        tenant=tenant,
        filename="中.jsonl",
        purpose=purpose,
        size=7,
        created_at=NOW,
        expires_at=NOW + 100,
        listed=f"{NOW * 1000 + number:013d}#file-{number}",
    )


def test_a_batch_is_created_once(store: DynamoBatches) -> None:
    batch = new_batch()
    assert store.create_batch(batch, NOW + 60) is None
    assert store.create_batch(batch, NOW + 60) == batch
    assert look(store, batch) == batch
    assert store.get_batch("batch_none") is None


def test_racing_creates_have_one_winner(store: DynamoBatches) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: store.create_batch(new_batch(), NOW), range(16)))
    assert answers.count(None) == 1


def test_batches_are_listed_by_tenant_newest_first(store: DynamoBatches) -> None:
    for number in range(5):
        store.create_batch(new_batch(number), NOW)
    store.create_batch(new_batch(9, tenant="other"), NOW)
    newest = store.list_batches("acme", None, 2)
    assert [batch.id for batch in newest] == [new_batch(number).id for number in (4, 3)]
    rest = store.list_batches("acme", newest[-1].listed, 10)
    assert [batch.id for batch in rest] == [new_batch(number).id for number in (2, 1, 0)]


def test_only_an_unplanned_batch_fails(store: DynamoBatches) -> None:
    batch = planning(store)
    errors = [BatchError("invalid_url", "no", "url", 3), BatchError("empty_file", "none")]
    assert store.fail_batch(batch, errors, NOW + 5)
    # As after an answer that was lost: it was this planner that failed the batch, and it stays as it is.
    assert store.fail_batch(batch, errors, NOW + 6)
    failed = look(store, batch)
    assert (failed.status, failed.failed_at, failed.errors) == (BatchStatus.FAILED, NOW + 5, tuple(errors))
    assert list(store.due(NOW + 10**6)) == []
    assert store.begin_planning(batch.id, NOW) is None
    assert not store.fail_batch(planned(store, 1), errors, NOW)


def test_waiting_batches_come_in_the_order_of_creation(store: DynamoBatches) -> None:
    for number in (2, 0, 1):
        planned(store, number)
    assert list(store.waiting_batches()) == [new_batch(number).id for number in range(3)]
    assert not store.record_plan(planned(store, 3), manifest_key="x", shards=1, total=1, model=None)


def test_no_more_batches_are_admitted_than_the_limit(store: DynamoBatches) -> None:
    batches = [planned(store, number) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda batch: store.admit_batch(batch, 2, NOW, NOW), batches))
    assert answers.count(Admission.ADMITTED) == 2
    admitted = store.admitted_batches()
    assert len(admitted) == 2
    assert set(store.waiting_batches()) == {batch.id for batch in batches} - admitted
    again = next(batch for batch in batches if batch.id in admitted)
    assert store.admit_batch(again, 2, NOW, NOW) is Admission.NOT_WAITING


def test_a_checkpoint_counts_once(store: DynamoBatches) -> None:
    batch = running(store)
    shard = store.begin_shard(batch.id, 0)
    saved = store.commit_checkpoint(shard, checkpoint(shard, 0, 2))
    # The answer was lost: the same checkpoint is sent again.
    assert store.commit_checkpoint(shard, checkpoint(shard, 0, 2)).commits == 1
    assert saved == store.get_shard(batch.id, 0) == next(store.shards(batch.id))
    store.commit_checkpoint(saved, checkpoint(saved, 1, finished=True))
    counted = look(store, batch)
    assert (counted.completed, counted.shards_done, counted.model) == (3, 1, "m-2")
    assert counted.usage == Usage(2, 4, 6, 8, 10)
    assert store.begin_shard(batch.id, 0).finished
    assert store.get_shard(batch.id, 0).epoch == 1


def test_a_replaced_worker_is_fenced_off(store: DynamoBatches) -> None:
    batch = running(store)
    old = store.begin_shard(batch.id, 0)
    new = store.begin_shard(batch.id, 0)
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


def test_what_is_held_against_lines_is_kept_by_commits_and_by_an_orderly_end(store: DynamoBatches) -> None:
    batch = running(store)
    shard = store.begin_shard(batch.id, 0)
    first = {4_799: Suspicion(failures=3), 0: Suspicion(1, NOW, 17, others_answered=True)}
    saved = store.commit_checkpoint(shard, replace(checkpoint(shard, 0), suspicions=first))
    assert saved.suspicions == store.get_shard(batch.id, 0).suspicions == first
    then = {2: Suspicion(refused_since=NOW)}
    store.release_shard(saved, then)
    assert store.begin_shard(batch.id, 0).suspicions == then
    # A worker that was replaced says nothing any more.
    store.release_shard(saved, first)
    assert store.get_shard(batch.id, 0).suspicions == then


def test_an_orderly_end_clears_the_suspect_and_the_strikes(store: DynamoBatches) -> None:
    batch = running(store)
    for _ in range(5):
        shard = store.begin_shard(batch.id, 0)
    suspected = store.mark_suspect(shard, 1)
    assert (suspected.strikes, suspected.suspect, suspected.suspect_strikes) == (5, 1, 1)
    store.release_shard(suspected, {})
    calm = store.get_shard(batch.id, 0)
    assert (calm.strikes, calm.suspect, calm.suspect_strikes, calm.suspicions) == (0, None, 0, {})


def test_lanes_that_commit_at_once_all_count(store: DynamoBatches) -> None:
    batch = running(store, shards=8)
    shards = [store.begin_shard(batch.id, index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda shard: store.commit_checkpoint(shard, checkpoint(shard, 0, 1, finished=True)), shards
            )
        )
    counted = look(store, batch)
    assert (counted.completed, counted.shards_done) == (16, 8)


def test_the_largest_shard_has_room_for_a_part_of_every_line(
    store: DynamoBatches, table: tuple[Clients, str]
) -> None:
    batch, most = running(store), Settings().shard_max_lines
    key = f"work/{batch.id}/parts/00000/00001-%05d.jsonl"
    parts = tuple(Part(key % commit, most - 1, most - 1) for commit in range(most))
    item = {
        "pk": batch_key(batch.id).pk,
        "sk": "SHARD#00000",
        "epoch": 1,
        "commits": most,
        "done": bytes(DoneLines.of(most, range(most))),
        "parts": [part_to_text(part) for part in parts],
    }
    table[0].dynamodb.put_item(TableName=table[1], Item=encode(item))
    assert store.begin_shard(batch.id, 0).parts == parts


def test_a_closed_batch_takes_no_commit(store: DynamoBatches) -> None:
    batch = running(store)
    shard = store.begin_shard(batch.id, 0)
    assert not store.close_batch(batch, Outcome.COMPLETED, NOW, NOW, drained=True)
    assert store.close_batch(batch, Outcome.EXPIRED, NOW + 9, NOW, drained=False)
    assert not store.close_batch(batch, Outcome.EXPIRED, NOW, NOW, drained=False)
    with pytest.raises(Fenced):
        store.commit_checkpoint(shard, checkpoint(shard, 0))
    closed = look(store, batch)
    assert (closed.status, closed.finalizing_at) == (BatchStatus.FINALIZING, NOW + 9)


def test_finishing_is_one_write(store: DynamoBatches, files: DynamoFiles) -> None:
    batch = running(store, shards=1)
    shard = store.begin_shard(batch.id, 0)
    store.commit_checkpoint(shard, checkpoint(shard, 0, 1, 2, finished=True))
    assert not store.finish_batch(look(store, batch), Outcome.COMPLETED, NOW, None, None)
    closed = assembling(store, look(store, batch), Outcome.COMPLETED)
    output = file(1, FilePurpose.BATCH_OUTPUT)
    assert store.finish_batch(closed, Outcome.COMPLETED, NOW + 20, output, None)
    # As after an answer that was lost: it was this assembler that ended the batch, and it stays as it is.
    assert store.finish_batch(closed, Outcome.COMPLETED, NOW + 21, None, None)
    ended = look(store, batch)
    assert (ended.status, ended.completed_at) == (BatchStatus.COMPLETED, NOW + 20)
    assert (ended.output_file_id, ended.error_file_id) == (output.id, None)
    assert files.get_file(output.id) == output
    assert store.admitted_batches() == frozenset()
    assert store.request_cancel(batch.id, NOW, NOW) is None


def test_a_cancel_and_an_end_have_one_winner(store: DynamoBatches) -> None:
    batch = running(store)
    closed = assembling(store, batch)
    cancelling = store.request_cancel(batch.id, NOW + 3, NOW + 3)
    assert cancelling is not None
    assert (cancelling.status, cancelling.cancelling_at) == (BatchStatus.CANCELLING, NOW + 3)
    assert store.request_cancel(batch.id, NOW + 4, NOW) is None
    assert not store.finish_batch(closed, Outcome.EXPIRED, NOW, None, None)
    assert store.finish_batch(cancelling, Outcome.CANCELLED, NOW + 5, None, None)
    assert look(store, batch).cancelled_at == NOW + 5


def test_of_two_planners_only_the_later_one_plans_or_fails_the_batch(store: DynamoBatches) -> None:
    for number, fails in enumerate((False, True)):
        earlier = planning(store, number)
        later = store.begin_planning(earlier.id, NOW + 90)
        assert later is not None
        assert (earlier.epoch, later.epoch) == (1, 2)
        assert not store.fail_batch(earlier, [], NOW)
        assert not store.record_plan(earlier, manifest_key="work/1", shards=1, total=1, model="m")
        if fails:
            assert store.fail_batch(later, [], NOW)
        else:
            assert store.record_plan(later, manifest_key="work/2", shards=2, total=6, model="m")
        assert not store.fail_batch(earlier, [], NOW)
        assert not store.record_plan(earlier, manifest_key="work/1", shards=1, total=1, model="m")
        assert store.begin_planning(earlier.id, NOW) is None
        assert look(store, earlier).manifest_key == (None if fails else "work/2")


def test_a_plan_whose_answer_was_lost_is_recorded_once(store: DynamoBatches) -> None:
    batch = planning(store)
    for _ in range(2):
        assert store.record_plan(batch, manifest_key="work/m", shards=2, total=6, model="m")
    assert list(store.waiting_batches()) == [batch.id]


def test_of_two_assemblers_only_the_later_one_ends_the_batch(
    store: DynamoBatches, files: DynamoFiles
) -> None:
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


def test_a_batch_that_is_open_or_unknown_is_not_assembled(store: DynamoBatches) -> None:
    assert store.begin_assembly(running(store).id, NOW) is None
    assert store.begin_assembly(planning(store, 1).id, NOW) is None
    assert store.begin_assembly("batch_none", NOW) is None
    assert store.begin_planning("batch_none", NOW) is None
    assert store.get_batch("batch_none") is None


def test_only_the_newest_step_keeps_the_sweeper_away(store: DynamoBatches) -> None:
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


def test_a_step_of_a_batch_that_has_ended_does_not_wake_the_sweeper(store: DynamoBatches) -> None:
    batch = assembling(store, running(store))
    assert store.finish_batch(batch, Outcome.EXPIRED, NOW, None, None)
    assert not store.hold_step(look(store, batch), NOW)
    assert list(store.due(NOW + 10**6)) == []


def test_the_shards_of_a_batch_can_be_forgotten(store: DynamoBatches) -> None:
    batch, other = running(store), running(store, 1)
    for index in range(60):
        store.begin_shard(batch.id, index)
    store.begin_shard(other.id, 0)
    store.forget_shards(batch.id)
    store.forget_shards(batch.id)
    assert list(store.shards(batch.id)) == []
    assert len(list(store.shards(other.id))) == 1
    assert look(store, batch) == batch


def test_what_is_due_is_found_and_nothing_else(store: DynamoBatches, files: DynamoFiles) -> None:
    batch = new_batch()
    store.create_batch(batch, NOW + 60)
    files.put_file(file(1))
    assert list(store.due(NOW + 59)) == []
    assert list(store.due(NOW + 60)) == [Due(batch_id=batch.id)]
    assert set(store.due(NOW + 100)) == {Due(batch_id=batch.id), Due(file_id="file-1")}
    store.look_again(batch, 7, NOW + 500)
    assert list(store.due(NOW + 60)) == []
    assert look(store, batch).progress_seen == 7
    store.look_again(replace(batch, status=BatchStatus.FINALIZING), 8, NOW)
    assert look(store, batch).progress_seen == 7


BUSY = Trouble("overloaded", 503, "«busy»", NOW - 9)
SILENT = Trouble("unreachable", None, "", NOW)


def test_the_trouble_of_an_open_batch_lasts_until_a_line_completes(store: DynamoBatches) -> None:
    batch = running(store)
    for trouble in (BUSY, SILENT):
        store.note_trouble(batch.id, trouble)
        assert look(store, batch).trouble == trouble
    shard = store.begin_shard(batch.id, 0)
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


def test_a_batch_at_rest_is_due_then_and_rests_no_more_once_it_is_dispatched(store: DynamoBatches) -> None:
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


def test_only_a_batch_that_runs_can_rest(store: DynamoBatches) -> None:
    assert not store.rest_batch(planned(store).id, NOW)
    assert not store.rest_batch("batch_none", NOW)
    closed, cancelled = running(store, 1), running(store, 2)
    store.close_batch(closed, Outcome.EXPIRED, NOW, NOW, drained=False)
    store.request_cancel(cancelled.id, NOW, NOW)
    for batch in (closed, cancelled):
        assert not store.rest_batch(batch.id, NOW)
        assert not look(store, batch).is_resting


def test_a_rest_is_agreed_on_and_ends(upstreams: DynamoUpstreams) -> None:
    here, there = "https://one.example/v1", "https://two.example/v1"
    assert upstreams.get_rest(here) is None
    first = Rest(NOW + 60, 1, BUSY)
    assert upstreams.begin_rest(here, first, None) == first
    assert upstreams.get_rest(here) == first
    assert upstreams.get_rest(there) is None
    second = Rest(NOW + 180, 2, SILENT)
    assert upstreams.begin_rest(here, second, first) == second
    assert upstreams.get_rest(here) == second
    for _ in range(2):
        upstreams.end_rest(here)
        assert upstreams.get_rest(here) is None
    upstreams.end_rest(there)
    # Who saw the earlier rest may still begin the next, though it was ended meanwhile.
    assert upstreams.begin_rest(here, second, first) == second


def test_of_lanes_that_find_out_together_one_says_how_long_all_rest(upstreams: DynamoUpstreams) -> None:
    for round_ in range(2):
        previous = upstreams.get_rest("https://one.example/v1")
        rests = [Rest(NOW + 1_000 * round_ + lane, round_ + 1, BUSY) for lane in range(8)]
        with ThreadPoolExecutor(8) as pool:
            agreed = list(
                pool.map(
                    lambda rest, known=previous: upstreams.begin_rest("https://one.example/v1", rest, known),
                    rests,
                )
            )
        assert len(set(agreed)) == 1
        assert agreed[0] in rests
        assert upstreams.get_rest("https://one.example/v1") == agreed[0]


def test_files_are_listed_both_ways_across_purposes(files: DynamoFiles) -> None:
    purposes = (FilePurpose.BATCH, FilePurpose.VISION, FilePurpose.BATCH_OUTPUT)
    for number in range(6):
        files.put_file(file(number, purposes[number % 3]))
    files.put_file(file(9, tenant="other"))
    newest = files.list_files("acme", purposes, None, 4, NOW, newest_first=True)
    assert [each.id for each in newest] == ["file-5", "file-4", "file-3", "file-2"]
    position = files.list_position("file-2", "acme")
    oldest = files.list_files("acme", purposes[:2], position, 10, NOW, newest_first=False)
    assert [each.id for each in oldest] == ["file-3", "file-4"]
    assert files.list_position("file-2", "other") is None


def test_a_deleted_file_leaves_its_place(files: DynamoFiles, store: DynamoBatches) -> None:
    files.put_file(file(1))
    assert files.delete_file(file(1), NOW)
    assert not files.delete_file(file(1), NOW)
    assert files.get_file("file-1") is None
    assert files.get_file("file-1", deleted=True) == file(1)
    assert files.list_position("file-1", "acme") == file(1).listed
    assert list(store.due(NOW)) == [Due(file_id="file-1")]
    files.forget_file("file-1")
    files.forget_file("file-none")
    assert list(store.due(NOW + 10**6)) == []


def test_a_key_has_one_tenant(table: tuple[Clients, str]) -> None:
    keys = DynamoKeys(table[0].dynamodb, table[1])
    keys.put_key("sk-1", "acme")
    keys.put_key("sk-1", "other")
    assert (keys.tenant_of("sk-1"), keys.tenant_of("sk-2")) == ("acme", None)
