"""A batch of one line through a deployed URL, with the official client."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import openai
from openai.types import Batch

from nightlane.domain.keys import issue
from nightlane.domain.stores import KeyStore

from ..errors import CommandError
from ..waiting import waiting_reason

TENANT, KEY_NAME = "nightlane-test", "one-line batch of `nightlane deploy`"
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
PROMPT = "Say hello in one short sentence."
ENDED = ("completed", "failed", "expired", "cancelled")
PAUSE_SECONDS = 1.0
# Half a minute: the host of a new API takes a while to be known, and its functions to start.
RETRIES = 6
# In the names of models that do not chat.
NOT_CHAT = re.compile(
    "embed|rerank|whisper|tts|transcribe|audio|realtime|image|dall-e|sora|moderation|davinci|babbage",
    re.IGNORECASE,
)


@contextmanager
def temporary_key(keys: KeyStore, tenant: str) -> Iterator[str]:
    """An API key that is deleted afterwards. API Gateway may accept it for a few minutes longer."""
    secret, key = issue(tenant, KEY_NAME, int(time.time()))
    keys.create_key(key)
    try:
        yield secret
    finally:
        keys.revoke_key(key)


def answer_one_line(
    base_url: str, api_key: str, model: str | None, patience_seconds: float, report: Callable[[str], None]
) -> str:
    """Run a batch of one chat request, and return the text of the answer. Its files are deleted.

    Args:
        model: by default the first in the list of models that seems to chat.
        patience_seconds: after this the batch is cancelled.
        report: is called with what happens.

    Raises:
        CommandError: there is no answer; the message says why.
    """
    with openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=RETRIES) as client:
        try:
            model = model or _first_that_chats(client)
            report(f"a batch of one line for the model {model}")
            batch = _create(client, model)
            try:
                batch = _wait(client, batch, patience_seconds, report)
                return _answer(client, batch)
            finally:
                _clean_up(client, batch)
        except openai.APIStatusError as error:
            raise CommandError(f"{base_url} returned {error.status_code}: {error.message}") from error
        except openai.APIConnectionError as error:
            raise CommandError(f"cannot connect to {base_url}: {error.__cause__ or error}") from error


def _first_that_chats(client: openai.OpenAI) -> str:
    listed = [each.id for each in client.models.list()]
    chats = [each for each in listed if not NOT_CHAT.search(each)]
    if not chats:
        raise CommandError(f"no model to chat with among {listed}: pass --model")
    return chats[0]


def _create(client: openai.OpenAI, model: str) -> Batch:
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
    line = {"custom_id": "hello", "method": "POST", "url": ENDPOINT, "body": body}
    file = client.files.create(file=("hello.jsonl", json.dumps(line).encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h")


def _wait(
    client: openai.OpenAI, batch: Batch, patience_seconds: float, report: Callable[[str], None]
) -> Batch:
    deadline, reported = time.monotonic() + patience_seconds, None
    while batch.status not in ENDED:
        time.sleep(PAUSE_SECONDS)
        batch = client.batches.retrieve(batch.id)
        reason = None if batch.status in ENDED else waiting_reason(client, batch.id)
        if reason and reason != reported:
            report(reason)
            reported = reason
        if time.monotonic() > deadline and batch.status not in ENDED:
            client.batches.cancel(batch.id)
            raise CommandError(
                f"{batch.id} did not end within {patience_seconds:.0f} s: {reason or batch.status}"
            )
    return batch


def _answer(client: openai.OpenAI, batch: Batch) -> str:
    file_id = batch.output_file_id or batch.error_file_id
    if file_id is None:
        problems = batch.errors.data if batch.errors and batch.errors.data else []
        said = "; ".join(each.message or "" for each in problems)
        raise CommandError(f"{batch.id} is {batch.status}: {said or 'it has no results'}")
    result: Any = json.loads(client.files.content(file_id).text)
    response: Any = result["response"] or {}
    body: Any = response.get("body")
    if result["error"] or response.get("status_code") != 200:
        raise CommandError(f"the line failed: {json.dumps(result['error'] or response)[:500]}")
    try:
        return str(body["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError):
        return json.dumps(body)


def _clean_up(client: openai.OpenAI, batch: Batch) -> None:
    for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
        if file_id:
            with suppress(openai.OpenAIError):
                client.files.delete(file_id)
