"""The address of a request to the upstream."""

from urllib.parse import urlsplit, urlunsplit

DEFAULT_PATH = "/v1"


def join(base_url: str, path: str) -> str:
    """The URL of `path`, below the path of the base URL and with its query (Azure's `?api-version=…`).

    A base URL without a path gets `/v1`, where vLLM, SGLang, Ollama, llama.cpp and OpenAI serve.

    Raises:
        ValueError: the base URL is malformed.
    """
    base = urlsplit(base_url)
    return urlunsplit(
        (base.scheme, base.netloc, (base.path.rstrip("/") or DEFAULT_PATH) + path, base.query, "")
    )
