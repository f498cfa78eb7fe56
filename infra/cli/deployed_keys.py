"""Access to the API keys of a deployed stack with the operator's AWS credentials."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from nightlane.aws.clients import CONFIG, Clients
from nightlane.aws.table import DynamoKeys

from .errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE_OUTPUT = "TableName"


@contextmanager
def deployed_keys(stack: str, table: str | None) -> Iterator[DynamoKeys]:
    """The keys of a stack, or of a table. Raises: CommandError, for any error of AWS in the context."""
    name, region = table, None
    try:
        # boto3 reads only AWS_DEFAULT_REGION; the AWS CLI and the other SDKs read AWS_REGION.
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
        session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        region = session.region_name
        if name is None:
            name = _table_of(stack, session)
        yield DynamoKeys(_dynamodb(session), name)
    except (BotoCoreError, ClientError) as error:
        raise CommandError(_reason(error, name, region)) from error


def _table_of(stack: str, session: boto3.Session) -> str:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html"""
    with _valid_endpoint():
        client: Any = session.client("cloudformation", config=CONFIG)
    try:
        (described,) = client.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise CommandError(
            f"no stack named {stack} in {session.region_name}: pass --stack or --table"
        ) from error
    for output in described.get("Outputs", ()):
        if output["OutputKey"] == TABLE_OUTPUT:
            return str(output["OutputValue"])
    raise CommandError(
        f"the stack {stack} has no output {TABLE_OUTPUT}: is it a fully deployed Nightlane stack?"
    )


def _dynamodb(session: boto3.Session) -> "DynamoDBClient":
    with _valid_endpoint():
        return Clients(session).dynamodb


@contextmanager
def _valid_endpoint() -> Iterator[None]:
    """botocore raises a plain ValueError if AWS_ENDPOINT_URL is not a URL."""
    try:
        yield
    except ValueError as error:
        raise CommandError(str(error)) from error


def _reason(error: Exception, table: str | None, region: str | None) -> str:
    match error:
        case NoRegionError():
            return "no AWS region: set AWS_REGION, or a region in the profile of AWS_PROFILE"
        case NoCredentialsError():
            return "no AWS credentials: set AWS_PROFILE, or sign in with `aws login` or `aws sso login`"
        case ClientError(response={"Error": {"Code": "ResourceNotFoundException"}}):
            return f"no table named {table} in {region}"
        case ClientError(response={"Error": answer}):
            return f"AWS refused {error.operation_name}: {answer.get('Message') or answer.get('Code')}"
    return str(error)
