"""Builds the ports of the handlers on AWS."""

import time
import uuid
from typing import TypeVar

from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.queues import SqsQueues
from nightlane.aws.secrets import UpstreamKey
from nightlane.aws.table import DynamoBatches, DynamoFiles, DynamoUpstreams
from nightlane.domain.ports import Ports
from nightlane.observability import EmbeddedMetrics, log_event
from nightlane.settings import EndpointSettings, StorageSettings
from nightlane.upstream.models import HttpModels

Stored = TypeVar("Stored", bound=StorageSettings)


def new_id() -> str:
    """Return 32 random hexadecimal digits."""
    return uuid.uuid4().hex


def ports_on_aws(settings: Stored, clients: Clients) -> Ports[Stored]:
    """Build the ports of the domain."""
    return Ports(
        batches=DynamoBatches(clients.dynamodb, settings.table_name),
        upstreams=DynamoUpstreams(clients.dynamodb, settings.table_name),
        files=DynamoFiles(clients.dynamodb, settings.table_name),
        blobs=S3Blobs(clients.s3, settings.bucket_name),
        queues=SqsQueues(clients.sqs, settings),
        metrics=EmbeddedMetrics(),
        log=log_event,
        now=time.time,
        monotonic=time.monotonic,
        new_id=new_id,
        settings=settings,
    )


def models_on_aws(settings: EndpointSettings, clients: Clients) -> HttpModels:
    """Build the client for the upstream's list of models."""
    return HttpModels(settings.upstream_url, UpstreamKey(settings, clients))
