"""The test rig: the deployed functions, queues and front on 127.0.0.1."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import Any, Self

import boto3
from aiohttp import web

from infra.home.defaults import HOME_DEFAULTS
from infra.home.events import REGION
from infra.home.front import Front
from infra.home.http_server import EnvelopeRunner
from infra.home.server_thread import ServerThread
from infra.resources import MALLOC_ENVIRONMENT, functions
from nightlane.api_settings import MIB
from nightlane.aws.clients import Clients
from nightlane.aws.table.keys import DynamoKeys
from nightlane.settings import Settings
from tests.rig.functions import Function
from tests.rig.ledger import EVENT_SOURCE, Ledger
from tests.rig.objects import watch_objects
from tests.rig.provision import provision, queue_urls
from tests.rig.sources import EventSource, run_timer

HOST = "127.0.0.1"
# The home's intervals, so that no test waits for long, but AWS's limit for inline content. Shards are smaller
# because moto counts a replaced attribute twice towards an item's 400 KB.
RIG_DEFAULTS: Mapping[str, Any] = {
    **HOME_DEFAULTS,
    "max_inline_content_bytes": 4 * MIB,
    "shard_max_lines": 2_400,
}
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_LOG_LEVEL": "WARNING",
}
START_SECONDS = 60


class Rig:
    """The deployed functions on an emulated AWS, while the context is open.

    Args:
        settings: must have an upstream; the URLs and ARNs of the queues are filled in.
        keys: API key → tenant.
        port: 0 picks a free one.
        tick_seconds: how often the sweeper runs; None for every minute, as deployed.
    """

    def __init__(
        self, settings: Settings, keys: Mapping[str, str], port: int = 0, tick_seconds: float | None = None
    ) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self.endpoint_url = ""
        self.base_url = ""
        self.functions: dict[str, Function] = {}
        self._keys = keys
        self._port = port
        self._tick_seconds = tick_seconds
        self._thread = ServerThread(self._serve, START_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    def pids(self, function: str) -> list[int]:
        """The process ids of a function."""
        return self.functions[function].pids

    def clients(self) -> Clients:
        """AWS clients for the rig's endpoint."""
        session = boto3.Session(
            aws_access_key_id=AWS_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return Clients(session, self.endpoint_url)

    async def _serve(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            await self._start_moto(stack)
            clients = await asyncio.to_thread(self._provision)
            self._make_functions(stack)
            front = [self.functions["api"], self.functions["authorize"]]
            await asyncio.gather(*(function.warm_up() for function in front))
            await self._listen(stack)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in self._sources(stack, clients)]
                ready()
                await stopping.wait()
                for task in tasks:
                    task.cancel()

    async def _start_moto(self, stack: AsyncExitStack) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.rig.moto"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        stack.push_async_callback(_kill, process)
        assert process.stdout is not None
        self.endpoint_url = f"http://{HOST}:{int(await process.stdout.readline())}"

    def _provision(self) -> Clients:
        clients = self.clients()
        self.settings = provision(clients, self.settings)
        keys = DynamoKeys(clients.dynamodb, self.settings.table_name)
        for key, tenant in self._keys.items():
            keys.put_key(key, tenant)
        return clients

    def _make_functions(self, stack: AsyncExitStack) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLANE_")}
        everywhere = own | MALLOC_ENVIRONMENT | AWS_ENVIRONMENT | {"AWS_ENDPOINT_URL": self.endpoint_url}
        for spec in functions(self.settings):
            environment = everywhere | spec.settings.of(self.settings).to_environment()
            use = self.ledger.of(spec.name, spec.memory)
            self.functions[spec.name] = Function(spec, environment, use)
            stack.push_async_callback(self.functions[spec.name].stop)

    async def _listen(self, stack: AsyncExitStack) -> None:
        front = Front(
            self.functions["api"],
            self.functions["authorize"],
            self.settings.max_upload_bytes,
            cors_origin=self.settings.cors_origin,
        )
        runner = EnvelopeRunner(front.application(), shutdown_timeout=0.1)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, HOST, self._port).start()
        self.base_url = f"http://{HOST}:{runner.addresses[0][1]}/v1"

    def _sources(self, stack: AsyncExitStack, clients: Clients) -> Iterator[Coroutine[None, None, None]]:
        """What invokes the functions besides the front: event sources and the timer."""
        threads = stack.enter_context(ThreadPoolExecutor(16, thread_name_prefix="event-source"))
        queues = queue_urls(self.settings)
        for function in self.functions.values():
            for name in function.spec.queues:
                use = self.ledger.of(EVENT_SOURCE)
                yield EventSource(function, queues[name], clients.sqs, threads, use).run()
            if function.spec.objects is not None:
                yield watch_objects(function, clients.s3, self.settings.bucket_name, function.spec.objects)
            if function.spec.every_seconds is not None:
                seconds = self._tick_seconds or function.spec.every_seconds
                yield run_timer(function, seconds)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
