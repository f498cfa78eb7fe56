"""The mock endpoint's OpenAI-shaped responses, which depend only on the request and its key.

They are complete: a strict client finds every field that OpenAI's own responses have.
"""

import base64
import math
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from . import requests

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
    """Number of tokens: about one per four characters of text; a list of tokens has its length."""
    if isinstance(text, list):
        return len(text)
    return len(text) // 4 + 1 if isinstance(text, str) else 1


def _inputs(texts: requests.Texts) -> Sequence[str | list[int]]:
    """The inputs as a list; a list of tokens is a single input."""
    if isinstance(texts, str):
        return [texts]
    tokens = [each for each in texts if isinstance(each, int)]
    return [tokens] if tokens else [each for each in texts if not isinstance(each, int)]


def _usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": PROMPT_DETAILS,
        "completion_tokens_details": COMPLETION_DETAILS,
    }


def chat(request: requests.Chat, key: int) -> Json:
    texts = [_sentence(key + number) for number in range(request.n or 1)]
    prompt_tokens = sum([_tokens(_text(message.content)) for message in request.messages])
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
            for index, text in enumerate(texts)
        ],
        "usage": _usage(prompt_tokens, sum([_tokens(text) for text in texts])),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def completion(request: requests.Completion, key: int) -> Json:
    prompts = _inputs(request.prompt)
    texts = [_sentence(key + number) for number in range(len(prompts) * (request.n or 1))]
    return {
        "id": f"cmpl-{key:08x}",
        "object": "text_completion",
        "created": CREATED,
        "model": request.model,
        "choices": [
            {"index": index, "text": text, "logprobs": None, "finish_reason": "stop"}
            for index, text in enumerate(texts)
        ],
        "usage": _usage(sum(map(_tokens, prompts)), sum(map(_tokens, texts))),
        "system_fingerprint": FINGERPRINT,
    }


def embeddings(request: requests.Embeddings, _key: int) -> Json:
    inputs = _inputs(request.input)
    size = request.dimensions or EMBEDDING_DIMENSIONS
    vectors = [_vector(text, size) for text in inputs]
    return embedding_list(request, vectors, sum(map(_tokens, inputs)))


def embedding_list(request: requests.Embeddings, vectors: Sequence[list[float]], prompt_tokens: int) -> Json:
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encode(vector, request)}
            for index, vector in enumerate(vectors)
        ],
        "model": request.model,
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }


def _vector(text: str | list[int], size: int) -> list[float]:
    """A vector of length 1, like OpenAI's."""
    source = random.Random(zlib.crc32(str(text).encode()))
    vector = [source.uniform(-1, 1) for _ in range(size)]
    length = math.hypot(*vector)
    return [round(each / length, 8) for each in vector]


def _encode(vector: list[float], request: requests.Embeddings) -> list[float] | str:
    if request.encoding_format == "float":
        return vector
    # Little-endian 32-bit floats, which the official clients request by default.
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def response(request: requests.Response, key: int) -> Json:
    text = _sentence(key)
    input_tokens, output_tokens = _tokens(_input_text(request)), _tokens(text)
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
                "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
            }
        ],
        "service_tier": "default",
        "usage": {
            "input_tokens": input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_tokens + output_tokens,
        },
    } | _echo_request(request)


def _input_text(request: requests.Response) -> str:
    if isinstance(request.input, str):
        return request.input
    return " ".join([_text(item.content) for item in request.input])


def _echo_request(request: requests.Response) -> Json:
    """The fields that a response copies from its request, with OpenAI's defaults."""
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
    # Parts, such as a text and an image, get one result together; strings get one each.
    count = len(inputs) if isinstance(inputs[0], str) else 1
    result = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.01),
        "category_applied_input_types": {category: ["text"] for category in CATEGORIES},
    }
    return {"id": f"modr-{key:08x}", "model": request.model, "results": [result] * count}


def images(request: requests.ImageGeneration, key: int) -> Json:
    count, text_tokens = request.n or 1, _tokens(request.prompt)
    image_tokens = 272 * count
    return {
        "created": CREATED,
        "background": "opaque",
        "data": [{"b64_json": base64.b64encode(_png(key + number)).decode()} for number in range(count)],
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "usage": {
            "input_tokens": text_tokens,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": text_tokens},
            "output_tokens": image_tokens,
            "output_tokens_details": {"image_tokens": image_tokens, "text_tokens": 0},
            "total_tokens": text_tokens + image_tokens,
        },
    }


def _png(color: int) -> bytes:
    """A valid image of one pixel. https://www.w3.org/TR/png-3/"""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0" + struct.pack(">I", color & 0xFFFFFF)[1:])
    chunks = ((b"IHDR", header), (b"IDAT", pixel), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
