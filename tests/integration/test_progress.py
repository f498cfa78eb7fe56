"""How a batch gets on, beyond what OpenAI's object says."""

from typing import Any

from tests.upstream import Upstream, refusal
from tests.world import World, requests


def progress(world: World, batch_id: str) -> Any:
    status, body = world.call("GET", f"/batches/{batch_id}/progress")
    assert status == 200
    return body


def test_a_batch_that_ended_tells_its_lines_and_its_rate(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(6)))
    nightlane.run()
    told = progress(nightlane, batch_id)
    assert told["object"] == "batch.progress"
    assert told["batch_id"] == batch_id
    assert told["status"] == "completed"
    assert told["lines"] == {"total": 6, "completed": 6, "failed": 0, "unfinished": 0}
    assert told["lines_per_second"] > 0
    assert told["waits_for"] is told["seconds_left"] is told["last_refusal"] is None


def test_a_batch_behind_another_waits_for_a_slot(nightlane: World) -> None:
    nightlane.create(nightlane.upload(requests(2)))
    second = nightlane.create(nightlane.upload(requests(2)))
    nightlane.deliver("plan")
    nightlane.deliver("plan")
    told = progress(nightlane, second)
    assert (told["waits_for"], told["waits_since"]) == ("slot", nightlane.batch(second).created_at)
    assert told["lines"]["unfinished"] == 2


def test_a_batch_before_an_endpoint_that_refuses_says_since_when_until_when_and_why(
    nightlane: World, upstream: Upstream
) -> None:
    upstream.script = lambda _body, _seen: refusal(503)
    batch_id = nightlane.create(nightlane.upload(requests(2)))
    nightlane.deliver("plan")
    began = nightlane.ports.now()
    nightlane.deliver("infer")
    told = progress(nightlane, batch_id)
    assert told["waits_for"] == "endpoint"
    assert began - 1 <= told["waits_since"] <= nightlane.ports.now()
    assert told["resumes_at"] > nightlane.ports.now()
    assert (told["last_refusal"]["status"], told["last_refusal"]["message"]) == (503, "no: 503")
    assert told["last_refusal"]["kind"] == "overloaded"


def test_once_the_endpoint_answers_nothing_is_waited_for(nightlane: World, upstream: Upstream) -> None:
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
    told = progress(nightlane, batch_id)
    assert told["waits_for"] is told["last_refusal"] is None
    assert told["seconds_left"] is not None


def test_nobody_else_may_look(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(1)))
    status, _ = nightlane.call("GET", f"/batches/{batch_id}/progress", tenant="somebody-else")
    assert status == 404
