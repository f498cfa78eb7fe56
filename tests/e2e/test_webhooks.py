"""The official client manages webhook endpoints, and unwraps what a real server receives."""

import asyncio
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai
import pytest
from aiohttp import web

from infra.home.serving import serving_application
from tests.e2e.conftest import Instance
from tests.world import requests

SECONDS = 60


@dataclass
class Receiver:
    """A web server of the user: answers with these statuses in turn, then with 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    silent: bool = False
    """Whether it answers no request until this is false."""
    hung_up: int = 0
    """How many requests were given up by their sender before they had an answer."""
    received: "queue.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=queue.Queue)

    async def receive(self, request: web.Request) -> web.Response:
        self.received.put((dict(request.headers), await request.read()))
        while self.silent:
            await asyncio.sleep(0.02)
            if request.transport is None or request.transport.is_closing():
                self.hung_up += 1
                break
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.received.get(timeout=SECONDS)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/hooks", receiver.receive)
    with serving_application(app) as url:
        receiver.url = url.removesuffix("/v1") + "/hooks"
        yield receiver


def test_the_client_manages_endpoints(instance: Instance) -> None:
    webhooks = instance.client_of("other").webhooks
    assert webhooks.event_types.list().data == [
        "batch.completed",
        "batch.failed",
        "batch.expired",
        "batch.cancelled",
    ]
    made = [
        webhooks.create(name=f"{number}", url="https://hooks.test/", event_types=["batch.completed"])
        for number in range(3)
    ]
    newest = [each.id for each in reversed(made)]
    assert sorted(each.id for each in webhooks.list(limit=2)) == sorted(newest)
    updated = webhooks.update(newest[0], name="new", event_types=["batch.failed", "batch.expired"])
    assert webhooks.retrieve(newest[0]) == updated
    assert (updated.name, updated.event_types) == ("new", ["batch.failed", "batch.expired"])
    rotated = webhooks.rotate_secret(newest[0])
    assert rotated.signing_secret != made[2].signing_secret
    with pytest.raises(openai.NotFoundError):
        instance.client.webhooks.retrieve(newest[0])
    for each in newest:
        assert webhooks.delete(each).deleted
    assert list(webhooks.list()) == []


def test_the_client_unwraps_the_event_of_a_batch_and_of_a_test(instance: Instance) -> None:
    client = instance.client
    with receiving() as receiver:
        endpoint = client.webhooks.create(
            name="ours", url=receiver.url, event_types=["batch.completed", "batch.failed"]
        )
        try:
            receiver.statuses = [204]
            assert client.webhooks.test(endpoint.id, event_type="batch.expired").status_code == 204
            headers, body = receiver.next()
            secret = endpoint.signing_secret
            assert client.webhooks.unwrap(body, headers, secret=secret).type == "batch.expired"

            new = client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True)
            batch = instance.create(requests(2))
            headers, body = receiver.next()
            for valid in (secret, new.signing_secret):
                event = client.webhooks.unwrap(body, headers, secret=valid)
                assert event.type == "batch.completed"
                assert event.data.id == batch.id
            assert client.batches.retrieve(batch.id).status == "completed"
            with pytest.raises(openai.InvalidWebhookSignatureError):
                client.webhooks.unwrap(body + b" ", headers, secret=secret)
        finally:
            client.webhooks.delete(endpoint.id)
        assert receiver.received.empty()


def test_an_endpoint_that_does_not_answer_delays_no_other_event(instance: Instance) -> None:
    clients = {tenant: instance.client_of(tenant) for tenant in ("acme", "other")}
    with receiving() as silent, receiving() as good:
        silent.silent = True
        ids = {
            tenant: clients[tenant]
            .webhooks.create(name="ours", url=receiver.url, event_types=["batch.failed"])
            .id
            for tenant, receiver in (("other", silent), ("acme", good))
        }
        try:
            for tenant, receiver in (("other", silent), ("acme", good)):
                file = clients[tenant].files.create(file=b"{}\n", purpose="batch")
                clients[tenant].batches.create(
                    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
                receiver.next()
            assert silent.hung_up == 0
        finally:
            silent.silent = False
            for tenant, endpoint_id in ids.items():
                clients[tenant].webhooks.delete(endpoint_id)
