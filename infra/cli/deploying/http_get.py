"""Plain HTTP requests of the checks, over the proxy of the environment."""

import json
from collections.abc import Mapping
from typing import Any

import urllib3

from nightlane.upstream.urls import proxy_of

TIMEOUT = urllib3.Timeout(connect=5, read=30)
RETRIES = urllib3.Retry(1, redirect=False)


def get(url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
    """GET a URL without following redirects. Raises: urllib3.exceptions.HTTPError."""
    proxy = proxy_of(url)
    pool = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    with pool:
        return pool.request("GET", url, headers=headers, redirect=False, timeout=TIMEOUT, retries=RETRIES)


def json_of(response: urllib3.BaseHTTPResponse) -> Any:
    """The body as JSON; None if it is something else."""
    try:
        return json.loads(response.data)
    except ValueError:
        return None
