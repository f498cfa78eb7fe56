"""HTTP header values."""

from urllib.parse import quote


def content_disposition(filename: str) -> str:
    """Return the header of a download with this file name, in any script (RFC 6266, RFC 5987)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
