"""The progress of a batch, an extension of OpenAI's API."""

from typing import Any

from nightlane.domain.batch import BatchStatus, Outcome
from tests.upstream import Upstream, refusal
from tests.world import World, requests


def get_batch(world: World, batch_id: str) -> Any:
    status, body = world.call("GET", f"/batches/{batch_id}")
    assert status == 200
    return body


def get_progress(world: World, batch_id: str) -> Any:
    status, body = world.call("GET", f"/batches/{batch_id}/progress")
    assert status == 200
    return body


def test_a_completed_batch_shows_its_lines_and_its_rate(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(6)))
    nightlane.run()
    progress = get_progress(nightlane, batch_id)
    assert progress["object"] == "batch.progress"
    assert progress["batch_id"] == batch_id
    assert progress["status"] == "completed"
    assert progress["lines"] == {"total": 6, "completed": 6, "failed": 0, "unfinished": 0}
    assert progress["lines_per_second"] > 0
    assert progress["waits_for"] is progress["seconds_left"] is progress["last_refusal"] is None


def test_a_batch_behind_another_waits_for_a_slot(nightlane: World) -> None:
    nightlane.create(nightlane.upload(requests(2)))
    second = nightlane.create(nightlane.upload(requests(2)))
    nightlane.deliver("plan")
    nightlane.deliver("plan")
    progress = get_progress(nightlane, second)
    batch = nightlane.batch(second)
    assert (progress["waits_for"], progress["waits_since"]) == ("slot", batch.validated_at)
    assert (progress["status"], progress["lines"]["unfinished"]) == ("in_progress", 2)


def test_a_validated_batch_is_in_progress_while_it_waits_for_a_slot(nightlane: World) -> None:
    first, second, cancelled = (nightlane.create(nightlane.upload(requests(2))) for _ in range(3))
    before = get_batch(nightlane, second)
    assert (before["status"], before["in_progress_at"], before["request_counts"]["total"]) == (
        "validating",
        None,
        0,
    )
    for _ in range(3):
        nightlane.deliver("plan")
    assert nightlane.batch(second).is_waiting
    waiting = get_batch(nightlane, second)
    assert (waiting["status"], waiting["model"]) == ("in_progress", "mock-small")
    assert waiting["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
    assert waiting["in_progress_at"] >= waiting["created_at"]
    assert nightlane.call("POST", f"/batches/{cancelled}/cancel")[1]["status"] == "cancelling"
    nightlane.pass_time(60)
    nightlane.run()
    assert nightlane.batch(first).status is BatchStatus.COMPLETED
    ended = get_batch(nightlane, second)
    assert (ended["status"], ended["in_progress_at"]) == ("completed", waiting["in_progress_at"])
    assert get_batch(nightlane, cancelled)["request_counts"]["total"] == 2


def test_a_batch_that_expires_while_it_waits_is_not_shown_as_validating_again(nightlane: World) -> None:
    nightlane.create(nightlane.upload(requests(2)))
    second = nightlane.create(nightlane.upload(requests(2)))
    nightlane.deliver("plan")
    nightlane.deliver("plan")
    nightlane.pass_time(nightlane.ports.settings.completion_window_seconds + 10)
    nightlane.sweep()
    batch = nightlane.batch(second)
    assert (batch.outcome, get_batch(nightlane, second)["status"]) == (Outcome.EXPIRED, "in_progress")
    nightlane.run()
    assert get_batch(nightlane, second)["status"] == "expired"


def test_a_batch_waiting_for_its_endpoint_says_since_when_until_when_and_why(
    nightlane: World, upstream: Upstream
) -> None:
    upstream.script = lambda _body, _seen: refusal(503)
    batch_id = nightlane.create(nightlane.upload(requests(2)))
    nightlane.deliver("plan")
    started_at = nightlane.ports.now()
    nightlane.deliver("infer")
    progress = get_progress(nightlane, batch_id)
    assert progress["waits_for"] == "endpoint"
    assert started_at - 1 <= progress["waits_since"] <= nightlane.ports.now()
    assert progress["resumes_at"] > nightlane.ports.now()
    assert (progress["last_refusal"]["status"], progress["last_refusal"]["message"]) == (503, "no: 503")
    assert progress["last_refusal"]["kind"] == "overloaded"


def test_a_batch_whose_endpoint_answers_again_is_not_waiting(nightlane: World, upstream: Upstream) -> None:
    nightlane.ports.settings.__dict__["upstream_pause_seconds"] = 0
    down = {"answers": 0}

    def script(_body: Any, _seen: int) -> Any:
        down["answers"] += 1
        return refusal(503) if down["answers"] < 6 else None

    upstream.script = script
    batch_id = nightlane.create(nightlane.upload(requests(9)))
    nightlane.deliver("plan")
    while nightlane.batch(batch_id).completed == 0:
        nightlane.deliver("infer")
    progress = get_progress(nightlane, batch_id)
    assert progress["waits_for"] is progress["last_refusal"] is None
    assert progress["seconds_left"] is not None


def test_another_tenant_cannot_see_the_progress(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(1)))
    status, _ = nightlane.call("GET", f"/batches/{batch_id}/progress", tenant="somebody-else")
    assert status == 404
