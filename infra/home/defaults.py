"""Settings whose defaults on one machine differ from those on AWS."""

from collections.abc import Mapping
from typing import Any

from platformdirs import user_data_path

from nightlane.api_settings import MIB

# The default data folder of `nightlane local`.
USER_DATA = user_data_path("nightlane", appauthor=False)

# Lambda's 6 MB limit does not apply here, and a lease of two minutes would delay recovery.
HOME_DEFAULTS: Mapping[str, Any] = {
    "checkpoint_seconds": 1,
    "worker_lease_seconds": 5,
    "watch_seconds": 1,
    "upstream_pause_seconds": 5,
    "redrive_seconds": 10,
    "stall_seconds": 20,
    # OpenAI's own file size limit: https://platform.openai.com/docs/api-reference/files/create
    "max_upload_bytes": 512 * MIB,
    # Handlers never return file content: the server sends the file.
    "max_inline_content_bytes": 0,
}
