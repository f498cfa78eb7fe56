"""Serves the model's embeddings as OpenAI's API does: https://platform.openai.com/docs/api-reference/embeddings"""

import asyncio
from contextlib import AbstractContextManager

from aiohttp import web
from msgspec import json

from ...home.serving import serving_application
from ..mock import answers, requests
from .model import SentenceModel

NAME = "all-MiniLM-L6-v2"
LISTED = {"id": NAME, "object": "model", "created": answers.CREATED, "owned_by": "sentence-transformers"}
DECODER = json.Decoder(requests.Embeddings)


def serving(model: SentenceModel) -> AbstractContextManager[str]:
    """Serve on 127.0.0.1 while the context is open. Its value is the base URL, with /v1."""
    return serving_application(_application(model))


def _application(model: SentenceModel) -> web.Application:
    async def embed(request: web.Request) -> web.Response:
        try:
            parsed = requests.read(DECODER, await request.read())
            texts = _texts(parsed, model.dimensions)
        except requests.Invalid as invalid:
            status = 404 if invalid.code == "model_not_found" else 400
            return _error(status, invalid.message, invalid.code, invalid.param)
        embedded = [await asyncio.to_thread(model.embed, text) for text in texts]
        vectors, tokens = [vector for vector, _ in embedded], sum(count for _, count in embedded)
        return _json(answers.embedding_list(parsed, vectors, tokens))

    async def list_models(_request: web.Request) -> web.Response:
        return _json({"object": "list", "data": [LISTED]})

    async def get_model(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return _json(LISTED) if name == NAME else _error(404, *_unknown(name))

    app = web.Application()
    app.router.add_post("/v1/embeddings", embed)
    app.router.add_get("/v1/models", list_models)
    app.router.add_get("/v1/models/{name}", get_model)
    return app


def _texts(request: requests.Embeddings, dimensions: int) -> list[str]:
    """The texts to embed. Raises: requests.Invalid."""
    if request.model != NAME:
        raise requests.Invalid(*_unknown(request.model))
    if request.dimensions not in (None, dimensions):
        raise requests.Invalid(f"{NAME} has {dimensions} dimensions.", "invalid_value", "dimensions")
    texts = [request.input] if isinstance(request.input, str) else request.input
    strings = [text for text in texts if isinstance(text, str)]
    if len(strings) < len(texts):
        raise requests.Invalid("Tokens are not supported, only text.", "invalid_type", "input")
    return strings


def _unknown(name: str) -> tuple[str, str, str]:
    return f"The model '{name}' does not exist", "model_not_found", "model"


def _error(status: int, message: str, code: str | None, param: str | None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return _json({"error": error}, status)


def _json(body: answers.Json, status: int = 200) -> web.Response:
    return web.Response(body=json.encode(body), status=status, content_type="application/json")
