"""The events in which Lambda gets messages and timer ticks, in their documented shapes.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from infra.home.events import ACCOUNT, REGION


def sqs_event(queue: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """The event for one received message; moto does not set a dead letter's `DeadLetterQueueSourceArn`."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": _queue_arn(queue),
                "awsRegion": REGION,
            }
        ]
    }


def _queue_arn(queue: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"


def object_event(bucket: str, key: str, size: int, etag: str) -> dict[str, Any]:
    """EventBridge's event for an object that was stored in S3 with one PUT.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": REGION,
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": size, "etag": etag, "sequencer": uuid.uuid4().hex[:18].upper()},
            "request-id": uuid.uuid4().hex[:16].upper(),
            "requester": ACCOUNT,
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject",
        },
    }


def scheduled_event() -> dict[str, Any]:
    """EventBridge's scheduled event."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/nightlane-sweep"],
        "detail": {},
    }
