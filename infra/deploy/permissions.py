"""What each function may do. The CDK app makes roles from it; a test compares it with the calls really made.

An action is allowed on the keys, objects or queues that start with a prefix.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from dataclasses import dataclass
from enum import StrEnum

from ..resources import ASSEMBLE, DIRECT_UPLOADS, INFER, NOTIFY, PLAN, FunctionSpec


class Target(StrEnum):
    """The kind of resource that a grant covers."""

    TABLE = "table"
    INDEX = "index"
    OBJECTS = "objects"
    BUCKET = "bucket"
    QUEUE = "queue"
    RESULTS_TO_COPY = "results-to-copy"
    S3_INPUTS = "s3-inputs"
    S3_OUTPUTS = "s3-outputs"
    UPSTREAM_KEY = "upstream-key"
    AWS_MODELS = "aws-models"
    EVENT_BUS = "event-bus"


@dataclass(frozen=True, slots=True)
class Grant:
    """IAM actions on part of a target: partition keys, object keys, queue names or an AWS service in `on`."""

    target: Target
    actions: tuple[str, ...]
    on: tuple[str, ...] = ()


BATCH, FILE, KEY, UPLOAD, UPSTREAM = "BATCH#", "FILE#", "KEY#", "UPLOAD#", "UPSTREAM#"
WAITING, ADMISSION, TENANT = "WAITING", "ADMISSION", "TENANT#"
EVENT, WEBHOOKS = "EVENT#", "WEBHOOKS#"
FILES, UPLOADS, WORK, DIRECT = "files/", "uploads/", "work/", DIRECT_UPLOADS


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

# What the operator's s3_inputs and s3_outputs allow batches to read and to write.
_READ_S3_INPUTS = Grant(Target.S3_INPUTS, ("s3:GetObject",))
_COPY_RESULTS = (
    Grant(Target.S3_OUTPUTS, ("s3:PutObject",)),
    Grant(Target.RESULTS_TO_COPY, ("s3:GetObject",)),
)

_GRANTS: dict[str, tuple[Grant, ...]] = {
    "authorize": (_table("GetItem", KEY),),
    "api": (
        _table("GetItem BatchGetItem PutItem UpdateItem", BATCH, FILE),
        _table("Query", BATCH),
        _table("GetItem Query", UPSTREAM),
        _table("GetItem UpdateItem", TENANT),
        _table("GetItem Query PutItem UpdateItem DeleteItem", WEBHOOKS),
        _index("by_tenant"),
        _table("GetItem PutItem UpdateItem", UPLOAD),
        _objects("GetObject PutObject DeleteObject", FILES, DIRECT, UPLOADS),
        _objects("AbortMultipartUpload ListMultipartUploadParts", FILES),
        _objects("GetObject", WORK),
        _LIST_BUCKET,
        _send(PLAN.name, ASSEMBLE.name),
    ),
    "receive": (
        _table("GetItem UpdateItem", FILE),
        _objects("GetObject DeleteObject", DIRECT),
        _LIST_BUCKET,
    ),
    "plan": (
        _table("GetItem", BATCH, FILE, ADMISSION, TENANT),
        _table("Query", BATCH, WAITING),
        _table("UpdateItem", BATCH, ADMISSION, TENANT),
        _table("PutItem DeleteItem", WAITING),
        _table("PutItem", EVENT),
        _objects("GetObject", FILES, DIRECT, WORK),
        _objects("PutObject AbortMultipartUpload DeleteObject", WORK),
        _LIST_BUCKET,
        _READ_S3_INPUTS,
        _send(INFER.name, ASSEMBLE.name, NOTIFY.name),
    ),
    "infer": (
        _table("GetItem UpdateItem", BATCH, UPSTREAM),
        _table("Query DeleteItem", BATCH),
        _objects("GetObject PutObject", WORK),
        _send(ASSEMBLE.name),
        *_CALL_AWS_MODELS,
    ),
    "assemble": (
        _table("GetItem", BATCH, ADMISSION),
        _table("Query", BATCH, WAITING),
        _table("UpdateItem", BATCH, ADMISSION, TENANT),
        _table("PutItem", EVENT, FILE),
        _table("DeleteItem", BATCH, WAITING),
        _objects("GetObject DeleteObject", WORK),
        _objects("PutObject AbortMultipartUpload DeleteObject", FILES),
        *_COPY_RESULTS,
        _send(INFER.name, ASSEMBLE.name, NOTIFY.name),
    ),
    "sweep": (
        _table("GetItem", BATCH, FILE, ADMISSION),
        _table("Query", BATCH, WAITING),
        _table("UpdateItem", BATCH, EVENT, FILE, ADMISSION, TENANT),
        _table("DeleteItem", WAITING),
        _index("by_wake"),
        _objects("GetObject", WORK),
        _objects("DeleteObject", FILES, DIRECT),
        _send(PLAN.name, INFER.name, ASSEMBLE.name, NOTIFY.name),
    ),
    "notify": (
        _table("GetItem UpdateItem DeleteItem", EVENT),
        _table("Query UpdateItem", WEBHOOKS),
        Grant(Target.EVENT_BUS, ("events:PutEvents",)),
    ),
    "dead_letters": (
        _table("GetItem Query UpdateItem", BATCH),
        _table("PutItem", EVENT),
        _objects("GetObject PutObject", WORK),
        _send(ASSEMBLE.name, NOTIFY.name),
    ),
}


def grants_of(spec: FunctionSpec) -> tuple[Grant, ...]:
    """All grants of a function: for its own calls, and those that follow from its spec."""
    consume = (_consume(spec),) if spec.queues else ()
    return (*_GRANTS[spec.name], *consume, *((_READ_UPSTREAM_KEY,) if spec.calls_the_upstream else ()))
