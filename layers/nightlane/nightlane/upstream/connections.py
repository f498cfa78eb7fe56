"""Connects to upstreams by their names."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer, Upstream
from nightlane.settings import RequestSettings
from nightlane.upstream.credentials import Credentials
from nightlane.upstream.http import http_upstream


class MissingUpstream:
    """An upstream that was removed from the settings while a batch has lines for it.

    It is down, and not the fault of any line: the lines run if it is put back before their window ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    async def post(self, path: str, body: bytes) -> Answer:  # noqa: ARG002
        raise self._no_answer()

    async def probe(self) -> Answer:
        raise self._no_answer()

    def _no_answer(self) -> NoAnswer:
        return NoAnswer(Kind.MISCONFIGURED, f"no upstream is named '{self._name}' in the settings any more")


class HttpConnections:
    """Opens sessions over HTTP. The upstreams' keys are shared by all sessions."""

    def __init__(
        self, settings: RequestSettings, credentials: Mapping[str, Credentials], now: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._upstreams = {each.name: each for each in settings.upstreams}
        self._credentials = credentials
        self._now = now

    @asynccontextmanager
    async def connect(self, name: str, budget: ByteBudget) -> AsyncIterator[Upstream]:
        """Open a session with the upstream of this name; its answers share the budget."""
        upstream = self._upstreams.get(name)
        if upstream is None:
            yield MissingUpstream(name)
            return
        credentials = self._credentials[name]
        async with http_upstream(upstream, self._settings, credentials, budget, self._now) as connected:
            yield connected
