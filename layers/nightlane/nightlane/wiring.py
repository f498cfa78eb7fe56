"""Builds the ports of the handlers on AWS, and the connections to the upstreams."""

import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.compositions import S3Compositions
from nightlane.aws.events import EventBridge
from nightlane.aws.locations import S3Locations
from nightlane.aws.queues import SqsQueues
from nightlane.aws.secrets import UpstreamKey
from nightlane.aws.signing import SigV4Signer
from nightlane.aws.table import (
    DynamoBatches,
    DynamoEndpoints,
    DynamoEvents,
    DynamoFiles,
    DynamoQuotas,
    DynamoUploads,
    DynamoUpstreams,
)
from nightlane.domain.ports import Ports
from nightlane.domain.webhook_ports import Webhooks
from nightlane.observability import EmbeddedMetrics, log_event
from nightlane.resource_settings import StorageSettings
from nightlane.settings import EndpointSettings, NotifySettings, RequestSettings
from nightlane.upstream.connections import HttpConnections
from nightlane.upstream.credentials import Credentials, FixedKey
from nightlane.upstream.models import HttpModels
from nightlane.upstream_settings import UpstreamSettings
from nightlane.webhooks.sender import HttpSender

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
    bus = settings.event_bus if isinstance(settings, NotifySettings) else None
    return Webhooks(
        DynamoEndpoints(clients.dynamodb, settings.table_name),
        DynamoEvents(clients.dynamodb, settings.table_name),
        HttpSender(),
        EventBridge(clients, bus) if bus else None,
    )


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


def connections_to(settings: RequestSettings, clients: Clients, now: Callable[[], float]) -> HttpConnections:
    """Build the connections to all upstreams; `now` returns seconds since 1970."""
    credentials = {each.name: credentials_of(each, clients) for each in settings.upstreams}
    return HttpConnections(settings, credentials, now)
