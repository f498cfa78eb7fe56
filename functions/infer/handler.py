"""infer: for a message from SQS, runs a lane of a batch as far as time allows."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.api_settings import MIB
from nightlane.aws.clients import Clients
from nightlane.aws.lease import Leases
from nightlane.aws.queues import read_lane_message
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.delivery import Delivery, Ending, Verdict
from nightlane.domain.inference.ports import Upstream
from nightlane.domain.inference.worker import run_lane
from nightlane.domain.ports import Ports
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.settings import InferSettings
from nightlane.wiring import ports_on_aws
from nightlane.worker_wiring import connections_to

# The share of the memory for responses: each is held several times while it is read, stored and committed.
BUDGET_SHARE = 1 / 12

Connect = Callable[[str, ByteBudget], AbstractAsyncContextManager[Upstream]]
"""Opens a session with the upstream of this name; its answers share the budget."""


def make_handler(
    ports: Ports[InferSettings],
    connect: Connect,
    leases: Leases,
    run: Callable[[Coroutine[Any, Any, Ending]], Ending] = asyncio.run,
) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        record = event["Records"][0]
        measure_queue_wait(ports, "infer", record)
        message = read_lane_message(record["body"])
        logger.append_keys(batch_id=message.batch_id, lane=message.lane)
        deadline = ports.monotonic() + context.get_remaining_time_in_millis() / 1000
        receives = int(record["attributes"]["ApproximateReceiveCount"])
        budget = ByteBudget(int(int(context.memory_limit_in_mb) * MIB * BUDGET_SHARE))
        with leases.on(record) as lease:
            ending = run(_run(ports, connect, Delivery(message, lease, deadline, receives), budget))
            logger.info("lane run ended", verdict=ending.verdict.name, delay_seconds=ending.delay_seconds)
            if ending.verdict is Verdict.HAND_BACK:
                lease.hand_back(ending.delay_seconds)
        failed = [] if ending.verdict is Verdict.DONE else [{"itemIdentifier": record["messageId"]}]
        return {"batchItemFailures": failed}

    return handler


async def _run(
    ports: Ports[InferSettings], connect: Connect, delivery: Delivery, budget: ByteBudget
) -> Ending:
    return await run_lane(ports, lambda upstream: connect(upstream, budget), delivery, budget)


def _on_aws(settings: InferSettings, clients: Clients) -> Handler:
    ports = ports_on_aws(settings, clients)
    leases = Leases(clients.sqs, settings.infer_queue_url, settings.worker_lease_seconds)
    return make_handler(ports, connections_to(settings, clients, ports.now).connect, leases)


handler = on_aws(InferSettings, _on_aws)
