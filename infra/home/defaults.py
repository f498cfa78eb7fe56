"""Settings that differ on one machine from those on AWS."""

from collections.abc import Mapping
from typing import Any

from platformdirs import user_data_path

from nightlane.settings import MIB

# The folder of `nightlane local` unless another is given.
USER_DATA = user_data_path("nightlane", appauthor=False)

# There is no 6 MB limit of Lambda's here, and nobody wants to wait for a lease of two minutes.
HOME_DEFAULTS: Mapping[str, Any] = {
    "checkpoint_seconds": 1,
    "worker_lease_seconds": 5,
    "watch_seconds": 1,
    "upstream_pause_seconds": 5,
    "redrive_seconds": 10,
    "stall_seconds": 20,
    # OpenAI's own limit of a file: https://platform.openai.com/docs/api-reference/files/create
    "max_upload_bytes": 512 * MIB,
    # Content is never a handler's answer: the server sends the file.
    "max_inline_content_bytes": 0,
}
