"""What IAM checks for an AWS call: actions on resources.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, json

from infra.deploy.permissions import Target

# The environment variable with the folder in which accesses are recorded.
RECORD = "RECORD_AWS_CALLS"
# The bucket of a team, where batches may read below `in/` and write below `out/`.
TEAM_BUCKET = "team-data"
# For these, one access stands for all of its kind.
KINDS = frozenset({Target.TABLE, Target.OBJECTS})
OBJECT_ACTIONS = {
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
}
TRANSACTION_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


class Access(Struct, frozen=True, order=True):
    """An action on a resource: a partition key, an index, an object key or a queue name."""

    function: str
    action: str
    target: Target
    on: str


Accesses = Iterator[tuple[str, Target, str]]


def iam_accesses(service: str, operation: str, params: Mapping[str, Any]) -> Accesses:
    """The actions, targets and resources that IAM checks for one call."""
    match service:
        case "dynamodb":
            yield from _items(operation, params)
        case "s3":
            yield from _objects(operation, params)
        case "sqs":
            action = operation.removesuffix("Batch")
            yield f"sqs:{action}", Target.QUEUE, params["QueueUrl"].rsplit("/", 1)[1].removesuffix(".fifo")
        case "events":
            yield from (
                (f"events:{operation}", Target.EVENT_BUS, each["EventBusName"]) for each in params["Entries"]
            )
        case _:
            yield f"{service}:{operation}", Target.UPSTREAM_KEY, params.get("SecretId", "")


def _items(operation: str, params: Mapping[str, Any]) -> Accesses:
    if operation == "TransactWriteItems":
        for item in params["TransactItems"]:
            ((verb, action),) = item.items()
            yield f"dynamodb:{TRANSACTION_ACTIONS[verb]}", Target.TABLE, _partition(action)
    elif operation == "BatchGetItem":
        for request in params["RequestItems"].values():
            for key in request["Keys"]:
                yield "dynamodb:BatchGetItem", Target.TABLE, key["pk"]["S"]
    elif operation == "Query" and "IndexName" in params:
        yield "dynamodb:Query", Target.INDEX, params["IndexName"]
    elif operation == "Query":
        value = re.search(r"= (:\w+)", params["KeyConditionExpression"])
        assert value is not None
        yield "dynamodb:Query", Target.TABLE, params["ExpressionAttributeValues"][value[1]]["S"]
    else:
        yield f"dynamodb:{operation}", Target.TABLE, _partition(params)


def _partition(params: Mapping[str, Any]) -> str:
    partition: str = (params.get("Key") or params["Item"])["pk"]["S"]
    return partition


def _objects(operation: str, params: Mapping[str, Any]) -> Accesses:
    if params["Bucket"] == TEAM_BUCKET:
        # Another bucket is written to with a copy of a result, and read with HeadObject.
        if operation == "CopyObject":
            yield "s3:GetObject", Target.OBJECTS, params["CopySource"]["Key"]
            yield "s3:PutObject", Target.S3_OUTPUTS, f"{params['Bucket']}/{params['Key']}"
        else:
            action = f"s3:{OBJECT_ACTIONS.get(operation, operation)}"
            yield action, Target.S3_INPUTS, f"{params['Bucket']}/{params['Key']}"
    elif operation == "CopyObject" and params["CopySource"]["Bucket"] == TEAM_BUCKET:
        source = params["CopySource"]
        yield "s3:GetObject", Target.S3_INPUTS, f"{source['Bucket']}/{source['Key']}"
        yield "s3:PutObject", Target.OBJECTS, params["Key"]
    elif operation == "DeleteObjects":
        for each in params["Delete"]["Objects"]:
            yield "s3:DeleteObject", Target.OBJECTS, each["Key"]
    elif operation == "CopyObject":
        yield "s3:GetObject", Target.OBJECTS, params["CopySource"]["Key"]
        yield "s3:PutObject", Target.OBJECTS, params["Key"]
    else:
        yield f"s3:{OBJECT_ACTIONS.get(operation, operation)}", Target.OBJECTS, params["Key"]


class AccessRecorder:
    """Records the accesses of functions, each kind of access once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{os.getpid()}.jsonl"
        self._recorded: set[Access] = set()

    def watch(self, register: Callable[[str, Any], None], function: Callable[[], str | None]) -> None:
        """Record a session's calls under the current function; nothing while there is none.

        Args:
            register: the session's method that adds a hook for an event.
        """

        def record(params: dict[str, Any], model: Any, **_: Any) -> None:
            if (name := function()) is not None:
                self._record(name, model.service_model.service_name, model.name, params)

        register("before-parameter-build.*.*", record)

    def _record(self, function: str, service: str, operation: str, params: Mapping[str, Any]) -> None:
        for action, target, on in iam_accesses(service, operation, params):
            access = Access(function, action, target, _kind(on) if target in KINDS else on)
            if access not in self._recorded:
                self._recorded.add(access)
                with self._file.open("ab") as file:
                    file.write(json.encode(access) + b"\n")


def recorder_from_environment() -> AccessRecorder | None:
    """A recorder if the environment names its folder, else None."""
    folder = os.environ.get(RECORD)
    return AccessRecorder(Path(folder)) if folder else None


def read_accesses(folder: Path) -> set[Access]:
    """All recorded accesses."""
    return {
        json.decode(line, type=Access)
        for file in folder.glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    }


def _kind(name: str) -> str:
    """The kind of a key: `BATCH#` for `BATCH#1`, `files/` for `files/a`."""
    return re.sub(r"(?<=[#/]).*", "", name, count=1)
