"""The models of the upstream, for clients and for validation."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3

from nightlane.domain.errors import NotFound, UpstreamError
from nightlane.settings import MIB
from nightlane.upstream.key import Key, bearer
from nightlane.upstream.urls import join

TIMEOUT = urllib3.Timeout(connect=3, read=10)
RETRIES = urllib3.Retry(1, redirect=False)
Model = dict[str, Any]
# https://platform.openai.com/docs/api-reference/models/object
DEFAULTS: Model = {"object": "model", "created": 0, "owned_by": ""}
# A longer list is cut to OpenAI's fields: Lambda's answer may have 6 MB.
LONG_LIST_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream answered; `body` is None if it is not JSON."""

    status: int
    body: Any
    size: int

    @property
    def has_no_route(self) -> bool:
        """Many servers have no list, or no route for a single model."""
        return self.status in (404, 405, 501)

    @property
    def says_model_not_found(self) -> bool:
        """Whether it is OpenAI's error for a model that does not exist."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        return 400 <= self.status < 500 and code == "model_not_found"

    def model(self) -> Model | None:
        """The model that was asked for; None if this is something else."""
        if self.status != 200 or not isinstance(self.body, dict) or "error" in self.body:
            return None
        return self.body if _has_id(self.body) else None

    def models(self) -> list[Model] | None:
        """The entries that have an id; None if this is no list of models. Some servers send a bare array."""
        found = self.body.get("data", ...) if isinstance(self.body, dict) else self.body
        if self.status != 200 or not (isinstance(found, list) or (found is None and self.body)):
            return None
        entries = [each if isinstance(each, dict) else {"id": each} for each in found or ()]
        fields = ("id", *DEFAULTS) if self.size > LONG_LIST_BYTES else None
        return [
            DEFAULTS | {name: each[name] for name in fields or each if name in each}
            for each in entries
            if _has_id(each)
        ]


class HttpModels:
    """`domain.ports.UpstreamModels`, and the pass-through of `/v1/models`."""

    def __init__(self, base_url: str, key: Key) -> None:
        self._base_url = base_url
        self._key = key
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=RETRIES)

    def is_missing(self, model: str) -> bool:
        """Whether the upstream says that it has no such model; what it lists is no more than a hint."""
        try:
            return _is_possible(model) and self._get(_path_of(model)).says_model_not_found
        except UpstreamError:
            return False

    def list_models(self) -> dict[str, Any]:
        """OpenAI's list; empty if the upstream has none. Raises: UpstreamError."""
        answer = self._get("/models")
        models = [] if answer.has_no_route else answer.models()
        if models is None:
            raise UpstreamError(f"The upstream answered GET /models with {_what(answer)}.")
        return {"object": "list", "data": models}

    def retrieve_model(self, model: str) -> Model:
        """The upstream's own answer, or its entry in the list. Raises: UpstreamError, NotFound."""
        if _is_possible(model):
            answer = self._get(_path_of(model))
            found = answer.model()
            if found is None and not answer.says_model_not_found:
                listed = self.list_models()["data"]
                found = next((each for each in listed if each["id"] == model), None)
            if found is not None:
                return found
        raise NotFound(f"The model '{model}' does not exist", code="model_not_found", param="model")

    def _get(self, path: str) -> Answer:
        """Raises: UpstreamError, if there is no answer."""
        try:
            key = self._key.get()
            answer = self._request(path, key)
            if answer.status in (401, 403) and (other := self._key.get_other_than(key)) != key:
                answer = self._request(path, other)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise UpstreamError("The upstream did not answer.") from error
        return Answer(answer.status, _decoded(answer.data), len(answer.data))

    def _request(self, path: str, key: str | None) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json"} | bearer(key)
        # A key is not carried to another host.
        return self._pool.request("GET", join(self._base_url, path), headers=headers, redirect=False)


def _path_of(model: str) -> str:
    return f"/models/{quote(model, safe='')}"


def _is_possible(model: str) -> bool:
    """Whether a model could have this name: some make a proxy send errors of its own."""
    return model.isprintable() and ";" not in model and bool(model.strip("."))


def _has_id(entry: Model) -> bool:
    model = entry.get("id")
    return isinstance(model, str) and bool(model)


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None


def _what(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"a redirect ({answer.status}), which is not followed: correct the URL"
    return f"status {answer.status}" if answer.status != 200 else "something that is not a list of models"
