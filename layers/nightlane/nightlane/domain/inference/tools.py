"""What the parts of a run share."""

from dataclasses import dataclass

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.feed import Feed
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.supervisor import Supervisor
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.inference.upstream_monitor import UpstreamMonitor


@dataclass(frozen=True, slots=True)
class Tools:
    """What a `Sender` works with."""

    feed: Feed
    monitor: UpstreamMonitor
    health: Health
    supervisor: Supervisor
    traffic: Traffic
    budget: ByteBudget
