"""Builds the stores, queues and ports of a home process."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightlane.aws.clients import Clients
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.webhook_ports import Webhooks
from nightlane.settings import Settings
from nightlane.upstream.connections import HttpConnections
from nightlane.upstream.models import HttpModels
from nightlane.webhooks.sender import HttpSender
from nightlane.wiring import models_of, new_id
from nightlane.worker_wiring import connections_to

from .batches import SqliteBatches
from .blobs import FolderBlobs
from .database import DATABASE, Database
from .deliveries import Deliveries
from .files import SqliteFiles, SqliteKeys, SqliteUpstreams
from .folders import make_folder
from .queues import SqliteQueues
from .quotas import SqliteQuotas
from .uploads import FolderCompositions, SqliteUploads
from .webhooks import SqliteEndpoints, SqliteEvents

log = logging.getLogger("nightlane")


class NoMetrics:
    """`domain.metrics.Meter` that discards all metrics."""

    def add(self, metric: Metric, value: float = 1, **dimensions: str) -> None: ...

    def publish(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The stores of a data folder, and the objects that use them."""

    database: Database
    ports: Ports[Settings]
    models: HttpModels
    queues: SqliteQueues
    keys: SqliteKeys
    blobs: FolderBlobs
    connections: HttpConnections
    deliveries: Deliveries


def open_data(
    folder: Path, settings: Settings, now: Callable[[], float] = time.time, *, migrate: bool = True
) -> Parts:
    """Open a data folder, or create it. `now` returns seconds since 1970.

    Only the process that holds the `exclusive` lock may migrate.

    Raises: SchemaTooNew, SchemaTooOld, StorageFull, OSError.
    """
    make_folder(folder)
    blobs = FolderBlobs(folder)
    # The last step that can fail: a database opened before it would stay open.
    database = Database(folder / DATABASE, migrate=migrate)
    queues = SqliteQueues(database, now)
    # Only used to sign requests to Bedrock: all keys are in the settings.
    clients = Clients()
    ports = Ports(
        batches=SqliteBatches(database),
        upstreams=SqliteUpstreams(database),
        files=SqliteFiles(database),
        quotas=SqliteQuotas(database),
        uploads=SqliteUploads(database),
        blobs=blobs,
        compositions=FolderCompositions(blobs),
        queues=queues,
        webhooks=Webhooks(SqliteEndpoints(database), SqliteEvents(database), HttpSender()),
        metrics=NoMetrics(),
        log=_log,
        now=now,
        monotonic=time.monotonic,
        new_id=new_id,
        settings=settings,
    )
    models, connections = models_of(settings, clients), connections_to(settings, clients, now)
    deliveries = Deliveries(ports, queues, models)
    return Parts(database, ports, models, queues, SqliteKeys(database), blobs, connections, deliveries)


def _log(event: str, **details: object) -> None:
    log.warning("%s %s", event, " ".join(f"{name}={value!r}" for name, value in details.items()))
