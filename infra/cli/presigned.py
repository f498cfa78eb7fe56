"""Uploads a file with one PUT straight to the server's storage, which is an extension of Nightlane."""

import http.client
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
from openai.types import FileObject

from nightlane.api_settings import MIB

TIMEOUT_SECONDS = 60
ATTEMPTS = 3
BLOCK_BYTES = MIB
# An earlier attempt stored the content, but its response was lost.
ALREADY_STORED = 412
# What servers return that expect a form.
UNSUPPORTED = frozenset({400, 404, 405, 415, 422, 501})


def upload_presigned(client: openai.OpenAI, path: Path) -> FileObject | None:
    """Upload a batch input. Returns None if that is not possible, so that another way must be used.

    Raises:
        openai.OpenAIError: for any other reason.
    """
    body = {"filename": path.name, "purpose": "batch", "bytes": path.stat().st_size}
    try:
        pending: Any = client.post("/files", body=body, cast_to=object)
    except openai.APIStatusError as error:
        if error.status_code in UNSUPPORTED:
            return None
        raise
    upload = pending.get("upload") if isinstance(pending, dict) else None
    if not isinstance(upload, dict) or not _put(upload["url"], upload["headers"], path):
        return None
    return client.post(f"/files/{pending['id']}/complete", cast_to=FileObject)


def _put(url: str, headers: Mapping[str, str], path: Path) -> bool:
    """Send the file. Returns whether it is stored; the storage may be unreachable from here."""
    for _ in range(ATTEMPTS):
        with suppress(OSError, http.client.HTTPException):
            status = _put_once(url, headers, path)
            if status < 500:
                return status < 300 or status == ALREADY_STORED
    return False


def _put_once(url: str, headers: Mapping[str, str], path: Path) -> int:
    parts = urlsplit(url)
    options: Any = {"timeout": TIMEOUT_SECONDS, "blocksize": BLOCK_BYTES}
    connection = (
        http.client.HTTPSConnection(parts.netloc, context=ssl.create_default_context(), **options)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, **options)
    )
    try:
        with path.open("rb") as file, suppress(ConnectionError):
            # A server that refuses the request may close the connection before it is complete.
            connection.request("PUT", f"{parts.path}?{parts.query}", file, dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
