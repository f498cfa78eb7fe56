"""Two planners or two assemblers of one batch at once: the later one decides, the earlier changes nothing."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from nightlane.domain.assembly import assemble_batch
from nightlane.domain.batch import BatchStatus
from nightlane.domain.dead_letters import fail_plan
from nightlane.domain.planning import plan_batch
from nightlane.settings import Settings
from tests.interruptions import InterruptedBlobs, InterruptedModels, once
from tests.upstream import Upstream, serving
from tests.world import World, requests, world

LINES = 6


@pytest.fixture
def nightlane() -> Iterator[World]:
    with serving(Upstream()) as upstream:
        settings = Settings(upstream_url=upstream.url, shard_max_lines=4, worker_lease_seconds=5)
        with world(settings) as made:
            yield made


@pytest.fixture
def blobs(nightlane: World) -> InterruptedBlobs:
    return InterruptedBlobs(nightlane)


def created(nightlane: World) -> tuple[str, str]:
    """A new batch and its input file."""
    file_id = nightlane.upload(requests(LINES))
    return nightlane.create(file_id), file_id


def objects(nightlane: World, prefix: str) -> dict[str, int]:
    """The keys and sizes of what the bucket holds."""
    listed = nightlane.clients.s3.list_objects_v2(Bucket=nightlane.ports.settings.bucket_name, Prefix=prefix)
    return {entry["Key"]: entry["Size"] for entry in listed.get("Contents", [])}


def assert_completed(nightlane: World, batch_id: str) -> None:
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, LINES, 0)
    assert len(nightlane.lines(batch.output_file_id)) == LINES


def assert_files_are_what_their_records_say(nightlane: World, batch_id: str, *others: str) -> None:
    """No object is left of an assembler that lost, and none has another size than its record."""
    batch = nightlane.batch(batch_id)
    ids = [each for each in (batch.output_file_id, batch.error_file_id, *others) if each is not None]
    files = [nightlane.ports.files.get_file(each) for each in ids]
    assert objects(nightlane, "files/") == {file.blob_key: file.size for file in files if file is not None}
    assert objects(nightlane, "work/") == {}


def test_a_planner_that_was_overtaken_leaves_the_plan_alone(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, _ = created(nightlane)
    blobs.after_a_chunk = once(lambda: plan_batch(nightlane.ports, nightlane.models, batch_id))
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.epoch) == (BatchStatus.IN_PROGRESS, 2)
    assert set(objects(nightlane, "work/")) == {f"work/{batch_id}/input.jsonl", batch.manifest_key}
    assert_completed(nightlane, batch_id)


def test_a_planner_that_finds_the_input_deleted_leaves_the_plan_of_another_alone(nightlane: World) -> None:
    batch_id, file_id = created(nightlane)

    def another_plans_and_the_client_deletes_its_file() -> None:
        plan_batch(nightlane.ports, nightlane.models, batch_id)
        assert nightlane.call("DELETE", f"/files/{file_id}")[0] == 200

    models = InterruptedModels(meanwhile=another_plans_and_the_client_deletes_its_file)
    plan_batch(nightlane.ports, models, batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.IN_PROGRESS
    assert_completed(nightlane, batch_id)


def test_a_planner_with_another_list_of_models_leaves_the_plan_of_another_alone(nightlane: World) -> None:
    batch_id, _ = created(nightlane)
    models = InterruptedModels(
        frozenset({"something-else"}),
        meanwhile=lambda: plan_batch(nightlane.ports, nightlane.models, batch_id),
    )
    plan_batch(nightlane.ports, models, batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.IN_PROGRESS
    assert_completed(nightlane, batch_id)


def test_a_planner_whose_batch_another_has_failed_stops_quietly(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = created(nightlane)
    strict = InterruptedModels(frozenset({"something-else"}))
    blobs.before_a_read = once(lambda: plan_batch(nightlane.ports, strict, batch_id))
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.FAILED
    assert_files_are_what_their_records_say(nightlane, batch_id, file_id)


def test_a_dead_letter_fails_the_batch_under_a_planner_that_is_still_at_it(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, _ = created(nightlane)
    blobs.after_a_chunk = once(lambda: fail_plan(nightlane.ports, batch_id))
    plan_batch(replace(nightlane.ports, blobs=blobs), nightlane.models, batch_id)
    batch = nightlane.batch(batch_id)
    assert (batch.status, [error.code for error in batch.errors]) == (BatchStatus.FAILED, ["server_error"])
    assert list(nightlane.ports.batches.waiting_batches()) == []


def test_a_dead_letter_of_a_planned_batch_changes_nothing(nightlane: World) -> None:
    batch_id, _ = created(nightlane)
    nightlane.deliver("plan")
    planned = nightlane.batch(batch_id)
    fail_plan(nightlane.ports, batch_id)
    assert nightlane.batch(batch_id) == planned


def test_a_long_planning_gets_no_second_planner_from_the_sweeper(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(5_000)))
    nightlane.receive("plan")
    before = nightlane.waiting_messages()
    began = nightlane.ports.now()

    def time_passes() -> None:
        nightlane.pass_time(25)
        nightlane.sweep()
        assert nightlane.waiting_messages() == before

    blobs.after_a_chunk = time_passes
    settings = nightlane.ports.settings.model_copy(update={"shard_max_lines": 4_800})
    plan_batch(replace(nightlane.ports, blobs=blobs, settings=settings), nightlane.models, batch_id)
    assert nightlane.ports.now() - began > 2 * nightlane.ports.settings.redrive_seconds
    assert nightlane.batch(batch_id).epoch == 1


def run_but_for_its_assembly(nightlane: World) -> tuple[str, str]:
    """A batch whose every line is answered, and its input file."""
    batch_id, file_id = created(nightlane)
    nightlane.deliver("plan")
    while nightlane.deliver("infer"):
        pass
    assert nightlane.batch(batch_id).status is BatchStatus.FINALIZING
    return batch_id, file_id


def expired_and_closed(nightlane: World) -> tuple[str, str]:
    """A batch that expired with lines that never ran, and its input file."""
    batch_id, file_id = created(nightlane)
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    nightlane.pass_time(86_406)
    nightlane.sweep()
    assert nightlane.batch(batch_id).status is BatchStatus.FINALIZING
    return batch_id, file_id


def codes(nightlane: World, batch_id: str) -> list[str]:
    return [line["error"]["code"] for line in nightlane.lines(nightlane.batch(batch_id).error_file_id)]


def test_an_assembler_that_writes_after_the_winner_leaves_no_trace(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = expired_and_closed(nightlane)

    def a_cancel_comes_and_another_assembles() -> None:
        assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
        assemble_batch(nightlane.ports, batch_id)

    # So the two write lines of another length.
    blobs.before_an_object_appears = once(a_cancel_comes_and_another_assembles)
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.CANCELLED
    assert codes(nightlane, batch_id) == ["batch_cancelled"] * 2
    assert_files_are_what_their_records_say(nightlane, batch_id, file_id)


def test_an_assembler_whose_parts_the_winner_has_deleted_stops_quietly(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = run_but_for_its_assembly(nightlane)
    blobs.before_a_read = once(lambda: assemble_batch(nightlane.ports, batch_id))
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert_completed(nightlane, batch_id)
    assert_files_are_what_their_records_say(nightlane, batch_id, file_id)


def test_a_cancel_within_an_assembly_is_answered_by_the_same_assembler(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = expired_and_closed(nightlane)

    def a_cancel_comes() -> None:
        assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200

    blobs.before_an_object_appears = once(a_cancel_comes)
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert nightlane.batch(batch_id).status is BatchStatus.CANCELLED
    assert codes(nightlane, batch_id) == ["batch_cancelled"] * 2
    assert_files_are_what_their_records_say(nightlane, batch_id, file_id)


def test_what_a_crashed_assembler_wrote_is_deleted_by_the_next(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = run_but_for_its_assembly(nightlane)

    def crash() -> None:
        raise ConnectionError("the process is gone")

    # Its objects are there by then, its batch has not ended.
    blobs.before_a_deletion = crash
    with pytest.raises(ConnectionError):
        assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert len(objects(nightlane, "files/")) == 2
    assert_completed(nightlane, batch_id)
    assert_files_are_what_their_records_say(nightlane, batch_id, file_id)


def test_a_message_that_comes_again_tidies_up_after_an_assembler_that_crashed_at_it(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, file_id = run_but_for_its_assembly(nightlane)
    left = list(nightlane.ports.batches.shards(batch_id))

    def crash_once_it_has_ended() -> None:
        if nightlane.batch(batch_id).status.is_terminal:
            raise ConnectionError("the process is gone")

    blobs.before_a_deletion = crash_once_it_has_ended
    with pytest.raises(ConnectionError):
        assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert list(nightlane.ports.batches.shards(batch_id)) == left
    assert_completed(nightlane, batch_id)
    assert list(nightlane.ports.batches.shards(batch_id)) == []
    assert_files_are_what_their_records_say(nightlane, batch_id, file_id)


def test_a_long_assembly_gets_no_second_assembler_from_the_sweeper(
    nightlane: World, blobs: InterruptedBlobs
) -> None:
    batch_id, _ = run_but_for_its_assembly(nightlane)
    nightlane.receive("assemble")
    before = nightlane.waiting_messages()
    began = nightlane.ports.now()

    def time_passes() -> None:
        nightlane.pass_time(25)
        nightlane.sweep()
        assert nightlane.waiting_messages() == before

    blobs.after_a_line = time_passes
    assemble_batch(replace(nightlane.ports, blobs=blobs), batch_id)
    assert nightlane.ports.now() - began > 2 * nightlane.ports.settings.redrive_seconds
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.epoch) == (BatchStatus.COMPLETED, 2)
