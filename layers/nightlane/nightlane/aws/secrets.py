"""The upstream's key: from Secrets Manager on AWS, from the environment on a single machine."""

import threading
import time
from collections.abc import Callable

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from nightlane.aws.clients import Clients
from nightlane.settings import EndpointSettings, sendable_key

CACHE_SECONDS = 300
# After a refusal the key is read again at once, but not once for every refused request.
MIN_SECONDS_BETWEEN_READS = 10.0


class UpstreamKey:
    """`upstream.key.Key`: the upstream's bearer key, shared by all requests of a process."""

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
        """Return the key, or None if the upstream needs none.

        Raises:
            ValueError: the key cannot be sent in a header.
        """
        with self._lock:
            if self._settings.upstream_key_secret and self._is_older_than(CACHE_SECONDS):
                self._read()
            return self._key

    def get_other_than(self, refused: str | None) -> str | None:
        """Return the key, after reading it again if it is still the refused one. Raises: ValueError."""
        with self._lock:
            stale = self._key == refused and self._is_older_than(MIN_SECONDS_BETWEEN_READS)
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
