"""OpenAI-shaped answers of the mock endpoint, each made of the request and its key alone.

They are whole: a strict client finds every field that OpenAI's own answers have.
"""

import base64
import math
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from infra.cli.mock import requests

Json = dict[str, Any]
CREATED = 1_750_000_000
EMBEDDING_DIMENSIONS = 64
FINGERPRINT = "fp_nightlane"
PROMPT_DETAILS = {"cached_tokens": 0, "audio_tokens": 0}
COMPLETION_DETAILS = dict.fromkeys(
    ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"), 0
)
WORDS = (
    "quiet river morning lantern copper thread winter harbor violet signal paper garden "
    "northern window silver meadow distant engine amber station"
).split()
CATEGORIES = (
    "harassment harassment/threatening hate hate/threatening illicit illicit/violent self-harm "
    "self-harm/instructions self-harm/intent sexual sexual/minors violence violence/graphic"
).split()


def _sentence(key: int) -> str:
    words = [WORDS[(key >> shift) % len(WORDS)] for shift in range(0, 24, 4)]
    return f"{' '.join(words).capitalize()}."


def _text(content: str | list[requests.Part] | None) -> str:
    if isinstance(content, list):
        return " ".join([part.text for part in content])
    return content or ""


def _tokens(text: str | int | list[int]) -> int:
    """About four characters a token; tokens are counted."""
    if isinstance(text, list):
        return len(text)
    return len(text) // 4 + 1 if isinstance(text, str) else 1


def _each(texts: requests.Texts) -> Sequence[str | list[int]]:
    """The inputs: a list of tokens is one."""
    if isinstance(texts, str):
        return [texts]
    tokens = [each for each in texts if isinstance(each, int)]
    return [tokens] if tokens else [each for each in texts if not isinstance(each, int)]


def _usage(given: int, made: int) -> Json:
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": PROMPT_DETAILS,
        "completion_tokens_details": COMPLETION_DETAILS,
    }


def chat(request: requests.Chat, key: int) -> Json:
    said = [_sentence(key + number) for number in range(request.n or 1)]
    given = sum([_tokens(_text(message.content)) for message in request.messages])
    return {
        "id": f"chatcmpl-{key:08x}",
        "object": "chat.completion",
        "created": CREATED,
        "model": request.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
            for index, text in enumerate(said)
        ],
        "usage": _usage(given, sum([_tokens(text) for text in said])),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def completion(request: requests.Completion, key: int) -> Json:
    prompts = _each(request.prompt)
    said = [_sentence(key + number) for number in range(len(prompts) * (request.n or 1))]
    return {
        "id": f"cmpl-{key:08x}",
        "object": "text_completion",
        "created": CREATED,
        "model": request.model,
        "choices": [
            {"index": index, "text": text, "logprobs": None, "finish_reason": "stop"}
            for index, text in enumerate(said)
        ],
        "usage": _usage(sum(map(_tokens, prompts)), sum(map(_tokens, said))),
        "system_fingerprint": FINGERPRINT,
    }


def embeddings(request: requests.Embeddings, _key: int) -> Json:
    inputs = _each(request.input)
    size = request.dimensions or EMBEDDING_DIMENSIONS
    given = sum(map(_tokens, inputs))
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(_vector(text, size), request)}
            for index, text in enumerate(inputs)
        ],
        "model": request.model,
        "usage": {"prompt_tokens": given, "total_tokens": given},
    }


def _vector(text: str | list[int], size: int) -> list[float]:
    """Of length 1, as OpenAI's are."""
    source = random.Random(zlib.crc32(str(text).encode()))
    vector = [source.uniform(-1, 1) for _ in range(size)]
    length = math.hypot(*vector)
    return [round(each / length, 8) for each in vector]


def _encoded(vector: list[float], request: requests.Embeddings) -> list[float] | str:
    if request.encoding_format == "float":
        return vector
    # Little-endian floats of 32 bits, which the official clients ask for unless told otherwise.
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def response(request: requests.Response, key: int) -> Json:
    said = _sentence(key)
    given, made = _tokens(_input_text(request)), _tokens(said)
    return {
        "id": f"resp_{key:08x}",
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": request.model,
        "output": [
            {
                "type": "message",
                "id": f"msg_{key:08x}",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": said, "annotations": [], "logprobs": []}],
            }
        ],
        "service_tier": "default",
        "usage": {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + made,
        },
    } | _repeated(request)


def _input_text(request: requests.Response) -> str:
    if isinstance(request.input, str):
        return request.input
    return " ".join([_text(item.content) for item in request.input])


def _repeated(request: requests.Response) -> Json:
    """What an answer repeats of its request, with OpenAI's defaults."""
    return {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "reasoning": {"effort": None, "summary": None} | (request.reasoning or {}),
        "safety_identifier": request.safety_identifier,
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {"format": {"type": "text"}, "verbosity": "medium"} | (request.text or {}),
        "tool_choice": request.tool_choice or "auto",
        "tools": [_tool(tool) for tool in request.tools or ()],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": request.truncation or "disabled",
        "user": request.user,
    }


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True} | tool


def moderation(request: requests.Moderation, key: int) -> Json:
    inputs = request.input if isinstance(request.input, list) else [request.input]
    # Parts, such as a text and a picture, are moderated together; strings one by one.
    count = len(inputs) if isinstance(inputs[0], str) else 1
    result = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.01),
        "category_applied_input_types": {category: ["text"] for category in CATEGORIES},
    }
    return {"id": f"modr-{key:08x}", "model": request.model, "results": [result] * count}
