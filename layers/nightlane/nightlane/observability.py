"""The structured logger and the metrics of every function. Neither records a body or a key."""

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

# Each stack in an account sets a service name of its own.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "nightlane")
MAX_VALUES_PER_LINE = 100
"""Values of one metric in one line: see the specification below."""

Dimensions = tuple[tuple[str, str], ...]

logger = Logger(service=SERVICE)


class EmbeddedMetrics:
    """`domain.metrics.Meter` in CloudWatch's embedded metric format, on standard output.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """

    def __init__(self) -> None:
        # Only Powertools' formatting is used: its `add_metric` takes 15 µs per value.
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
        for start in range(0, max(map(len, values.values())), MAX_VALUES_PER_LINE):
            end = start + MAX_VALUES_PER_LINE
            metrics = {
                metric.value: {"Unit": unit_of(metric).value, "Value": measured[start:end]}
                for metric, measured in values.items()
                if len(measured) > start
            }
            formatted = self._format.serialize_metric_set(metrics, dimensions)
            yield json.dumps(formatted, separators=(",", ":"))


def log_event(event: str, **details: object) -> None:
    """`domain.ports.Log`: one line for the operator."""
    logger.warning(event, extra=details)


@contextmanager
def published(meter: Meter) -> Iterator[None]:
    """Decorate a handler: publish its metrics at the end, even if it raises.

    An exception is logged with the keys of the invocation, such as the batch id.
    """
    try:
        yield
    except Exception:
        logger.exception("unhandled")
        raise
    finally:
        meter.publish()


def measure_queue_wait(ports: Ports, function: str, record: Mapping[str, Any]) -> None:
    """Record how long the message of a record in an SQS event waited, if this is its first delivery.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    attributes = record["attributes"]
    if attributes["ApproximateReceiveCount"] == "1":
        waited = ports.now() * 1000 - int(attributes["SentTimestamp"])
        ports.metrics.add(Metric.QUEUE_WAIT, max(0.0, round(waited)), function=function)
