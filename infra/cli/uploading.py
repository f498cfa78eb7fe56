"""How `nightlane` sends a file to a batch server: the ways, in the order in which they are tried."""

from collections.abc import Callable
from pathlib import Path

import openai
from openai.types import FileObject

from .presigned import upload_presigned

# Every server takes so much in one request: Nightlane on AWS takes 4.6 MB.
ONE_REQUEST_BYTES = 4 * 1024 * 1024
# A server without this way answers with one of these.
UNSUPPORTED = (404, 405, 501)

Way = Callable[[openai.OpenAI, Path], FileObject | None]
"""Sends a file; None if the way does not fit the file or the server, and the next one should be tried."""


def upload_file(client: openai.OpenAI, path: Path) -> FileObject:
    """Send a batch's input file. Raises: openai.OpenAIError."""
    return next(file for way in WAYS if (file := way(client, path)) is not None)


def _if_small(client: openai.OpenAI, path: Path) -> FileObject | None:
    return _in_one_request(client, path) if path.stat().st_size <= ONE_REQUEST_BYTES else None


def _in_parts(client: openai.OpenAI, path: Path) -> FileObject | None:
    try:
        upload = client.uploads.upload_file_chunked(
            file=path, mime_type="application/jsonl", purpose="batch", part_size=ONE_REQUEST_BYTES
        )
    except openai.APIStatusError as error:
        if error.status_code in UNSUPPORTED:
            return None
        raise
    return upload.file


def _in_one_request(client: openai.OpenAI, path: Path) -> FileObject | None:
    return client.files.create(file=path, purpose="batch")


WAYS: tuple[Way, ...] = (_if_small, upload_presigned, _in_parts, _in_one_request)
