"""All stores: on moto, on SQLite, and on DynamoDB Local if NIGHTLANE_TEST_DYNAMODB is set to its URL."""

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from infra.home.batches import SqliteBatches
from infra.home.blobs import FolderBlobs
from infra.home.database import Database
from infra.home.files import SqliteFiles, SqliteKeys, SqliteUpstreams
from infra.home.quotas import SqliteQuotas
from infra.home.uploads import SqliteUploads
from infra.home.webhooks import SqliteEndpoints, SqliteEvents
from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.events import DynamoEvents
from nightlane.aws.table.files import DynamoFiles
from nightlane.aws.table.keys import DynamoKeys
from nightlane.aws.table.quotas import DynamoQuotas
from nightlane.aws.table.uploads import DynamoUploads
from nightlane.aws.table.upstreams import DynamoUpstreams
from nightlane.aws.table.webhooks import DynamoEndpoints
from nightlane.domain.ports import Blobs
from nightlane.domain.quotas import QuotaStore
from nightlane.domain.stores import BatchStore, FileStore, KeyStore, UpstreamStore
from nightlane.domain.upload_store import UploadStore
from nightlane.domain.webhook_ports import EndpointStore, EventStore
from tests.moto_lock import one_write_at_a_time
from tests.rig.provision import create_table

DYNAMODB_LOCAL = os.environ.get("NIGHTLANE_TEST_DYNAMODB")
DYNAMODB_ENGINES = ["moto", *(["DynamoDB Local"] if DYNAMODB_LOCAL else [])]
SESSION = boto3.Session("testing", "testing", region_name="us-east-1")
BUCKET = "bucket"


@dataclass(frozen=True, slots=True)
class Stores:
    """All stores of one engine, on the same database."""

    batches: BatchStore
    files: FileStore
    upstreams: UpstreamStore
    keys: KeyStore
    uploads: UploadStore
    endpoints: EndpointStore
    events: EventStore
    quotas: QuotaStore


@pytest.fixture(params=["SQLite", *DYNAMODB_ENGINES])
def stores(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Stores]:
    if request.param == "SQLite":
        with closing(Database(tmp_path / "nightlane.db")) as database:
            yield on_sqlite(database)
    else:
        with dynamodb(request.param, monkeypatch) as (clients, table):
            yield on_dynamodb(clients, table)


@pytest.fixture(params=DYNAMODB_ENGINES)
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Clients, str]]:
    with dynamodb(request.param, monkeypatch) as made:
        yield made


@contextmanager
def dynamodb(engine: str, patch: pytest.MonkeyPatch) -> Iterator[tuple[Clients, str]]:
    """Yield a new table."""
    name = f"table-{uuid.uuid4().hex}"
    if engine == "moto":
        one_write_at_a_time(patch)
        with mock_aws():
            clients = Clients(SESSION)
            create_table(clients, name)
            yield clients, name
    else:
        clients = Clients(SESSION, DYNAMODB_LOCAL)
        create_table(clients, name)
        yield clients, name
        clients.dynamodb.delete_table(TableName=name)


def on_sqlite(database: Database) -> Stores:
    return Stores(
        SqliteBatches(database),
        SqliteFiles(database),
        SqliteUpstreams(database),
        SqliteKeys(database),
        SqliteUploads(database),
        SqliteEndpoints(database),
        SqliteEvents(database),
        SqliteQuotas(database),
    )


def on_dynamodb(clients: Clients, table: str) -> Stores:
    client = clients.dynamodb
    return Stores(
        DynamoBatches(client, table),
        DynamoFiles(client, table),
        DynamoUpstreams(client, table),
        DynamoKeys(client, table),
        DynamoUploads(client, table),
        DynamoEndpoints(client, table),
        DynamoEvents(client, table),
        DynamoQuotas(client, table),
    )


@pytest.fixture
def store(stores: Stores) -> BatchStore:
    return stores.batches


@pytest.fixture
def files(stores: Stores) -> FileStore:
    return stores.files


@pytest.fixture
def upstreams(stores: Stores) -> UpstreamStore:
    return stores.upstreams


@pytest.fixture
def keys(stores: Stores) -> KeyStore:
    return stores.keys


@pytest.fixture
def uploads(stores: Stores) -> UploadStore:
    return stores.uploads


@pytest.fixture
def quotas(stores: Stores) -> QuotaStore:
    return stores.quotas


@pytest.fixture(params=["S3", "folder"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    if request.param == "folder":
        yield FolderBlobs(tmp_path)
        return
    with mock_aws():
        clients = Clients(SESSION)
        clients.s3.create_bucket(Bucket=BUCKET)
        yield S3Blobs(clients.s3, BUCKET)
