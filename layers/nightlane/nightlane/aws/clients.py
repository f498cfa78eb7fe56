"""The boto3 clients of a process. Each is created on first use, because creating one slows a cold start."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
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


class Clients:
    """One client per service. Outside AWS, pass a session and the URL of the emulator."""

    def __init__(self, session: boto3.Session | None = None, endpoint_url: str | None = None) -> None:
        self._session = session
        self._make: Any = (session or boto3).client
        self._endpoint_url = endpoint_url

    @cached_property
    def credentials(self) -> "Credentials | None":
        """The credentials that the clients use; None if there are none."""
        session = self._session or boto3.DEFAULT_SESSION or boto3.Session()
        credentials: Credentials | None = session.get_credentials()
        return credentials

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        client: DynamoDBClient = self._make("dynamodb", endpoint_url=self._endpoint_url, config=CONFIG)
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
        client: S3Client = self._make("s3", endpoint_url=self._endpoint_url, config=config)
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        client: SQSClient = self._make("sqs", endpoint_url=self._endpoint_url, config=CONFIG)
        return client

    @cached_property
    def events(self) -> "EventBridgeClient":
        client: EventBridgeClient = self._make("events", endpoint_url=self._endpoint_url, config=CONFIG)
        return client

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        client: SecretsManagerClient = self._make(
            "secretsmanager", endpoint_url=self._endpoint_url, config=CONFIG
        )
        return client
