"""Where a function's process puts the ports together, once."""

import time
import uuid
from functools import cached_property, lru_cache

from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.queues import SqsQueues
from nightlane.aws.secrets import UpstreamKey
from nightlane.aws.table import DynamoBatches, DynamoFiles, DynamoKeys, DynamoUpstreams
from nightlane.domain.ports import Ports, Tenants
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


class Wiring:
    """What a process works with, each part made when it is first asked for: making a client takes time."""

    def __init__(
        self,
        values: Settings,
        clients: Clients,
        ports: Ports | None = None,
        keys: Tenants | None = None,
    ) -> None:
        self.values = values
        self.clients = clients
        self._ports = ports
        self._keys = keys

    @cached_property
    def ports(self) -> Ports:
        """The ports of the domain."""
        return self._ports or build(self.values, self.clients)

    @cached_property
    def keys(self) -> Tenants:
        """Who has which API key."""
        return self._keys or DynamoKeys(self.clients.dynamodb, self.values.table_name)


@lru_cache(maxsize=1)
def _on_aws() -> Wiring:
    return Wiring(settings(), Clients())


_installed: Wiring | None = None


def install(wiring: Wiring) -> None:
    """Let the handlers of this process work with these instead of AWS and the environment's settings."""
    global _installed
    _installed = wiring


def wiring() -> Wiring:
    """What this process works with."""
    return _installed or _on_aws()


def ports() -> Ports:
    """The ports of this process."""
    return wiring().ports


def clients() -> Clients:
    """The AWS clients of this process."""
    return wiring().clients
