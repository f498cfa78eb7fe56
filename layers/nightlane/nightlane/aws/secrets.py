"""An upstream's key in Secrets Manager."""

import threading
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from nightlane.aws.clients import Clients
from nightlane.upstream_settings import sendable_key

CACHE_SECONDS = 300
# After a refusal the key is read again at once, but not once for every refused request.
MIN_SECONDS_BETWEEN_READS = 10.0


class UpstreamKey:
    """`upstream.credentials.Key`: the key in a secret, shared by all requests of a process."""

    def __init__(
        self, secret: str, clients: Clients, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._secret = secret
        self._clients = clients
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._key: str | None = None
        self._read_at: float | None = None

    def get(self) -> str | None:
        """Return the key.

        Raises:
            ValueError: the key cannot be read, or cannot be sent in a header.
        """
        with self._lock:
            if self._is_older_than(CACHE_SECONDS):
                self._read()
            return self._key

    def get_other_than(self, refused: str | None) -> str | None:
        """Return the key, after reading it again if it is still the refused one. Raises: ValueError."""
        with self._lock:
            if self._key == refused and self._is_older_than(MIN_SECONDS_BETWEEN_READS):
                self._read()
            return self._key

    def _is_older_than(self, seconds: float) -> bool:
        return self._read_at is None or self._monotonic() - self._read_at >= seconds

    def _read(self) -> None:
        try:
            secret = self._clients.secrets.get_secret_value(SecretId=self._secret)
        except (BotoCoreError, ClientError) as error:
            raise ValueError(f"the secret {self._secret} cannot be read: {error}") from error
        self._read_at = self._monotonic()
        text = secret["SecretString"] if "SecretString" in secret else secret["SecretBinary"].decode()
        self._key = sendable_key(text)
