"""The upstream's list of models, for clients and for validation."""

from typing import Any
from urllib.parse import quote

import msgspec
import urllib3

from nightlane.domain.errors import NotFound, UpstreamError
from nightlane.upstream.key import Key, bearer
from nightlane.upstream.urls import join

TIMEOUT = urllib3.Timeout(connect=3, read=10)


class HttpModels:
    """`domain.ports.UpstreamModels`, and the pass-through of `/v1/models`."""

    def __init__(self, base_url: str, key: Key) -> None:
        self._base_url = base_url
        self._key = key
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=urllib3.Retry(1, redirect=0))

    def model_ids(self) -> frozenset[str] | None:
        """Return the ids; None if the upstream cannot list its models, and then no model is refused."""
        try:
            models = self.list_models()["data"]
            return frozenset(model["id"] for model in models) or None
        except (UpstreamError, NotFound, KeyError, TypeError):
            return None

    def list_models(self) -> dict[str, Any]:
        """Return the upstream's answer unchanged. Raises: UpstreamError, NotFound."""
        return self._get("/models")

    def retrieve_model(self, model: str) -> dict[str, Any]:
        """Return the upstream's answer unchanged. Raises: UpstreamError, NotFound."""
        return self._get(f"/models/{quote(model, safe='')}", f"The model '{model}' does not exist")

    def _get(self, path: str, missing: str = "The upstream has no list of models") -> dict[str, Any]:
        try:
            key = self._key.get()
            answer = self._request(path, key)
            if answer.status in (401, 403) and (other := self._key.get_other_than(key)) != key:
                answer = self._request(path, other)
            body = msgspec.json.decode(answer.data)
        except (urllib3.exceptions.HTTPError, ValueError, RecursionError) as error:
            raise UpstreamError("The upstream did not answer with JSON.") from error
        if answer.status == 404:
            raise NotFound(missing, code="model_not_found", param="model")
        if answer.status != 200 or not isinstance(body, dict):
            raise UpstreamError(f"The upstream answered {answer.status} to {path}.")
        return body

    def _request(self, path: str, key: str | None) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json"} | bearer(key)
        return self._pool.request("GET", join(self._base_url, path), headers=headers)
