"""The beginning of a request's prompt, which an endpoint's prefix cache can share with other requests.

vLLM, SGLang and OpenAI keep the attention keys and values of a prompt and reuse them for the next prompt that
begins with the same tokens: tools, instructions and system messages come first.
Sources: https://docs.vllm.ai/en/latest/features/automatic_prefix_caching.html and
https://platform.openai.com/docs/guides/prompt-caching
"""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import takewhile
from typing import Any

import msgspec

from nightlane.domain.endpoints import CHAT, COMPLETIONS, RESPONSES

# Four of vLLM's blocks of 16 tokens: a cache gains nothing from less.
MIN_PREFIX_BYTES = 256
_INSTRUCTING = ("system", "developer")


class Prefix(msgspec.Struct, frozen=True):
    """What a request's prompt begins with; requests of a batch with the same key can share it."""

    key: int
    """64 bits of a hash, not 0. Should two prefixes collide, their lines only share a group."""
    size: int
    """In bytes."""


def prefix_of(endpoint: str, body: Mapping[str, Any]) -> Prefix | None:
    """Return the prefix of a valid request, or None if it has none that is worth sharing."""
    try:
        text = _opening(endpoint, body)
    except UnicodeEncodeError:
        # A lone surrogate.
        return None
    if len(text) < MIN_PREFIX_BYTES:
        return None
    digest = blake2b(text, digest_size=8)
    digest.update(str(body.get("model")).encode(errors="surrogatepass"))
    return Prefix(int.from_bytes(digest.digest(), "little") or 1, len(text))


def _opening(endpoint: str, body: Mapping[str, Any]) -> bytes:
    """Return what the prompt begins with: its instructions, and if those are short, what follows them."""
    if endpoint == CHAT:
        return _opening_of_messages([body.get("tools")], body.get("messages"))
    if endpoint == RESPONSES:
        fixed = [body.get("tools"), body.get("prompt"), body.get("instructions")]
        return _opening_of_messages(fixed, body.get("input"))
    if endpoint == COMPLETIONS:
        return msgspec.json.encode(_beginning(body.get("prompt")))[:MIN_PREFIX_BYTES]
    return b""


def _opening_of_messages(fixed: list[Any], messages: Any) -> bytes:
    if isinstance(messages, list):
        instructions = list(takewhile(_is_instruction, messages))
    else:
        instructions, messages = [], [{"content": messages}]
    text = b"".join(msgspec.json.encode(each) for each in (*fixed, *instructions) if each is not None)
    if len(text) < MIN_PREFIX_BYTES and len(messages) > len(instructions):
        following = messages[len(instructions)]
        content = following.get("content") if isinstance(following, dict) else None
        text = (text + msgspec.json.encode(_beginning(content)))[:MIN_PREFIX_BYTES]
    return text


def _is_instruction(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in _INSTRUCTING


def _beginning(content: Any) -> Any:
    """Return the first of a prompt's characters or tokens, or of its first text."""
    if isinstance(content, list) and content and not isinstance(content[0], int):
        first = content[0]
        content = first.get("text") if isinstance(first, dict) else first
    return content[:MIN_PREFIX_BYTES] if isinstance(content, str | list) else None
