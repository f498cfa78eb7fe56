"""A list of batches as the API returns it, of any length and changed at will."""

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route

NOW = int(time.time())
# So long ago that the age is a date, which does not change while a test runs.
CREATED = NOW - 30 * 86_400


def batch_object(number: int, status: str = "completed", completed: int = 100) -> dict[str, Any]:
    ended = {"completed": "completed_at", "failed": "failed_at"}.get(status)
    return {
        "id": f"batch_{number:032x}",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": "mock-small",
        "errors": None,
        "input_file_id": f"file-{number:032x}",
        "completion_window": "24h",
        "status": status,
        "output_file_id": None,
        "error_file_id": None,
        "created_at": CREATED - number * 60,
        "in_progress_at": CREATED + 10 - number * 60,
        "expires_at": NOW + 80_000 - number * 60,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 100, "completed": completed, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": {"name": f"Batch number {number}"},
    } | ({ended: CREATED + 100 - number * 60} if ended else {})


class ListedBatches:
    """Answers the page's requests for batches, newest first; `batches` may be changed between two polls."""

    def __init__(self, page: Page, batches: list[dict[str, Any]]) -> None:
        self.batches = batches
        self.polls = 0
        page.route("**/v1/batches?**", self._list)
        page.route("**/v1/batches/batch_*", self._one)
        page.route("**/v1/batches/batch_*/progress", self._progress)

    def _list(self, route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        limit, after = int(query["limit"][0]), query.get("after", [None])[0]
        ids = [each["id"] for each in self.batches]
        start = ids.index(after) + 1 if after else 0
        data = self.batches[start : start + limit]
        self.polls += after is None
        has_more = start + limit < len(self.batches)
        route.fulfill(json={"object": "list", "data": data, "last_id": data[-1]["id"], "has_more": has_more})

    def _one(self, route: Route) -> None:
        identifier = urlsplit(route.request.url).path.rpartition("/")[2]
        route.fulfill(json=next(each for each in self.batches if each["id"] == identifier))

    def _progress(self, route: Route) -> None:
        route.fulfill(
            body=json.dumps({"lines_per_second": 1.0, "waits_for": None, "resumes_at": None}),
            content_type="application/json",
        )
