"""The EventBridge bus of the operator that gets the events of batches."""

from aws_cdk import Stack

from nightlane.settings import Settings


def event_buses(settings: Settings, stack: Stack) -> list[str]:
    """Return the ARN of the bus; none, if the operator names none."""
    bus = settings.event_bus
    if bus is None:
        return []
    return [
        bus
        if bus.startswith("arn:")
        else stack.format_arn(service="events", resource="event-bus", resource_name=bus)
    ]
