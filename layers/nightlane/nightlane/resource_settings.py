"""The names of the resources that functions use."""

from nightlane.settings_group import SettingsGroup


class TableSettings(SettingsGroup):
    table_name: str = "nightlane"


class AuthorizeSettings(TableSettings):
    """All settings of the function `authorize`; here, because the other groups take long to import."""


class StorageSettings(TableSettings):
    bucket_name: str = "nightlane"


class PlanQueueSettings(SettingsGroup):
    plan_queue_url: str = ""


class InferQueueSettings(SettingsGroup):
    infer_queue_url: str = ""


class AssembleQueueSettings(SettingsGroup):
    assemble_queue_url: str = ""


class NotifyQueueSettings(SettingsGroup):
    notify_queue_url: str = ""
