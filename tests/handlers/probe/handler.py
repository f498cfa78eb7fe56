"""A function for the tests of the rig: it does what its event says."""

import os
import signal
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    body = event["Records"][0]["body"] if "Records" in event else event["do"]
    match body.split():
        case ["sleep", seconds]:
            print("this must not disturb the answers")
            time.sleep(float(seconds))
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["raise"]:
            raise ValueError("as asked")
        case ["hand-back"]:
            return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    return {
        "pid": os.getpid(),
        "name": context.function_name,
        "remaining": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "echo": body,
    }
