"""What a batch is waiting for, from Nightlane's `/progress`; other servers do not have it."""

from typing import Any

import openai


def waiting_reason(client: openai.OpenAI, batch_id: str) -> str | None:
    """Say in one line what a batch is waiting for; None if it is not, or the server does not say."""
    path = f"/batches/{batch_id}/progress"
    try:
        progress: Any = client.get(path, cast_to=object, options={"max_retries": 0})
    except openai.OpenAIError:
        return None
    if not isinstance(progress, dict) or not progress.get("waits_for"):
        return None
    if progress["waits_for"] == "slot":
        return "waiting for a slot: other batches are running"
    if progress["waits_for"] == "active_hours":
        return "waiting for the hours in which the endpoint may be used"
    last = progress.get("last_refusal") or {}
    refusal = f"{last.get('status') or last.get('kind')}: {last.get('message')}"
    return f"waiting for the endpoint; its last response: {refusal}"
