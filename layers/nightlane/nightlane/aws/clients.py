"""The AWS clients of a process. Each is created when it is first called, because that slows a cold start.

They are botocore's. boto3 would only be another way to it, and imports a transfer manager and resources.
"""

import threading
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import Credentials
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=32,
    tcp_keepalive=True,
    signature_version="v4",
)


@cache
def default_session() -> botocore.session.Session:
    """The session of this process."""
    return botocore.session.get_session()


class OnFirstCall:
    """A client that is created when one of its attributes is first used."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            self._client = self._client or self._make()
        attribute = getattr(self._client, name)
        setattr(self, name, attribute)
        return attribute


class Clients:
    """One client per service. Outside AWS, pass a session and the URL of the emulator."""

    def __init__(self, session: "boto3.Session | None" = None, endpoint_url: str | None = None) -> None:
        self._session = session or default_session()
        self._make: Any = session.client if session else default_session().create_client
        self._endpoint_url = endpoint_url
        # To create a client is the one thing that a session cannot do in two threads at once.
        self._lock = threading.Lock()

    @cached_property
    def credentials(self) -> "Credentials | None":
        """The credentials that the clients use; None if there are none."""
        credentials: Credentials | None = self._session.get_credentials()
        return credentials

    def _client(self, service: str, config: Config = CONFIG) -> Any:
        def make() -> Any:
            with self._lock:
                return self._make(service, endpoint_url=self._endpoint_url, config=config)

        return OnFirstCall(make)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        # Presigned URLs then name the bucket's region. Under the default, the global name, a new bucket
        # returns a redirect, and one in a region opened after March 2019 returns 400.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html#VirtualHostingBackwardsCompatibility
        config = CONFIG.merge(
            Config(
                signature_version="s3v4",
                s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
            )
        )
        client: S3Client = self._client("s3", config)
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        client: SQSClient = self._client("sqs")
        return client

    @cached_property
    def events(self) -> "EventBridgeClient":
        client: EventBridgeClient = self._client("events")
        return client

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        client: SecretsManagerClient = self._client("secretsmanager")
        return client
