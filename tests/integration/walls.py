"""A tenant with objects in every state, behind the API on DynamoDB or on SQLite, for `test_walls`."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

import functions.api.handler as api
from infra.home.events import proxy_event
from infra.home.parts import open_data
from nightlane.domain.batch import Batch, BatchError, Outcome
from nightlane.domain.batches import create_batch
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.files import record_file
from nightlane.domain.pending_files import begin_direct_upload
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import NO_QUOTA
from nightlane.domain.received import InMemory
from nightlane.domain.stores import Admission, list_key
from nightlane.domain.uploads import add_part, cancel_upload, complete_upload, create_upload
from nightlane.domain.webhook import EventType
from nightlane.domain.webhook_ports import Delivery, Receipt
from nightlane.domain.webhooks import create_endpoint, rotate_secret
from nightlane.entry import Handler
from nightlane.settings import Settings
from tests.store.examples import BUSY, NOW, new_batch
from tests.store.machine import NoModels
from tests.upstream import only
from tests.world import LambdaContext, moto_world

VICTIM, THIEF = "acme", "thief"
MARK = "xyzzy"
"""Is in everything that the victim has written."""
TOKEN = f"token-{MARK}"
SETTINGS = Settings(upstreams=only("http://127.0.0.1:9/v1"))


class Victim:
    """A tenant with objects in every state, each of which contains the mark."""

    def __init__(self, ports: Ports[Settings]) -> None:
        self._ports = ports
        files = [self._file(purpose) for purpose in FilePurpose]
        deleted = self._file(FilePurpose.BATCH)
        ports.files.delete_file(deleted, NOW)
        self.input = files[list(FilePurpose).index(FilePurpose.BATCH)]
        batches = [
            self._batch(steps)
            for steps in ("", "f", "p", "pa", "pac", "pace", "paxe", "x", "xe", "pax", "paq")
        ]
        request = replace(batches[0].request, output_prefix=None)
        self._by_token = create_batch(ports, VICTIM, request, TOKEN, NO_QUOTA)
        self.ids = {
            "file_id": [each.id for each in (*files, deleted)]
            + [self._pending(each) for each in ("", "c", "r")],
            "batch_id": [each.id for each in (*batches, self._by_token)],
            "upload_id": [self._upload(steps) for steps in ("", "p", "c", "pd")],
            "endpoint_id": [self._endpoint(keep_old=each) for each in (None, False, True)],
        }

    def _file(self, purpose: FilePurpose) -> StoredFile:
        file_id, now = f"file-{self._ports.new_id()[:24]}", self._ports.now()
        file = StoredFile(
            id=file_id,
            tenant=VICTIM,
            filename=f"{MARK}.jsonl",
            purpose=purpose,
            size=len(MARK),
            created_at=int(now),
            expires_at=int(now) + 10**6,
            listed=list_key(now, file_id),
        )
        self._ports.blobs.put(file.blob_key, MARK.encode())
        return record_file(self._ports, file, NO_QUOTA)

    def _pending(self, steps: str) -> str:
        """Return the id of a new file for a direct upload: awaited, with its content (c), or refused (r)."""
        ports = self._ports
        begin = partial(begin_direct_upload, ports, VICTIM, f"{MARK}.txt", FilePurpose.USER_DATA)
        file = begin(size=len(MARK), lifetime=None, quota=NO_QUOTA).file
        if steps == "c":
            ports.blobs.put(file.blob_key, MARK.encode())
        elif steps == "r":
            assert ports.files.refuse_file(file.id, MARK)
        return file.id

    def _endpoint(self, *, keep_old: bool | None) -> str:
        """Return the id of a new webhook endpoint, whose secret was replaced unless `keep_old` is None."""
        endpoint = create_endpoint(self._ports, VICTIM, MARK, f"https://{MARK}.test/", list(EventType))
        if keep_old is not None:
            rotate_secret(self._ports, VICTIM, endpoint.id, keep_old=keep_old)
        return endpoint.id

    def _batch(self, steps: str) -> Batch:
        """Take a new batch through steps: fail, plan, admit, close, expire (x), request cancel (q), end."""
        store, now = self._ports.batches, int(self._ports.now())
        template = new_batch(0, VICTIM)
        batch_id = f"batch_{self._ports.new_id()}"
        request = replace(template.request, input_file_id=self.input.id, metadata={MARK: MARK})
        batch = replace(template, id=batch_id, listed=list_key(now, batch_id), request=request)
        batch = replace(batch, created_at=now, expires_at=now + 86_400)
        store.create_batch(batch, now + 60)
        for step in steps:
            batch = self._look(batch)
            match step:
                case "f":
                    begun = store.begin_planning(batch.id, now + 60)
                    assert begun is not None
                    assert store.fail_batch(begun, [BatchError("invalid_url", MARK)], now)
                case "p":
                    begun = store.begin_planning(batch.id, now + 60)
                    assert begun is not None
                    assert store.record_plan(begun, manifest_key=MARK, shards=0, total=3, model=MARK, at=now)
                case "a":
                    admitted = store.admit_batch(batch, 100, now, now + 60, recent=[VICTIM])
                    assert admitted is Admission.ADMITTED
                    store.note_trouble(batch.id, replace(BUSY, message=MARK))
                case "c" | "x":
                    outcome = Outcome.COMPLETED if step == "c" else Outcome.EXPIRED
                    assert store.close_batch(batch, outcome, now, now + 60, drained=False)
                case "e":
                    begun = store.begin_assembly(batch.id, now + 60)
                    assert begun is not None
                    assert begun.outcome is not None
                    assert store.finish_batch(begun, begun.outcome, now, None, None)
                case "q":
                    assert store.request_cancel(batch.id, now, now + 60)
        return batch

    def _upload(self, steps: str) -> str:
        """Return the id of a new upload that was taken through steps: part, cancel, complete (d)."""
        ports, parts = self._ports, []
        begin = partial(create_upload, ports, VICTIM, filename=f"{MARK}.txt", purpose=FilePurpose.USER_DATA)
        upload_id = begin(size=len(MARK), lifetime=None).id
        for step in steps:
            match step:
                case "p":
                    parts.append(add_part(ports, VICTIM, upload_id, InMemory(MARK.encode())).id)
                case "c":
                    cancel_upload(ports, VICTIM, upload_id)
                case "d":
                    complete_upload(ports, VICTIM, upload_id, parts, None, NO_QUOTA)
        return upload_id

    def _look(self, batch: Batch) -> Batch:
        found = self._ports.batches.get_batch(batch.id)
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Engine:
    """The API on one kind of stores, with a victim."""

    ports: Ports[Settings]
    handler: Handler
    victim: Victim
    rows: Callable[[], list[str]]
    """Returns everything that is stored."""

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
        headers: list[tuple[str, str]] | None = None,
        *,
        tenant: str = THIEF,
    ) -> tuple[int, str]:
        """Return the status and the body, and the location if it is a redirect."""
        event = proxy_event(
            method, path, list((query or {}).items()), headers or [], body, {"tenant": tenant}
        )
        answer = self.handler(json.loads(json.dumps(event)), LambdaContext("api"))
        return answer["statusCode"], answer["body"] + str(answer["multiValueHeaders"].get("Location", ""))

    def of_the_victim(self) -> list[str]:
        return [row for row in self.rows() if THIEF not in row]


@contextmanager
def engine_on(kind: str, folder: Path) -> Iterator[Engine]:
    if kind == "DynamoDB":
        with moto_world(SETTINGS) as world:
            table, scan = world.ports.settings.table_name, world.clients.dynamodb.scan
            yield _engine(world.ports, lambda: [str(item) for item in scan(TableName=table)["Items"]])
    else:
        parts = open_data(folder, SETTINGS)
        with parts.database.write() as connection:
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]

        def rows() -> list[str]:
            read = parts.database.read().execute
            # A message holds an id only, so it cannot be told whose it is.
            kept = [name for name in tables if name not in ("messages", "sqlite_sequence")]
            return [f"{name} {row}" for name in kept for row in read(f"SELECT * FROM {name}")]  # noqa: S608

        yield _engine(parts.ports, rows)
        parts.database.close()


def _receive(deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
    """`domain.webhook_ports.Sender` to endpoints that accept everything."""
    assert not allow_private
    return [Receipt(200) for _ in deliveries]


def _engine(ports: Ports[Settings], rows: Callable[[], list[str]]) -> Engine:
    ports = dataclasses.replace(ports, webhooks=replace(ports.webhooks, send=_receive))
    return Engine(ports, api.make_handler(ports, NoModels()), Victim(ports), rows)


ENGINES = ("DynamoDB", "SQLite")
