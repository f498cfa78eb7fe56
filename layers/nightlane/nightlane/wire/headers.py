"""HTTP header values."""

from urllib.parse import quote


def content_disposition(filename: str) -> str:
    """A download under this name, also beyond ASCII (RFC 6266 with RFC 5987's `filename*`)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
