"""List prices in US dollars, us-east-1, September 2026.

Sources: https://aws.amazon.com/lambda/pricing/ …/dynamodb/pricing/on-demand/ …/sqs/pricing/
…/s3/pricing/ …/api-gateway/pricing/ …/cloudwatch/pricing/ …/xray/pricing/
…/secrets-manager/pricing/ …/ec2/pricing/on-demand/
"""

MILLION = 1e6
LAMBDA_GB_SECOND_ARM64 = 0.0000133334
LAMBDA_REQUEST = 0.20 / MILLION
API_GATEWAY_REQUEST = 3.50 / MILLION
DYNAMODB_WRITE_UNIT = 0.625 / MILLION
DYNAMODB_READ_UNIT = 0.125 / MILLION
# FIFO queues; the bill of a batch counts all requests as such.
SQS_REQUEST = 0.50 / MILLION
SQS_STANDARD_REQUEST = 0.40 / MILLION
S3_PUT = 5.00 / MILLION
S3_GET = 0.40 / MILLION
XRAY_TRACE = 5.00 / MILLION
# Per month.
CLOUDWATCH_ALARM = 0.10
CLOUDWATCH_COMPOSITE_ALARM = 0.50
CLOUDWATCH_METRIC = 0.30
CLOUDWATCH_DASHBOARD = 3.00
SECRET = 0.40
MB_PER_GB = 1_024

# A batch item is read and written whole and fits into 2 KB. A write in a transaction costs twice as much.
ITEM_WRITE_UNITS = 2
TRANSACTION = 2
WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})
GETS = frozenset({"GetObject", "HeadObject"})
FREE = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})


def call_price(name: str, count: int, units: int) -> float:
    """Price of `count` calls that together read or wrote `units` items."""
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


def lambda_price(invocations: float, seconds: float, memory_mb: int) -> float:
    """Price of requests and GB-seconds; `seconds` is the sum over all invocations."""
    return invocations * LAMBDA_REQUEST + seconds * memory_mb / MB_PER_GB * LAMBDA_GB_SECOND_ARM64
