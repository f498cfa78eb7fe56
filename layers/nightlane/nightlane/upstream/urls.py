"""The address of a request to the upstream, and the proxy that it goes through."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit, urlunsplit
from urllib.request import getproxies_environment, proxy_bypass

DEFAULT_PATH = "/v1"


def join(base_url: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """The URL of `path`, below the path of the base URL, with that URL's query and `query`.

    A base URL without a path gets `/v1`, where vLLM, SGLang, Ollama, llama.cpp and OpenAI serve.

    Raises:
        ValueError: the base URL is malformed.
    """
    base = urlsplit(base_url)
    asked = "&".join(filter(None, (base.query, urlencode(query or {}, quote_via=quote))))
    return urlunsplit((base.scheme, base.netloc, (base.path.rstrip("/") or DEFAULT_PATH) + path, asked, ""))


def proxy_of(url: str) -> str | None:
    """The URL of the proxy for requests to `url`, from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""
    target, proxies = urlsplit(url), getproxies_environment()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(target.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
