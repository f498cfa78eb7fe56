"""The events that Lambda makes of messages and of the clock, in their documented shapes.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from infra.home.events import ACCOUNT, REGION


def sqs_event(queue: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """One received message."""
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
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
        ]
    }


def scheduled_event() -> dict[str, Any]:
    """EventBridge's tick."""
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
