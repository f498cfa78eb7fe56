"""The home's parts on a folder, with an upstream that can kill the process and a clock that can skip time."""

import asyncio
import json
import time
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from infra.home.batches import SqliteBatches
from infra.home.blobs import FolderBlobs
from infra.home.database import Database
from infra.home.deliveries import Deliveries
from infra.home.files import SqliteFiles, SqliteUpstreams
from infra.home.queues import Queue, SqliteQueues
from infra.home.quotas import SqliteQuotas
from infra.home.uploads import FolderCompositions, SqliteUploads
from infra.home.webhooks import SqliteEndpoints, SqliteEvents
from nightlane.api_settings import MIB
from nightlane.domain.batch import Batch, BatchRequest
from nightlane.domain.batches import create_batch
from nightlane.domain.file import FilePurpose
from nightlane.domain.files import create_file
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import Answer
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import NO_QUOTA
from nightlane.domain.received import InMemory
from nightlane.domain.webhook_ports import Webhooks
from nightlane.observability import EmbeddedMetrics, log_event
from nightlane.settings import Settings
from nightlane.webhooks.sender import HttpSender
from tests.upstream import only
from tests.world import requests

RUN_SECONDS = 900.0


class Killed(BaseException):
    """Simulates the end of the process."""


class Echo:
    """An upstream that answers every request, or kills the process at the requests in `kill_at`."""

    def __init__(self) -> None:
        self.received = 0
        self.kill_at: set[int] = set()

    async def post(self, _path: str, body: bytes) -> Answer:
        self.received += 1
        if self.received in self.kill_at:
            raise Killed
        await asyncio.sleep(0)
        answer = {"choices": [{"message": json.loads(body)["messages"][-1]}], "usage": {"total_tokens": 1}}
        return Answer(200, json.dumps(answer).encode(), "req_1", None)

    async def probe(self) -> Answer:
        return Answer(200, b'{"data": []}', "req_1", None)


class NoModels:
    """An upstream that does not say which models it has."""

    def is_missing(self, _model: str) -> bool:
        return False

    def list_models(self) -> dict[str, Any]:
        raise AssertionError

    def retrieve_model(self, _model: str) -> dict[str, Any]:
        raise AssertionError


class OneMachine:
    """The home's parts on a folder. `restart` reopens it as a new process would."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.database: Database | None = None
        self.clock_offset = 0.0
        self.upstream = Echo()
        self.restart()

    def restart(self) -> None:
        self.close()
        database = self.database = Database(self.folder / "nightlane.db")
        self.queues = SqliteQueues(database, self.now)
        self.ports = Ports(
            batches=SqliteBatches(database),
            upstreams=SqliteUpstreams(database),
            files=SqliteFiles(database),
            uploads=SqliteUploads(database),
            quotas=SqliteQuotas(database),
            blobs=FolderBlobs(self.folder),
            compositions=FolderCompositions(FolderBlobs(self.folder)),
            queues=self.queues,
            webhooks=Webhooks(SqliteEndpoints(database), SqliteEvents(database), HttpSender()),
            metrics=EmbeddedMetrics(),
            log=log_event,
            now=self.now,
            monotonic=time.monotonic,
            new_id=lambda: uuid.uuid4().hex,
            settings=Settings(
                upstreams=only("http://127.0.0.1:9/v1"),
                shard_max_lines=10,
                requests_in_flight_per_worker=5,
                checkpoint_seconds=0.05,
            ),
        )
        self.deliveries = Deliveries(self.ports, self.queues, NoModels())

    def close(self) -> None:
        if self.database is not None:
            self.database.close()

    def now(self) -> float:
        return time.time() + self.clock_offset

    def create(self, lines: int) -> str:
        data = InMemory(requests(lines))
        file = create_file(self.ports, "acme", "in.jsonl", data, FilePurpose.BATCH, None, NO_QUOTA)
        request = BatchRequest(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        return create_batch(self.ports, "acme", request, None, NO_QUOTA).id

    def work(self) -> None:
        """Deliver messages until there are none left."""
        while any(
            [
                self.deliveries.deliver(Queue.PLAN),
                self.deliver_lane(),
                self.deliveries.deliver(Queue.ASSEMBLE),
                self.deliveries.deliver(Queue.NOTIFY),
            ]
        ):
            pass

    def deliver_lane(self) -> bool:
        return asyncio.run(
            self.deliveries.deliver_lane(
                lambda _: nullcontext(self.upstream), ByteBudget(64 * MIB), RUN_SECONDS
            )
        )

    def batch(self, batch_id: str) -> Batch:
        found = self.ports.batches.get_batch(batch_id)
        assert found is not None
        return found

    def output_ids(self, batch_id: str) -> list[str]:
        file = self.ports.files.get_file(self.batch(batch_id).output_file_id or "")
        assert file is not None
        lines = self.ports.blobs.get(file.blob_key)
        assert len(lines) == file.size
        return [json.loads(line)["custom_id"] for line in lines.splitlines()]
