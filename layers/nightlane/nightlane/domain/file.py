"""A stored file. Source: https://platform.openai.com/docs/api-reference/files/object"""

from dataclasses import dataclass
from enum import StrEnum

# The record of a deleted file stays for so long, so that list cursors hold.
TOMBSTONE_SECONDS = 7 * 86_400


class FilePurpose(StrEnum):
    """The purposes that clients may upload files for, and the purpose of result files."""

    ASSISTANTS = "assistants"
    BATCH = "batch"
    FINE_TUNE = "fine-tune"
    VISION = "vision"
    USER_DATA = "user_data"
    EVALS = "evals"
    BATCH_OUTPUT = "batch_output"


UPLOADABLE = tuple(purpose for purpose in FilePurpose if purpose is not FilePurpose.BATCH_OUTPUT)


def file_blob_key(tenant: str, file_id: str) -> str:
    """Return the key of a file's object."""
    return f"files/{tenant}/{file_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """The record of a file; times are seconds since 1970, `size` is in bytes."""

    id: str
    tenant: str
    filename: str
    purpose: FilePurpose
    size: int
    created_at: int
    expires_at: int | None
    listed: str
    """Sort key of the tenant's list: creation in milliseconds, then the id."""
    is_counted: bool = False
    """Whether its size counts against the quota of its tenant."""

    @property
    def blob_key(self) -> str:
        return file_blob_key(self.tenant, self.id)

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at
