"""Builds a worker's connections to the upstreams; apart from `wiring`, because of aiohttp's long import."""

from collections.abc import Callable

from nightlane.aws.clients import Clients
from nightlane.settings import RequestSettings
from nightlane.upstream.connections import HttpConnections
from nightlane.wiring import credentials_of


def connections_to(settings: RequestSettings, clients: Clients, now: Callable[[], float]) -> HttpConnections:
    """Build the connections to all upstreams; `now` returns seconds since 1970."""
    credentials = {each.name: credentials_of(each, clients) for each in settings.upstreams}
    return HttpConnections(settings, credentials, now)
