"""The settings of webhooks."""

from pydantic import Field

from nightlane.settings_group import SettingsGroup


class WebhookSettings(SettingsGroup):
    webhook_allow_private_addresses: bool = Field(
        default=False,
        description="True: webhooks may go to private addresses, and over plain HTTP",
    )


class EventBusSettings(SettingsGroup):
    event_bus: str | None = Field(
        default=None,
        max_length=1_600,
        pattern=r"^(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[A-Za-z0-9_./-]+$",
        description="Name or ARN of an EventBridge bus that gets the events of all tenants, too; only on AWS",
    )
