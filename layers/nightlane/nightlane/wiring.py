"""Where a function's process puts the ports together, once."""

import time
import uuid
from functools import lru_cache

from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.queues import SqsQueues
from nightlane.aws.secrets import UpstreamKey
from nightlane.aws.table import DynamoBatches, DynamoFiles, DynamoKeys, DynamoUpstreams
from nightlane.domain.ports import Ports
from nightlane.observability import log_event, meter
from nightlane.settings import Settings, settings
from nightlane.upstream.models import HttpModels


def new_id() -> str:
    """32 hexadecimal digits nobody can guess."""
    return uuid.uuid4().hex


def build(values: Settings, clients: Clients) -> Ports:
    """The ports on AWS for these settings."""
    return Ports(
        batches=DynamoBatches(clients.dynamodb, values.table_name),
        upstreams=DynamoUpstreams(clients.dynamodb, values.table_name),
        files=DynamoFiles(clients.dynamodb, values.table_name),
        blobs=S3Blobs(clients.s3, values.bucket_name),
        queues=SqsQueues(clients.sqs, values),
        models=HttpModels(values.upstream_url, UpstreamKey(values, clients)),
        metrics=meter,
        log=log_event,
        now=time.time,
        monotonic=time.monotonic,
        new_id=new_id,
        settings=values,
    )


@lru_cache(maxsize=1)
def clients() -> Clients:
    """The AWS clients of this process."""
    return Clients()


@lru_cache(maxsize=1)
def ports() -> Ports:
    """The ports of this process."""
    return build(settings(), clients())


@lru_cache(maxsize=1)
def upstream_key() -> UpstreamKey:
    """The upstream's key, read once for all invocations of this process."""
    return UpstreamKey(settings(), clients())


@lru_cache(maxsize=1)
def keys() -> DynamoKeys:
    """Who has which API key."""
    return DynamoKeys(clients().dynamodb, settings().table_name)
