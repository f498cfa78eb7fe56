"""OpenAI-shaped answers of the mock endpoint, each made of the request and its key alone."""

import random
import zlib
from typing import Any

Json = dict[str, Any]
CREATED = 1_750_000_000
EMBEDDING_DIMENSIONS = 64
WORDS = (
    "quiet river morning lantern copper thread winter harbor violet signal paper garden "
    "northern window silver meadow distant engine amber station"
).split()


def _sentence(key: int) -> str:
    words = [WORDS[(key >> shift) % len(WORDS)] for shift in range(0, 24, 4)]
    return f"{' '.join(words).capitalize()}."


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(
        _text(part.get("text") or "") if isinstance(part, dict) else str(part) for part in content
    )


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def chat(body: Json, key: int) -> Json:
    asked = " ".join(_text(message.get("content") or "") for message in body["messages"])
    said = _sentence(key)
    given, made = _tokens(asked), _tokens(said)
    return {
        "id": f"chatcmpl-{key:08x}",
        "object": "chat.completion",
        "created": CREATED,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": given,
            "completion_tokens": made,
            "total_tokens": given + made,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def completion(body: Json, key: int) -> Json:
    said = _sentence(key)
    given, made = _tokens(_text(body["prompt"])), _tokens(said)
    return {
        "id": f"cmpl-{key:08x}",
        "object": "text_completion",
        "created": CREATED,
        "model": body["model"],
        "choices": [{"index": 0, "text": said, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
    }


def embeddings(body: Json, _key: int) -> Json:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vectors = []
    for index, text in enumerate(inputs):
        source = random.Random(zlib.crc32(str(text).encode()))
        vector = [round(source.uniform(-1, 1), 6) for _ in range(EMBEDDING_DIMENSIONS)]
        vectors.append({"object": "embedding", "index": index, "embedding": vector})
    given = sum(_tokens(str(text)) for text in inputs)
    return {
        "object": "list",
        "data": vectors,
        "model": body["model"],
        "usage": {"prompt_tokens": given, "total_tokens": given},
    }


def response(body: Json, key: int) -> Json:
    said = _sentence(key)
    given, made = _tokens(str(body["input"])), _tokens(said)
    content = [{"type": "output_text", "text": said, "annotations": []}]
    return {
        "id": f"resp_{key:08x}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "model": body["model"],
        "output": [
            {
                "type": "message",
                "id": f"msg_{key:08x}",
                "status": "completed",
                "role": "assistant",
                "content": content,
            }
        ],
        "usage": {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + made,
        },
    }


def moderation(body: Json, key: int) -> Json:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.01}}
    return {
        "id": f"modr-{key:08x}",
        "model": body.get("model", "mock-moderation"),
        "results": [result for _ in inputs],
    }
