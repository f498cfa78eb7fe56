"""URLs on this server that anyone may PUT one object to, as S3's presigned URLs."""

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from nightlane.domain.ports import PresignedPut

from ..gateway import STAGE

PATH = f"/{STAGE}/direct"


@dataclass(frozen=True, slots=True)
class Put:
    """What a URL allows: to store an object of this size, in bytes."""

    key: str
    size: int


class PutUrls:
    """Signs and verifies URLs, with a secret that lasts as long as the process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def sign(self, key: str, size: int, seconds: int) -> PresignedPut:
        """Return a URL, without the address of the server, that is valid for a number of seconds."""
        expires = int(time.time()) + seconds
        query = {"key": key, "bytes": size, "expires": expires, "signature": self._sign(key, size, expires)}
        return PresignedPut(f"{PATH}?{urlencode(query)}", size, expires)

    def verify(self, query: Mapping[str, str]) -> Put | None:
        """Return what the query of a URL allows; None if its signature is invalid or it has expired."""
        try:
            key, size, expires = query["key"], int(query["bytes"]), int(query["expires"])
            given = query["signature"].encode()
        except (KeyError, ValueError):
            return None
        is_valid = hmac.compare_digest(given, self._sign(key, size, expires).encode())
        return Put(key, size) if is_valid and time.time() < expires else None

    def _sign(self, key: str, size: int, expires: int) -> str:
        return hmac.digest(self._secret, f"{size}\n{expires}\n{key}".encode(), "sha256").hex()
