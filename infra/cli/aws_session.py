"""The operator's AWS credentials and region, and what errors of AWS mean to an operator."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
)

from nightlane.aws.clients import CONFIG, Clients

from .errors import CommandError


def operator_session() -> boto3.Session:
    """The credentials and the region of the environment.

    boto3 reads only AWS_DEFAULT_REGION; the AWS CLI and the other SDKs read AWS_REGION.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
    """
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)


def client_of(session: boto3.Session, service: str) -> Any:
    """A client with the timeouts and retries of all others. Raises: CommandError: invalid endpoint."""
    with valid_endpoint():
        return session.client(service, config=CONFIG)  # type: ignore[call-overload]


def clients_of(session: boto3.Session) -> Clients:
    """The clients of the stores."""
    return Clients(session)


@contextmanager
def valid_endpoint() -> Iterator[None]:
    """botocore raises a plain ValueError if AWS_ENDPOINT_URL is not a URL."""
    try:
        yield
    except ValueError as error:
        raise CommandError(str(error)) from error


@contextmanager
def aws_errors(region: str | None = None, table: str | None = None) -> Iterator[None]:
    """Raise CommandError for any error of AWS in the context."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CommandError(reason(error, table, region)) from error


def code_of(error: BaseException | None) -> str:
    """The code of AWS's error; empty if it is another one."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def reason(error: Exception, table: str | None, region: str | None) -> str:
    """Describe an error of AWS in one line."""
    match error:
        case NoRegionError():
            return "no AWS region: set AWS_REGION, or a region in the profile of AWS_PROFILE"
        case NoCredentialsError():
            return "no AWS credentials: set AWS_PROFILE, or sign in with `aws login` or `aws sso login`"
        case ClientError(response={"Error": {"Code": "ResourceNotFoundException"}}) if table:
            return f"no table named {table} in {region}"
        case ClientError(response={"Error": answer}):
            return f"AWS refused {error.operation_name}: {answer.get('Message') or answer.get('Code')}"
    return str(error)
