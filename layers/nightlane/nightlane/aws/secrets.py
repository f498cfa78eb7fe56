"""The upstream's key: from Secrets Manager on AWS, from the environment on one machine."""

import threading
import time
from collections.abc import Callable

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from nightlane.aws.clients import Clients
from nightlane.settings import EndpointSettings, sendable_key

CACHE_SECONDS = 300
# A key that is refused is read again at once, but then not for each request that is refused.
SECONDS_BETWEEN_READS = 10.0


class UpstreamKey:
    """`upstream.key.Key`: the bearer key of the upstream, the same object for all requests of a process."""

    def __init__(
        self, settings: EndpointSettings, clients: Clients, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._key: str | None = settings.upstream_key or None
        self._read_at: float | None = None

    def get(self) -> str | None:
        """The key; None if the upstream needs none. Raises: ValueError, if it cannot be sent."""
        with self._lock:
            if self._settings.upstream_key_secret and self._is_older_than(CACHE_SECONDS):
                self._read()
            return self._key

    def get_other_than(self, refused: str | None) -> str | None:
        """The key, read again if it still is the one that was refused. Raises: ValueError."""
        with self._lock:
            stale = self._key == refused and self._is_older_than(SECONDS_BETWEEN_READS)
            if self._settings.upstream_key_secret and stale:
                self._read()
            return self._key

    def _is_older_than(self, seconds: float) -> bool:
        return self._read_at is None or self._monotonic() - self._read_at >= seconds

    def _read(self) -> None:
        provider = SecretsProvider(boto3_client=self._clients.secrets)
        secret = provider.get(self._settings.upstream_key_secret, force_fetch=True)
        self._read_at = self._monotonic()
        self._key = sendable_key(str(secret))
