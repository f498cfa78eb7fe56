"""What one upstream says about its models."""

from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
import urllib3

from nightlane.api_settings import MIB
from nightlane.domain.errors import UpstreamError
from nightlane.upstream.credentials import Credentials
from nightlane.upstream.urls import join, proxy_of
from nightlane.upstream_settings import UpstreamSettings, trust_in

TIMEOUT = urllib3.Timeout(connect=3, read=10)
RETRIES = urllib3.Retry(1, redirect=False)
Model = dict[str, Any]
# https://platform.openai.com/docs/api-reference/models/object
DEFAULTS: Model = {"object": "model", "created": 0, "owned_by": ""}
# A longer list is cut to OpenAI's fields: Lambda's answer may have 6 MB.
LONG_LIST_BYTES = 4 * MIB


class Answer(msgspec.Struct, frozen=True):
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


class ModelServer:
    """The upstream's `/models`, over HTTP."""

    def __init__(self, upstream: UpstreamSettings, credentials: Credentials) -> None:
        self._upstream = upstream
        self._credentials = credentials
        self._pool = _pool(upstream)

    def list(self) -> list[Model]:
        """The upstream's models; none if it has no list. Raises: UpstreamError."""
        answer = self.ask_list()
        models = [] if answer.has_no_route else answer.models()
        if models is None:
            raise UpstreamError(f"The upstream answered GET /models with {_what(answer)}.")
        return models

    def ask_list(self) -> Answer:
        """Ask for the list. Raises: UpstreamError, if there is no answer; its cause is the reason."""
        return self._get("/models")

    def ask(self, model: str) -> Answer:
        """Ask for one model. Raises: UpstreamError, if there is no answer."""
        return self._get(f"/models/{quote(model, safe='')}")

    def _get(self, path: str) -> Answer:
        try:
            key = self._credentials.key.get()
            answer = self._request(path, key)
            if answer.status in (401, 403) and (other := self._credentials.key.get_other_than(key)) != key:
                answer = self._request(path, other)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise UpstreamError("The upstream did not answer.") from error
        return Answer(answer.status, _decoded(answer.data), len(answer.data))

    def _request(self, path: str, key: str | None) -> urllib3.BaseHTTPResponse:
        url = join(self._upstream.url, path, self._upstream.query)
        signer = self._credentials.signer
        signature = signer.sign("GET", url, None) if signer else {}
        headers = {"Accept": "application/json", **self._upstream.headers}
        headers |= {**self._credentials.headers(key), **signature}
        # A key is not carried to another host.
        return self._pool.request("GET", url, headers=headers, redirect=False)


def _pool(upstream: UpstreamSettings) -> urllib3.PoolManager:
    context = trust_in(upstream.ca) if upstream.ca else None
    proxy = proxy_of(upstream.url)
    if proxy is None:
        return urllib3.PoolManager(timeout=TIMEOUT, retries=RETRIES, ssl_context=context)
    auth = urllib3.make_headers(proxy_basic_auth=credentials) if (credentials := _userinfo(proxy)) else None
    return urllib3.ProxyManager(
        proxy, timeout=TIMEOUT, retries=RETRIES, ssl_context=context, proxy_headers=auth
    )


def _userinfo(proxy: str) -> str:
    """The user and password in the URL of a proxy."""
    return unquote(urlsplit(proxy).netloc.rpartition("@")[0])


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
