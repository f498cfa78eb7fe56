"""The boto3 clients of a process, made when first asked for: importing them costs a cold start."""

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
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
    """One client a service."""

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        return boto3.client("dynamodb", config=CONFIG)

    @cached_property
    def s3(self) -> "S3Client":
        return boto3.client("s3", config=CONFIG.merge(Config(signature_version="s3v4")))

    @cached_property
    def sqs(self) -> "SQSClient":
        return boto3.client("sqs", config=CONFIG)

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        return boto3.client("secretsmanager", config=CONFIG)
