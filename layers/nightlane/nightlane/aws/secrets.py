"""The upstream's key: from Secrets Manager on AWS, from the environment on one machine."""

from functools import lru_cache

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from nightlane.aws.clients import Clients
from nightlane.settings import Settings

CACHE_SECONDS = 300


def upstream_key(settings: Settings, clients: Clients) -> str | None:
    """The bearer key of the upstream; None if it needs none. Cached for five minutes."""
    if not settings.upstream_key_secret:
        return settings.upstream_key or None
    return str(_provider(clients).get(settings.upstream_key_secret, max_age=CACHE_SECONDS))


@lru_cache(maxsize=1)
def _provider(clients: Clients) -> SecretsProvider:
    return SecretsProvider(boto3_client=clients.secrets)
