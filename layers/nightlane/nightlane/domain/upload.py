"""An upload in parts. Source: https://platform.openai.com/docs/api-reference/uploads/object"""

import json
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

import msgspec

from nightlane.api_settings import MIB
from nightlane.domain.errors import BadRequest
from nightlane.domain.file import FilePurpose, file_blob_key
from nightlane.domain.ids import shorten

# OpenAI's limits: https://platform.openai.com/docs/api-reference/uploads/create and …/uploads/add-part
MAX_TOTAL_BYTES = 8 * 1_024 * MIB
MAX_PART_BYTES = 64 * MIB
UPLOAD_SECONDS = 3_600
# Enough for 8 GiB in parts of 4 MiB, nearly twice, and few enough for one item of the table (400 KB).
MAX_PARTS = 4_000
# So long after its expiry, an upload is unknown, and its record may be removed.
FORGET_SECONDS = 86_400


class UploadStatus(StrEnum):
    """The status of an upload. A stored one is never `expired`: that follows from the time."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class UploadPart(msgspec.Struct, frozen=True):
    """A stored part, and its size in bytes."""

    id: str
    size: int


class Completion(msgspec.Struct, frozen=True):
    """An accepted request to complete an upload."""

    file_id: str
    """Of the file that the upload becomes."""
    fingerprint: str
    """Tells whether another request has the same parameters."""
    composition: str
    """Identifies the file to be composed: see `domain.compositions`."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """The record of an upload; times are seconds since 1970, `size` is in bytes, `lifetime` in seconds."""

    id: str
    tenant: str
    filename: str
    purpose: FilePurpose
    size: int
    lifetime: int | None
    created_at: int
    expires_at: int
    status: UploadStatus = UploadStatus.PENDING
    parts: tuple[UploadPart, ...] = ()
    completion: Completion | None = None

    def status_at(self, now: float) -> UploadStatus:
        """Return the status. An upload whose completion was accepted does not expire."""
        expires = self.status is UploadStatus.PENDING and self.completion is None
        return UploadStatus.EXPIRED if expires and now >= self.expires_at else self.status

    def is_forgotten(self, now: float) -> bool:
        return now >= self.expires_at + FORGET_SECONDS

    def accepts_parts(self, now: float) -> bool:
        return self.status_at(now) is UploadStatus.PENDING and self.completion is None

    def is_completing(self, fingerprint: str) -> bool:
        """Whether the completion with this fingerprint was accepted, but not finished."""
        return (
            self.status is UploadStatus.PENDING
            and self.completion is not None
            and self.completion.fingerprint == fingerprint
        )

    def part_key(self, part_id: str) -> str:
        """Return the key of a part's object."""
        return f"uploads/{self.tenant}/{self.id}/{part_id}"

    def part_keys(self) -> list[str]:
        return [self.part_key(part.id) for part in self.parts]

    def file_key(self, completion: Completion) -> str:
        """Return the key of the composed file."""
        return file_blob_key(self.tenant, completion.file_id)

    def in_order(self, part_ids: Sequence[str]) -> list[UploadPart]:
        """Return the parts with these ids. Raises: BadRequest, unless each exists and their sizes add up."""
        by_id = {part.id: part for part in self.parts}
        for each in part_ids:
            if each not in by_id:
                raise BadRequest(f"The upload has no part with the id '{shorten(each)}'.", param="part_ids")
        if len(set(part_ids)) < len(part_ids):
            raise BadRequest("A part may be used only once.", param="part_ids")
        parts = [by_id[each] for each in part_ids]
        if (total := sum(part.size for part in parts)) != self.size:
            raise BadRequest(
                f"The parts have {total} bytes in total, but the upload was created with {self.size} bytes.",
                param="part_ids",
            )
        return parts


def fingerprint_of(part_ids: Sequence[str], md5: str | None) -> str:
    """Return a fingerprint of the parameters of a request to complete an upload."""
    return sha256(json.dumps([list(part_ids), md5]).encode()).hexdigest()
