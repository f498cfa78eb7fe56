"""moto's server in a separate process: DynamoDB, S3 and SQS in memory on 127.0.0.1.

`python -m tests.rig.moto` prints its port and serves until its standard input ends.
"""

import copy
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from moto.core.common_models import BaseModel
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from werkzeug.serving import make_server

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def serialize_dynamodb(application: Application) -> Application:
    """Serve DynamoDB's requests one after the other.

    To roll back a transaction, moto restores the tables as they were before, and so also undoes what other
    threads have written since.
    """
    lock = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            with lock:
                return application(environ, start_response)
        return application(environ, start_response)

    return serve


def limit_memory() -> None:
    """Make moto drop what it no longer needs, and copy only the items that a transaction touches.

    moto keeps every object it has ever made, and copies the whole table for every action of a transaction.
    After a few hundred batches that is gigabytes, and a garbage collection stops everything for ten seconds.
    """
    transact = DynamoDBBackend.transact_write_items

    def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        locations = list(_locations(self, transact_items))
        before = [copy.deepcopy(items.get(sort)) for items, sort in locations]
        try:
            transact(self, transact_items)
        except Exception:
            for (items, sort), item in zip(locations, before, strict=True):
                if item is None:
                    items.pop(sort, None)
                else:
                    items[sort] = item
            raise

    replacements: list[tuple[type, str, Any]] = [
        (BaseModel, "__new__", lambda cls, *_, **__: object.__new__(cls)),
        (Table, "__deepcopy__", lambda table, _: table),
        (DynamoDBBackend, "transact_write_items", transact_write_items),
    ]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)


# As moto has them.
MULTIPART = {name: getattr(S3Backend, name) for name in ("upload_part", "complete_multipart_upload")}


def repair_multipart_uploads() -> None:
    """Make moto do what S3 does when calls for one multipart upload overlap.

    It raises a KeyError once the upload has ended, and loses the content of a part that is just replaced.
    """
    lock = threading.Lock()

    def repaired(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(backend: S3Backend, bucket: str, multipart_id: str, *arguments: Any) -> Any:
            with lock:
                if multipart_id not in backend.get_bucket(bucket).multiparts:
                    raise NoSuchUpload(upload_id=multipart_id)
                return method(backend, bucket, multipart_id, *arguments)

        return call

    for name, method in MULTIPART.items():
        setattr(S3Backend, name, repaired(method))


def _locations(
    backend: DynamoDBBackend, actions: Sequence[dict[str, Any]]
) -> Iterator[tuple[Any, DynamoType]]:
    """The location of each item in a transaction: its partition's items, and its sort key."""
    for action in actions:
        (operation,) = action.values()
        table = backend.get_table(operation["TableName"])
        key = operation.get("Key") or operation["Item"]
        yield table.items[DynamoType(key[table.hash_key_attr])], DynamoType(key[table.range_key_attr])


class KeepAlive(MotoRequestHandler):
    """Keeps connections open: a new one for every call would take longer than the call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    limit_memory()
    repair_multipart_uploads()
    application = serialize_dynamodb(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=KeepAlive)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
