"""All lanes of an upstream that is down rest together."""

import asyncio

from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import MAX_REST_SECONDS, Rest, Trouble, rest_after
from nightlane.settings import InferenceSettings


async def agree_on_rest(
    ports: Ports[InferenceSettings], upstream: str, trouble: Trouble | None, retry_after: float | None
) -> float:
    """Start a rest of all lanes, or join the one under way; returns its end in seconds since 1970."""
    now = ports.now()
    ports.metrics.add(Metric.UPSTREAM_DOWN)
    known = await asyncio.to_thread(ports.upstreams.get_rest, upstream)
    if known is not None and known.until > now:
        return known.until
    if trouble is None:
        # A request that was still in flight has been answered.
        return now
    rest = rest_after(known, trouble, now, ports.settings.upstream_pause_seconds)
    if retry_after is not None:
        requested = int(now + min(retry_after, MAX_REST_SECONDS))
        rest = Rest(max(rest.until, requested), rest.count, rest.trouble)
    agreed = await asyncio.to_thread(ports.upstreams.begin_rest, upstream, rest, known)
    ports.log(
        "all lanes rest", upstream=upstream, seconds=round(agreed.until - now), reason=str(rest.trouble)
    )
    return agreed.until
