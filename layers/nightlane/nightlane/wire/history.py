"""The history of a batch as JSON, an extension."""

from typing import Literal

from typing_extensions import TypedDict

from nightlane.domain.history import History


class HistoryPoint(TypedDict):
    """What ended in `seconds` from `start` on. The latency is that of the requests that were answered."""

    start: int
    seconds: int
    completed: int
    failed: int
    mean_latency_ms: int | None


class BatchHistory(TypedDict):
    """Throughput and latency of a batch from its admission to now, or to its end; up to 100 points.

    Empty for a batch that was not admitted.
    """

    object: Literal["batch.history"]
    batch_id: str
    points: list[HistoryPoint]


def history_object(batch_id: str, history: History | None) -> BatchHistory:
    points = () if history is None else history.points
    start, seconds = (0, 0) if history is None else (history.start, history.seconds)
    return {
        "object": "batch.history",
        "batch_id": batch_id,
        "points": [
            {
                "start": start + number * seconds,
                "seconds": seconds,
                "completed": point.completed,
                "failed": point.failed,
                "mean_latency_ms": point.mean_latency_ms,
            }
            for number, point in enumerate(points)
        ],
    }
