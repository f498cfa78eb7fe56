"""Two planners or assemblers of one batch at once: the later one wins, the earlier one changes nothing."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from nightlane.domain.assembly import assemble_batch
from nightlane.domain.batch import BatchStatus
from nightlane.domain.dead_letters import fail_plan
from nightlane.domain.planning import plan_batch
from nightlane.settings import Settings
from tests.interruptions import InterruptedBlobs, InterruptedModels, once
from tests.upstream import Upstream, only, serving
from tests.world import World, moto_world, requests

LINES = 6


@pytest.fixture
def nightlane() -> Iterator[World]:
    with serving(Upstream()) as upstream:
        settings = Settings(upstreams=only(upstream.url), shard_max_lines=4, worker_lease_seconds=5)
        with moto_world(settings) as running:
            yield running


@pytest.fixture
def blobs(nightlane: World) -> InterruptedBlobs:
    return InterruptedBlobs(nightlane)


def create_batch(nightlane: World) -> tuple[str, str]:
    """Create a batch; returns its id and its input file's."""
    file_id = nightlane.upload(requests(LINES))
    return nightlane.create(file_id), file_id


def objects(nightlane: World, prefix: str) -> dict[str, int]:
    """Return the keys and sizes of the objects in the bucket."""
    listed = nightlane.clients.s3.list_objects_v2(Bucket=nightlane.ports.settings.bucket_name, Prefix=prefix)
    return {entry["Key"]: entry["Size"] for entry in listed.get("Contents", [])}


def assert_completed(nightlane: World, batch_id: str) -> None:
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, LINES, 0)
    assert len(nightlane.lines(batch.output_file_id)) == LINES


def assert_files_match_their_records(nightlane: World, batch_id: str, *others: str) -> None:
    """Every object belongs to a file record and has its size, so losing assemblers left nothing behind."""
    batch = nightlane.batch(batch_id)
    ids = [each for each in (batch.output_file_id, batch.error_file_id, *others) if each is not None]
    files = [nightlane.ports.files.get_file(each) for each in ids]
    assert objects(nightlane, "files/") == {file.blob_key: file.size for file in files if file is not None}
    assert objects(nightlane, "work/") == {}


def test_a_planner_that_was_overtaken_does_not_touch_the_plan(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, _ = create_batch(nightlane)
    blobs.after_a_chunk = once(lambda: plan_batch(nightlane.ports, nightlane.models, batch_id))
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.epoch) == (BatchStatus.IN_PROGRESS, 2)
    assert set(objects(nightlane, "work/")) == {f"work/{batch_id}/input.jsonl", batch.manifest_key}
    assert_completed(nightlane, batch_id)


def test_a_planner_that_finds_the_input_deleted_does_not_touch_the_other_plan(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = create_batch(nightlane)

    def plan_and_delete_input() -> None:
        plan_batch(nightlane.ports, nightlane.models, batch_id)
        assert nightlane.call("DELETE", f"/files/{file_id}")[0] == 200

    blobs.before_a_copy = once(plan_and_delete_input)
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.IN_PROGRESS
    assert_completed(nightlane, batch_id)


def test_a_planner_to_whom_the_upstream_denies_the_model_does_not_touch_the_other_plan(
    nightlane: World,
) -> None:
    batch_id, _ = create_batch(nightlane)
    models = InterruptedModels(lambda: plan_batch(nightlane.ports, nightlane.models, batch_id))
    plan_batch(nightlane.ports, models, batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.IN_PROGRESS
    assert_completed(nightlane, batch_id)


def test_a_planner_stops_quietly_if_another_has_failed_the_batch(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = create_batch(nightlane)
    strict = InterruptedModels()
    blobs.before_a_read = once(lambda: plan_batch(nightlane.ports, strict, batch_id))
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.FAILED
    assert_files_match_their_records(nightlane, batch_id, file_id)


def test_a_dead_letter_fails_the_batch_while_a_planner_is_still_working(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, _ = create_batch(nightlane)
    blobs.after_a_chunk = once(lambda: fail_plan(nightlane.ports, batch_id))
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    batch = nightlane.batch(batch_id)
    assert (batch.status, [error.code for error in batch.errors]) == (BatchStatus.FAILED, ["server_error"])
    assert list(nightlane.ports.batches.waiting_batches()) == []


def test_a_dead_letter_for_a_planned_batch_changes_nothing(nightlane: World) -> None:
    batch_id, _ = create_batch(nightlane)
    nightlane.deliver("plan")
    planned = nightlane.batch(batch_id)
    fail_plan(nightlane.ports, batch_id)
    assert nightlane.batch(batch_id) == planned


def test_the_sweeper_starts_no_second_planner_during_a_long_planning(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(5_000)))
    nightlane.receive("plan")
    before = nightlane.waiting_messages()
    started_at = nightlane.ports.now()

    def pass_time() -> None:
        nightlane.pass_time(25)
        nightlane.sweep()
        assert nightlane.waiting_messages() == before

    blobs.after_a_chunk = pass_time
    settings = nightlane.ports.settings.model_copy(update={"shard_max_lines": 4_800})
    plan_batch(replace(nightlane.ports, blobs=blobs, settings=settings), nightlane.models, batch_id)
    assert nightlane.ports.now() - started_at > 2 * nightlane.ports.settings.redrive_seconds
    assert nightlane.batch(batch_id).epoch == 1


def run_until_assembly(nightlane: World) -> tuple[str, str]:
    """Run a batch until all its lines are answered; returns its id and its input file's."""
    batch_id, file_id = create_batch(nightlane)
    nightlane.deliver("plan")
    while nightlane.deliver("infer"):
        pass
    assert nightlane.batch(batch_id).status is BatchStatus.FINALIZING
    return batch_id, file_id


def expire(nightlane: World) -> tuple[str, str]:
    """Let a batch expire before all its lines have run; returns its id and its input file's."""
    batch_id, file_id = create_batch(nightlane)
    nightlane.deliver("plan")
    nightlane.complete_shard(batch_id, 0)
    nightlane.pass_time(86_406)
    nightlane.sweep()
    assert nightlane.batch(batch_id).status is BatchStatus.FINALIZING
    return batch_id, file_id


def codes(nightlane: World, batch_id: str) -> list[str]:
    return [line["error"]["code"] for line in nightlane.lines(nightlane.batch(batch_id).error_file_id)]


def test_an_assembler_that_writes_after_the_winner_leaves_nothing_behind(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = expire(nightlane)

    def cancel_and_assemble() -> None:
        assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
        assemble_batch(nightlane.ports, batch_id)

    # After the cancel, the two assemblers write lines of different lengths.
    blobs.before_an_object_appears = once(cancel_and_assemble)
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.CANCELLED
    assert codes(nightlane, batch_id) == ["batch_cancelled"] * 2
    assert_files_match_their_records(nightlane, batch_id, file_id)


def test_an_assembler_whose_parts_the_winner_has_deleted_stops_quietly(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = run_until_assembly(nightlane)
    blobs.before_a_read = once(lambda: assemble_batch(nightlane.ports, batch_id))
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert_completed(nightlane, batch_id)
    assert_files_match_their_records(nightlane, batch_id, file_id)


def test_a_cancel_during_an_assembly_is_handled_by_the_same_assembler(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = expire(nightlane)

    def cancel() -> None:
        assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200

    blobs.before_an_object_appears = once(cancel)
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.CANCELLED
    assert codes(nightlane, batch_id) == ["batch_cancelled"] * 2
    assert_files_match_their_records(nightlane, batch_id, file_id)


def test_what_a_crashed_assembler_wrote_is_deleted_by_the_next(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = run_until_assembly(nightlane)

    def crash() -> None:
        raise ConnectionError("the process is gone")

    # At that point its objects have been written, but its batch has not ended.
    blobs.before_a_deletion = crash
    with pytest.raises(ConnectionError):
        assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert len(objects(nightlane, "files/")) == 2
    assert_completed(nightlane, batch_id)
    assert_files_match_their_records(nightlane, batch_id, file_id)


def test_a_redelivered_message_finishes_the_cleanup_of_a_crashed_assembler(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = run_until_assembly(nightlane)
    left = list(nightlane.ports.batches.shards(batch_id))

    def crash_after_the_end() -> None:
        if nightlane.batch(batch_id).status.is_terminal:
            raise ConnectionError("the process is gone")

    blobs.before_a_deletion = crash_after_the_end
    with pytest.raises(ConnectionError):
        assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert list(nightlane.ports.batches.shards(batch_id)) == left
    assert_completed(nightlane, batch_id)
    assert list(nightlane.ports.batches.shards(batch_id)) == []
    assert_files_match_their_records(nightlane, batch_id, file_id)


def test_the_sweeper_starts_no_second_assembler_during_a_long_assembly(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, _ = run_until_assembly(nightlane)
    nightlane.receive("assemble")
    before = nightlane.waiting_messages()
    started_at = nightlane.ports.now()

    def pass_time() -> None:
        nightlane.pass_time(25)
        nightlane.sweep()
        assert nightlane.waiting_messages() == before

    blobs.after_a_line = pass_time
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert nightlane.ports.now() - started_at > 2 * nightlane.ports.settings.redrive_seconds
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.epoch) == (BatchStatus.COMPLETED, 2)
