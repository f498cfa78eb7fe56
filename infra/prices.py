"""List prices in US dollars, us-east-1, September 2026, and what a local run would have cost.

Sources: https://aws.amazon.com/lambda/pricing/ …/dynamodb/pricing/on-demand/ …/sqs/pricing/
…/s3/pricing/ …/api-gateway/pricing/ …/cloudwatch/pricing/ …/xray/pricing/
…/secrets-manager/pricing/ …/ec2/pricing/on-demand/
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.rig.ledger import FunctionUse, Ledger

MILLION = 1e6
LAMBDA_GB_SECOND_ARM64 = 0.0000133334
LAMBDA_REQUEST = 0.20 / MILLION
API_GATEWAY_REQUEST = 3.50 / MILLION
DYNAMODB_WRITE_UNIT = 0.625 / MILLION
DYNAMODB_READ_UNIT = 0.125 / MILLION
SQS_REQUEST = 0.50 / MILLION
S3_PUT = 5.00 / MILLION
S3_GET = 0.40 / MILLION
XRAY_TRACE = 5.00 / MILLION
# By the month; egress to the internet by the gigabyte, after the first 100.
CLOUDWATCH_ALARM = 0.10
CLOUDWATCH_METRIC = 0.30
CLOUDWATCH_DASHBOARD = 3.00
SECRET = 0.40
EGRESS_GB = 0.09
MILLISECONDS_A_GB_SECOND = 1_000 * 1_024

# A batch item is read and written whole: it fits into 2 KB, and a write in a transaction is two.
ITEM_WRITE_UNITS = 2
TRANSACTION = 2
WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})
GETS = frozenset({"GetObject", "HeadObject"})
FREE = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})


@dataclass(frozen=True, slots=True)
class Cost:
    """A line of the bill."""

    item: str
    count: float
    dollars: float


def call_price(name: str, count: int, units: int) -> float:
    """What `count` calls that touched `units` items cost."""
    service, operation = name.split(":")
    if service == "dynamodb":
        if operation in WRITES:
            factor = TRANSACTION if operation == "TransactWriteItems" else 1
            return units * ITEM_WRITE_UNITS * factor * DYNAMODB_WRITE_UNIT
        return units * DYNAMODB_READ_UNIT
    if service == "sqs":
        return count * SQS_REQUEST
    if operation in FREE:
        return 0.0
    return count * (S3_GET if operation in GETS else S3_PUT)


def lambda_price(use: FunctionUse) -> float:
    """Requests and gigabyte-seconds."""
    gigabyte_seconds = use.milliseconds * use.memory_mb / MILLISECONDS_A_GB_SECOND
    return use.invocations * LAMBDA_REQUEST + gigabyte_seconds * LAMBDA_GB_SECOND_ARM64


def bill(ledger: Ledger) -> Iterable[Cost]:
    """Every AWS call by its name, then every function."""
    calls, units = ledger.calls(), ledger.units()
    for name, count in sorted(calls.items()):
        yield Cost(name, count, call_price(name, count, units[name] or count))
    if api := ledger.functions.get("api"):
        yield Cost("API Gateway requests", api.invocations, api.invocations * API_GATEWAY_REQUEST)
    for name, use in ledger.functions.items():
        if use.invocations:
            yield Cost(f"Lambda {name}", use.invocations, lambda_price(use))
