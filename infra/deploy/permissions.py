"""What each function may do. The CDK app makes roles from it; a test compares it with the calls really made.

An action is allowed on the keys, objects or queues that start with a prefix.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from dataclasses import dataclass
from enum import StrEnum

from ..resources import ASSEMBLE, INFER, PLAN, FunctionSpec


class Target(StrEnum):
    """The kind of resource that a grant covers."""

    TABLE = "table"
    INDEX = "index"
    OBJECTS = "objects"
    BUCKET = "bucket"
    QUEUE = "queue"
    UPSTREAM_KEY = "upstream-key"
    AWS_MODELS = "aws-models"


@dataclass(frozen=True, slots=True)
class Grant:
    """IAM actions on part of a target: partition keys, object keys, queue names or an AWS service in `on`."""

    target: Target
    actions: tuple[str, ...]
    on: tuple[str, ...] = ()


BATCH, FILE, KEY, UPLOAD, UPSTREAM = "BATCH#", "FILE#", "KEY#", "UPLOAD#", "UPSTREAM#"
WAITING, ADMISSION, TENANT = "WAITING", "ADMISSION", "TENANT#"
FILES, UPLOADS, WORK = "files/", "uploads/", "work/"


def _table(actions: str, *partitions: str) -> Grant:
    return Grant(Target.TABLE, tuple(f"dynamodb:{action}" for action in actions.split()), partitions)


def _index(name: str) -> Grant:
    return Grant(Target.INDEX, ("dynamodb:Query",), (name,))


def _objects(actions: str, *prefixes: str) -> Grant:
    return Grant(Target.OBJECTS, tuple(f"s3:{action}" for action in actions.split()), prefixes)


def _send(*queues: str) -> Grant:
    return Grant(Target.QUEUE, ("sqs:SendMessage",), queues)


def _consume(spec: FunctionSpec) -> Grant:
    """What Lambda's poller does with the function's role, and the lease on a message."""
    poll = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    lease = ("sqs:ChangeMessageVisibility",) if spec.takes_leases else ()
    return Grant(Target.QUEUE, (*poll, *lease), spec.queues)


# Without it S3 returns 403 instead of 404 for a key that does not exist.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
_LIST_BUCKET = Grant(Target.BUCKET, ("s3:ListBucket",))
_READ_UPSTREAM_KEY = Grant(Target.UPSTREAM_KEY, ("secretsmanager:GetSecretValue",))

# What OpenAI's API on Bedrock checks, for each name that requests are signed for.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_bedrock-mantle.html
_CALL_AWS_MODELS = (
    Grant(Target.AWS_MODELS, ("bedrock:InvokeModel",), ("bedrock",)),
    Grant(Target.AWS_MODELS, ("bedrock-mantle:CreateInference",), ("bedrock-mantle",)),
)

_GRANTS: dict[str, tuple[Grant, ...]] = {
    "authorize": (_table("GetItem", KEY),),
    "api": (
        _table("GetItem BatchGetItem PutItem UpdateItem", BATCH, FILE),
        _table("Query", BATCH),
        _table("GetItem", UPSTREAM),
        _table("GetItem UpdateItem", TENANT),
        _index("by_tenant"),
        _table("GetItem PutItem UpdateItem", UPLOAD),
        _objects("GetObject PutObject DeleteObject", FILES, UPLOADS),
        _objects("AbortMultipartUpload ListMultipartUploadParts", FILES),
        _objects("GetObject", WORK),
        _LIST_BUCKET,
        _send(PLAN.name, ASSEMBLE.name),
    ),
    "plan": (
        _table("GetItem", BATCH, FILE, ADMISSION, TENANT),
        _table("Query", BATCH, WAITING),
        _table("UpdateItem", BATCH, ADMISSION, TENANT),
        _table("PutItem DeleteItem", WAITING),
        _objects("GetObject", FILES, WORK),
        _objects("PutObject AbortMultipartUpload DeleteObject", WORK),
        _LIST_BUCKET,
        _send(INFER.name, ASSEMBLE.name),
    ),
    "infer": (
        _table("GetItem UpdateItem", BATCH, UPSTREAM),
        _table("Query", BATCH),
        _objects("GetObject PutObject", WORK),
        _send(ASSEMBLE.name),
        *_CALL_AWS_MODELS,
    ),
    "assemble": (
        _table("GetItem", BATCH, ADMISSION),
        _table("Query", BATCH, WAITING),
        _table("UpdateItem", BATCH, ADMISSION, TENANT),
        _table("PutItem", FILE),
        _table("DeleteItem", BATCH, WAITING),
        _objects("GetObject DeleteObject", WORK),
        _objects("PutObject AbortMultipartUpload DeleteObject", FILES),
        _send(INFER.name, ASSEMBLE.name),
    ),
    "sweep": (
        _table("GetItem", BATCH, FILE, ADMISSION),
        _table("Query", BATCH, WAITING),
        _table("UpdateItem", BATCH, FILE, ADMISSION, TENANT),
        _table("DeleteItem", WAITING),
        _index("by_wake"),
        _objects("GetObject", WORK),
        _objects("DeleteObject", FILES),
        _send(PLAN.name, INFER.name, ASSEMBLE.name),
    ),
    "dead_letters": (
        _table("GetItem Query UpdateItem", BATCH),
        _objects("GetObject PutObject", WORK),
        _send(ASSEMBLE.name),
    ),
}


def grants_of(spec: FunctionSpec) -> tuple[Grant, ...]:
    """All grants of a function: for its own calls, and those that follow from its spec."""
    consume = (_consume(spec),) if spec.queues else ()
    return (*_GRANTS[spec.name], *consume, *((_READ_UPSTREAM_KEY,) if spec.calls_the_upstream else ()))
