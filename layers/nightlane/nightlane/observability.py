"""The structured logger and the meter of every function. Neither sees a body or a key."""

import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from nightlane.domain.metrics import NAMESPACE, Meter, Metric, unit_of
from nightlane.domain.ports import Ports

# Each stack of an account gives its functions another name.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "nightlane")
MOST_VALUES = 100
"""Of one metric in one line: see `EmbeddedMetrics`."""

Dimensions = tuple[tuple[str, str], ...]

logger = Logger(service=SERVICE)


class EmbeddedMetrics:
    """`domain.metrics.Meter` in CloudWatch's embedded metric format, on standard output.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """

    def __init__(self) -> None:
        # Powertools' own `add_metric` costs 15 µs a value; its format is all that is used.
        self._format = Metrics(namespace=NAMESPACE, service=SERVICE)
        self._lock = threading.Lock()
        self._values: dict[Dimensions, dict[Metric, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        with self._lock:
            self._values[tuple(dimensions.items())][metric].append(value)

    def publish(self) -> None:
        with self._lock:
            for dimensions, values in self._values.items():
                for line in self._lines({"service": SERVICE, **dict(dimensions)}, values):
                    sys.stdout.write(line + "\n")
            self._values.clear()

    def _lines(self, dimensions: dict[str, str], values: Mapping[Metric, list[float]]) -> Iterator[str]:
        for start in range(0, max(map(len, values.values())), MOST_VALUES):
            some = {
                metric.value: {"Unit": unit_of(metric).value, "Value": taken[start : start + MOST_VALUES]}
                for metric, taken in values.items()
                if len(taken) > start
            }
            formatted = self._format.serialize_metric_set(some, dimensions)
            yield json.dumps(formatted, separators=(",", ":"))


def log_event(event: str, **details: object) -> None:
    """`domain.ports.Ports.log`: what an operator should read, as one line."""
    logger.warning(event, extra=details)


@contextmanager
def published(meter: Meter) -> Iterator[None]:
    """Decorates a handler: what it measured by the meter is published at its end, also when it raises.

    What it raises is logged with what the log knows of the invocation, the batch above all.
    """
    try:
        yield
    except Exception:
        logger.exception("unhandled")
        raise
    finally:
        meter.publish()


def measure_queue_wait(ports: Ports, function: str, record: Mapping[str, Any]) -> None:
    """How long the message of an SQS event's record waited, if this is its first receive.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    attributes = record["attributes"]
    if attributes["ApproximateReceiveCount"] == "1":
        waited = ports.now() * 1000 - int(attributes["SentTimestamp"])
        ports.metrics.add(Metric.QUEUE_WAIT, max(0.0, round(waited)), function=function)
