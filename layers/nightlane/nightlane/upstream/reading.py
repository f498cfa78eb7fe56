"""Reads the bodies of answers: decompressed, and within the worker's memory."""

import zlib

import aiohttp

from nightlane.api_settings import KIB
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import Kind, NoAnswer

# Answers up to this size are read without reserving room in the budget.
SMALL_BYTES = 256 * KIB
# What aiohttp reads without another dependency.
OFFERED_ENCODINGS = "gzip, deflate"
# Another name of gzip, which aiohttp does not know: https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
X_GZIP = "x-gzip"
NOT_OFFERED = f"was not offered: Accept-Encoding is '{OFFERED_ENCODINGS}'"
READ_ENCODINGS = frozenset({"gzip", "deflate", "identity", "", X_GZIP})


class BodyReader:
    """Reads bodies of at most `max_bytes`, as far as the budget has room."""

    def __init__(self, budget: ByteBudget, max_bytes: int) -> None:
        self._budget = budget
        self._max_bytes = max_bytes

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the body, after waiting for room in the budget if it is large. Raises: NoAnswer: too large."""
        length = response.content_length
        if length is not None and length > self._max_bytes:
            raise self._too_large(response)
        encoding = response.headers.get("content-encoding")
        if encoding is not None:
            # This is the compressed length.
            length = None
            encoding = encoding.strip().lower()
            if encoding not in READ_ENCODINGS:
                response.close()
                raise NoAnswer(Kind.UNREADABLE, f"its content-encoding '{encoding}' {NOT_OFFERED}")
        if length is not None and length <= SMALL_BYTES:
            return await response.read()
        chunks, size, reserved = [], 0, 0
        try:
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large(response)
                if size > SMALL_BYTES and not reserved:
                    wanted = self._max_bytes if length is None else max(length, size)
                    await self._budget.reserve(wanted)
                    reserved = wanted
            body = b"".join(chunks)
            return self._decompressed(response, body) if encoding == X_GZIP else body
        finally:
            self._budget.release(reserved)

    def _decompressed(self, response: aiohttp.ClientResponse, body: bytes) -> bytes:
        try:
            decompressed = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16).decompress(body, self._max_bytes + 1)
        except zlib.error as error:
            raise NoAnswer(Kind.UNREADABLE, f"its content-encoding is {X_GZIP}: {error}") from error
        if len(decompressed) > self._max_bytes:
            raise self._too_large(response)
        return decompressed

    def _too_large(self, response: aiohttp.ClientResponse) -> NoAnswer:
        # The rest of it is not needed.
        response.close()
        return NoAnswer(Kind.TOO_LARGE, f"The limit is {self._max_bytes:,} bytes (max_answer_bytes).")
