"""HTTP header values."""

from urllib.parse import quote

# For a browser that asks whether a page may send a request. A wildcard does not include Authorization. PUT is
# for direct uploads to one machine; on AWS they go to the bucket, which has a rule of its own.
# https://fetch.spec.whatwg.org/#http-cors-protocol
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Max-Age": "7200",
}


def cors_headers(origin: str | None) -> dict[str, str]:
    """Return what lets pages of this origin read a response, and its headers; nothing if there is none."""
    if origin is None:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*"}


def content_disposition(filename: str) -> str:
    """Return the header of a download with this file name, in any script (RFC 6266, RFC 5987)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
