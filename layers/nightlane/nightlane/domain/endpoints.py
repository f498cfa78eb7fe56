"""The endpoints that a batch can be for, and what the body of a line must have on each.

Source: https://platform.openai.com/docs/api-reference/batch/create, and the page "Create" of each endpoint.
"""

from collections.abc import Mapping

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """How the lines of an endpoint are validated."""

    required: tuple[tuple[str, ...], ...] = ()
    """Of each group one field must be there; the first is named if none is."""
    title: str | None = None
    """Its name in OpenAI's messages."""
    needs_model: bool = True
    default_model: str | None = None
    """What OpenAI uses for a line that names no model."""
    inputs: str | None = None
    """The field whose elements count towards the limit of inputs of a batch."""


CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES, MODERATIONS = "/v1/responses", "/v1/moderations"
ENDPOINTS: Mapping[str, Endpoint] = {
    CHAT: Endpoint((("messages",),), "Chat Completions"),
    COMPLETIONS: Endpoint((("prompt",),), "Completions"),
    EMBEDDINGS: Endpoint((("input",),), inputs="input"),
    RESPONSES: Endpoint((("input", "prompt"),), "Responses"),
    MODERATIONS: Endpoint((("input",),), needs_model=False, default_model="omni-moderation-latest"),
    "/v1/images/generations": Endpoint((("prompt",),), needs_model=False),
    "/v1/images/edits": Endpoint((("prompt",), ("images", "image")), needs_model=False),
}
# Of the operator's setting `extra_endpoints`: only the upstream knows what it requires.
EXTRA_ENDPOINT = Endpoint(needs_model=False)


def endpoint_of(path: str) -> Endpoint:
    """Return how lines for this path are validated."""
    return ENDPOINTS.get(path, EXTRA_ENDPOINT)
