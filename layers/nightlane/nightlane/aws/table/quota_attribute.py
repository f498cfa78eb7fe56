"""The attribute `quota` of batches and keys."""

from collections.abc import Mapping
from typing import Any

from nightlane.domain.quotas import NO_QUOTA, Quota, quota_from_text, quota_to_text


def quota_to_item(quota: Quota) -> str | None:
    """Return the attribute `quota` of a batch or a key; None if nothing is limited."""
    return None if quota == NO_QUOTA else quota_to_text(quota)


def quota_from_item(item: Mapping[str, Any]) -> Quota:
    return quota_from_text(item["quota"]) if "quota" in item else NO_QUOTA
