"""Access to the API keys of a deployed stack with the operator's AWS credentials."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from nightlane.aws.table.keys import DynamoKeys

from .aws_session import client_of, clients_of, operator_session, reason, valid_endpoint
from .deployed_stack import TABLE_OUTPUT, find_stack
from .errors import CommandError


@contextmanager
def deployed_keys(stack: str, table: str | None) -> Iterator[DynamoKeys]:
    """The keys of a stack, or of a table. Raises: CommandError, for any error of AWS in the context."""
    name, region = table, None
    try:
        session = operator_session()
        region = session.region_name
        if name is None:
            name = _table_of(stack, session)
        with valid_endpoint():
            dynamodb = clients_of(session).dynamodb
            # Before, it has not been created yet.
            _ = dynamodb.meta
        yield DynamoKeys(dynamodb, name)
    except (BotoCoreError, ClientError) as error:
        raise CommandError(reason(error, name, region)) from error


def _table_of(stack: str, session: boto3.Session) -> str:
    found = find_stack(client_of(session, "cloudformation"), stack)
    if found is None:
        raise CommandError(f"no stack named {stack} in {session.region_name}: pass --stack or --table")
    return found.output(TABLE_OUTPUT)
