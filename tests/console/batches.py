"""Input files for the console's tests."""

import json
from collections.abc import Mapping
from typing import Any


def chat_line(custom_id: str, content: str = "Hello", mock: Mapping[str, Any] | None = None) -> str:
    body: dict[str, Any] = {"model": "mock-small", "messages": [{"role": "user", "content": content}]}
    if mock:
        body["mock"] = mock
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line) + "\n"


def chat_lines(count: int, bad: int = 0, **mock: Any) -> bytes:
    """Chat requests, of which the first `bad` get a 400; `mock` says how the others are answered."""
    lines = [
        chat_line(f"line-{i:04}", f"Question {i}", {"status": 400} if i < bad else mock) for i in range(count)
    ]
    return "".join(lines).encode()
