"""Builds the ports of the handlers on AWS."""

import time
import uuid
from collections.abc import Sequence
from typing import TypeVar

from nightlane.api_settings import EndpointSettings
from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.compositions import S3Compositions
from nightlane.aws.events import EventBridge
from nightlane.aws.locations import S3Locations
from nightlane.aws.queues import SqsQueues
from nightlane.aws.secrets import UpstreamKey
from nightlane.aws.signing import SigV4Signer
from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.events import DynamoEvents
from nightlane.aws.table.files import DynamoFiles
from nightlane.aws.table.quotas import DynamoQuotas
from nightlane.aws.table.uploads import DynamoUploads
from nightlane.aws.table.upstreams import DynamoUpstreams
from nightlane.aws.table.webhooks import DynamoEndpoints
from nightlane.domain.ports import Ports
from nightlane.domain.webhook_ports import Delivery, Receipt, Webhooks
from nightlane.observability import EmbeddedMetrics, log_event
from nightlane.resource_settings import StorageSettings
from nightlane.upstream.credentials import Credentials, FixedKey
from nightlane.upstream.models import HttpModels
from nightlane.upstream_settings import UpstreamSettings
from nightlane.webhook_settings import EventBusSettings

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
        uploads=DynamoUploads(clients.dynamodb, settings.table_name),
        quotas=DynamoQuotas(clients.dynamodb, settings.table_name),
        blobs=S3Blobs(clients.s3, settings.bucket_name),
        compositions=S3Compositions(clients.s3, settings.bucket_name),
        queues=SqsQueues(clients.sqs, settings),
        webhooks=webhooks_on_aws(settings, clients),
        metrics=EmbeddedMetrics(),
        log=log_event,
        now=time.time,
        monotonic=time.monotonic,
        new_id=new_id,
        settings=settings,
        s3=S3Locations(clients.s3, settings.bucket_name),
    )


def webhooks_on_aws(settings: StorageSettings, clients: Clients) -> Webhooks:
    """Build the stores and the senders of webhooks."""
    bus = settings.event_bus if isinstance(settings, EventBusSettings) else None
    return Webhooks(
        DynamoEndpoints(clients.dynamodb, settings.table_name),
        DynamoEvents(clients.dynamodb, settings.table_name),
        send_webhooks,
        EventBridge(clients, bus) if bus else None,
    )


def send_webhooks(deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
    """`domain.webhook_ports.Sender` over HTTP."""
    # Imported here, because aiohttp takes longer than boto3, and most functions send none.
    from nightlane.webhooks.sender import HttpSender

    return HttpSender()(deliveries, allow_private=allow_private)


def credentials_of(upstream: UpstreamSettings, clients: Clients) -> Credentials:
    """Build what authenticates requests to an upstream."""
    auth = upstream.auth
    if auth is None:
        return Credentials()
    if auth.aws is not None:
        return Credentials(signer=SigV4Signer(clients, auth.aws.service, upstream.aws_region))
    key = UpstreamKey(auth.secret, clients) if auth.secret else FixedKey(auth.key)
    return Credentials(key, auth.header)


def models_of(settings: EndpointSettings, clients: Clients) -> HttpModels:
    """Build the client for the upstreams' lists of models."""
    return HttpModels(settings.upstreams, lambda upstream: credentials_of(upstream, clients))
