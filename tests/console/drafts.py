"""Files for the pictures of the page "New batch", and endpoints in every state."""

import json
import time
from typing import Any

from playwright.sync_api import Page, Route

NOW = int(time.time())
HOUR = 3_600
TICKETS = (
    "My invoice of October shows the VAT number of our old company. Can you correct it?",
    "The link to reset my password says that it has expired, each time I open it.",
    "Tracking says the parcel was delivered on Monday, but nobody here has seen it.",
    "I would like to send back two of the four lamps. Who pays for the return?",
    "Is there a discount for schools, and does it include the maintenance contract?",
)


def ticket_lines(count: int, model: str) -> list[bytes]:
    """Requests to classify tickets, one a line."""
    system = {"role": "system", "content": "Classify the ticket as JSON: category, priority, reply."}
    found = []
    for number in range(count):
        messages = [system, {"role": "user", "content": TICKETS[number % len(TICKETS)]}]
        body = {"model": model, "messages": messages, "max_tokens": 200}
        line = {
            "custom_id": f"ticket-{number + 1:05}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }
        found.append(json.dumps(line).encode())
    return found


def with_mistakes(lines: list[bytes]) -> list[bytes]:
    """Return the lines with mistakes of several kinds, as people make them."""
    found = list(lines)
    found[16] = found[16][:-9]
    found[47] = found[46]
    found[130] = found[130].replace(b"/v1/chat/completions", b"/chat/completions")
    found[131] = found[131].replace(b"/v1/chat/completions", b"/chat/completions")
    found[202] = found[202].replace(b"nobody here", "niemand in Köln".encode("latin-1"))
    found[340] = found[340].replace(b'"model"', b'"modle"')
    found[812] = found[812].replace(b'"max_tokens"', b'"stream": true, "max_tokens"')
    return found


UPSTREAM: dict[str, Any] = {
    "object": "upstream",
    "name": "gpu-box",
    "models": ["qwen3-*", "llama-*"],
    "status": "ok",
    "limit": {"now": 38, "max": 64},
    "counted_since": NOW - 23 * HOUR,
    "requests": 184_223,
    "refusals": 1_204,
    "resting_until": None,
    "active_hours": None,
    "last_error": None,
}
RESTING: dict[str, Any] = UPSTREAM | {
    "name": "router",
    "models": ["gpt-*", "o3-*"],
    "status": "resting",
    "limit": {"now": 4, "max": None},
    "requests": 912,
    "refusals": 311,
    "resting_until": NOW + 39 * 60,
    "last_error": {
        "kind": "rate_limit",
        "status": 429,
        "message": "The endpoint refuses requests.",
        "since": NOW - 60,
    },
}
CLOSED: dict[str, Any] = UPSTREAM | {
    "name": "night-cluster",
    "models": ["bge-*"],
    "status": "closed",
    "limit": {"now": None, "max": 128},
    "requests": 20_110,
    "refusals": 0,
    "active_hours": {"hours": "22:00-06:00 UTC", "opens_at": NOW + 2 * HOUR + 1_800, "closes_at": None},
}


class Upstreams:
    """Answers the page's requests for endpoints; `data` may be changed between two polls."""

    def __init__(self, page: Page, *data: dict[str, Any]) -> None:
        self.data = list(data)
        page.route("**/v1/upstreams", self._list)

    def _list(self, route: Route) -> None:
        route.fulfill(json={"object": "list", "data": self.data})
