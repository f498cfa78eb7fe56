"""A stored file. Source: https://platform.openai.com/docs/api-reference/files/object"""

from enum import StrEnum

import msgspec

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


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
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
    is_direct: bool = False
    """Whether clients send its content straight to the storage, not through the API."""
    pending_until: int | None = None
    """Until when its content is awaited; None once it is complete. See `pending_files`."""
    problem: str | None = None
    """Why the content of a pending file was refused."""
    is_counted: bool = False
    """Whether its size counts against the quota of its tenant."""

    @property
    def blob_key(self) -> str:
        if self.is_direct:
            return f"direct/{self.tenant}/{self.id}"
        return file_blob_key(self.tenant, self.id)

    @property
    def is_pending(self) -> bool:
        return self.pending_until is not None

    @property
    def ends_at(self) -> int | None:
        """When it expires, or its content has not arrived in time."""
        return self.expires_at if self.pending_until is None else self.pending_until

    def is_expired(self, now: float) -> bool:
        return self.ends_at is not None and now >= self.ends_at
