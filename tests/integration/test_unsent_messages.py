"""A change that is stored takes effect even if its message cannot be sent; the client need not retry it."""

import json
from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest

from infra.home.events import REGION
from nightlane.aws.clients import Clients
from nightlane.aws.queues import SqsQueues
from nightlane.domain.batch import BatchStatus
from nightlane.domain.metrics import Metric
from nightlane.settings import Settings
from tests.rig.ledger import points_of
from tests.upstream import Upstream, only, serving
from tests.world import ENDPOINT, World, moto_world, requests


@pytest.fixture
def nightlane() -> Iterator[World]:
    with serving(Upstream()) as upstream, moto_world(Settings(upstreams=only(upstream.url))) as running:
        yield running


@pytest.fixture
def api_without_queues(nightlane: World) -> World:
    """A Nightlane whose API cannot find its queues."""
    values = nightlane.ports.settings
    gone = {name: f"{getattr(values, name)}-gone" for name in ("plan_queue_url", "assemble_queue_url")}
    clients = Clients(boto3.Session("testing", "testing", region_name=REGION))
    queues = SqsQueues(clients.sqs, values.model_copy(update=gone))
    nightlane.ports_of["api"] = replace(nightlane.ports, queues=queues)
    return nightlane


def create_batch(nightlane: World) -> str:
    body = {"input_file_id": nightlane.upload(requests(3)), "endpoint": ENDPOINT, "completion_window": "24h"}
    status, batch = nightlane.call("POST", "/batches", json.dumps(body).encode())
    assert (status, batch["status"]) == (200, "validating")
    return str(batch["id"])


def count_unsent(capture: pytest.CaptureFixture[str]) -> float:
    points = [point for line in capture.readouterr().out.splitlines() for point in points_of(line)]
    return sum(sum(point.values) for point in points if point.metric is Metric.MESSAGES_NOT_SENT)


def test_a_batch_whose_message_was_not_sent_is_created_and_started_by_the_sweeper(
    api_without_queues: World, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_id = create_batch(api_without_queues)
    assert count_unsent(capsys) == 1
    assert api_without_queues.waiting_messages() == 0
    api_without_queues.pass_time(61)
    api_without_queues.sweep()
    api_without_queues.run()
    batch = api_without_queues.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 3)


def test_a_cancel_whose_message_was_not_sent_takes_effect_and_the_sweeper_ends_the_batch(
    api_without_queues: World, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_id = create_batch(api_without_queues)
    status, batch = api_without_queues.call("POST", f"/batches/{batch_id}/cancel")
    assert (status, batch["status"]) == (200, "cancelling")
    assert count_unsent(capsys) == 2
    api_without_queues.pass_time(61)
    api_without_queues.sweep()
    api_without_queues.run()
    assert api_without_queues.batch(batch_id).status is BatchStatus.CANCELLED
