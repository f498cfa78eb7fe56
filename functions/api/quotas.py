"""The quota of a request, and the headers that show what is left of it."""

from functions.api.http import Request
from nightlane.client_settings import QuotaSettings
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import Quota, get_allowances, quota_from_text
from nightlane.wire.rate_limits import rate_limit_headers


def quota_of(request: Request, settings: QuotaSettings) -> Quota:
    """Return what the tenant may use: as its key says, and otherwise as the settings say."""
    own = request.authorizer.get("quota")
    return quota_from_text(own).over(settings.quota) if own else settings.quota


def quota_headers(ports: Ports, tenant: str, quota: Quota) -> dict[str, str]:
    """Return OpenAI's rate limit headers; none if nothing that they show is limited."""
    return rate_limit_headers(get_allowances(ports.quotas, tenant, quota, ports.now()))
