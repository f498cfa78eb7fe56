"""What invokes functions besides the API: event-source mappings on queues, and the sweeper's timer."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.home.front import FunctionFailed, FunctionTimedOut
from tests.rig.events import scheduled_event, sqs_event
from tests.rig.functions import Function
from tests.rig.ledger import FunctionUse

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)
LONG_POLL_SECONDS = 1
# moto's long poll returns for a new message, but not for one whose lane has just become free.
BUSY_POLL_SECONDS = 0.5
PAUSE_AFTER_ERROR_SECONDS = 0.5


class EventSource:
    """Passes messages of a queue to a function, one per invocation, as Lambda's poller does.

    It polls only while the function has a free slot, so it never receives more messages than can run.
    """

    def __init__(
        self,
        function: Function,
        url: str,
        client: "SQSClient",
        threads: ThreadPoolExecutor,
        use: FunctionUse,
    ) -> None:
        self._function = function
        self._queue = url.rsplit("/", 1)[1]
        self._url = url
        self._client = client
        self._threads = threads
        self._use = use
        self._running = 0
        self._one_ended = asyncio.Event()

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as deliveries:
            while True:
                await self._function.slots.acquire()
                message = None
                try:
                    message = await self._receive()
                finally:
                    if message is None:
                        self._function.slots.release()
                if message is not None:
                    self._running += 1
                    deliveries.create_task(self._deliver(message))
                elif self._running:
                    await self._wait_for_one_to_end()

    async def _wait_for_one_to_end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BUSY_POLL_SECONDS):
                await self._one_ended.wait()
        self._one_ended.clear()

    async def _receive(self) -> dict[str, Any] | None:
        try:
            answer = await self._in_thread(
                self._client.receive_message,
                QueueUrl=self._url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=0 if self._running else LONG_POLL_SECONDS,
                MessageSystemAttributeNames=["All"],
            )
        except (ClientError, BotoCoreError) as error:
            log.warning("cannot poll %s: %s", self._queue, error)
            await asyncio.sleep(PAUSE_AFTER_ERROR_SECONDS)
            return None
        messages = answer.get("Messages")
        return messages[0] if messages else None

    async def _deliver(self, message: dict[str, Any]) -> None:
        self._use.calls["sqs:ReceiveMessage"] += 1
        try:
            answer = await self._function.invoke(sqs_event(self._queue, message))
            report = answer or {} if self._function.spec.reports_failures else {}
            if not report.get("batchItemFailures"):
                await self._delete(message)
        except Exception as error:
            # After any error the message is delivered again, and the source must keep running.
            log.warning("%s failed on a message of %s: %s", self._function.spec.name, self._queue, error)
        finally:
            self._running -= 1
            self._one_ended.set()
            self._function.slots.release()

    async def _delete(self, message: dict[str, Any]) -> None:
        self._use.calls["sqs:DeleteMessage"] += 1
        try:
            await self._in_thread(
                self._client.delete_message, QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
            )
        except (ClientError, BotoCoreError) as error:
            log.warning("cannot delete a message of %s: %s", self._queue, error)

    async def _in_thread(self, call: Any, **arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, **arguments))


async def run_timer(function: Function, seconds: float) -> None:
    """Call the function every `seconds` until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await function.call(scheduled_event())
        except (FunctionFailed, FunctionTimedOut) as error:
            log.warning("%s failed: %s", function.spec.name, error)
