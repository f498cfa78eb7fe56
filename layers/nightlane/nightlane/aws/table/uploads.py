"""Uploads in parts: one item each, with the ids and sizes of its parts."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nightlane.aws.table import quotas
from nightlane.aws.table.connection import (
    ConditionFailed,
    Connection,
    Item,
    Key,
    TransactionRefused,
    put,
    update,
)
from nightlane.aws.table.items import file_to_item
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.quota_counts import stored
from nightlane.domain.upload import (
    FORGET_SECONDS,
    MAX_PARTS,
    Completion,
    Upload,
    UploadPart,
    UploadStatus,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PENDING = {"pending": UploadStatus.PENDING.value}
ACCEPTS_PARTS = "#status = :pending AND attribute_not_exists(#file_id) AND #expires_at > :now"
IS_ACCEPTED = "#status = :pending AND #file_id = :file_id"


class DynamoUploads:
    """`domain.upload_store.UploadStore` on DynamoDB.

    A refused write may be a repetition, by the SDK, of one whose response was lost. The item shows it.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def create_upload(self, upload: Upload) -> None:
        # Its id is random: one that exists is this one.
        with suppress(ConditionFailed):
            self._table.insert(_to_item(upload))

    def get_upload(self, upload_id: str) -> Upload | None:
        item = self._table.get(_item_key(upload_id))
        return _from_item(item) if item else None

    def add_part(self, upload_id: str, part: UploadPart, now: float) -> bool:
        text = _part_to_text(part)
        values = PENDING | {"part": {text}, "now": int(now), "most": MAX_PARTS}
        has_room = "(attribute_not_exists(#parts) OR size(#parts) < :most)"
        return self._write(
            upload_id,
            "ADD #parts :part",
            values,
            f"{ACCEPTS_PARTS} AND {has_room}",
            was_written=lambda item: text in item.get("parts", ()),
        )

    def begin_completion(self, upload_id: str, completion: Completion, now: float) -> bool:
        values = {
            "file_id": completion.file_id,
            "fingerprint": completion.fingerprint,
            "composition": completion.composition,
            "now": int(now),
        }
        return self._write(
            upload_id,
            "SET #file_id = :file_id, #fingerprint = :fingerprint, #composition = :composition",
            PENDING | values,
            ACCEPTS_PARTS,
            was_written=lambda item: item.get("file_id") == completion.file_id,
        )

    def withdraw_completion(self, upload_id: str, completion: Completion) -> bool:
        return self._write(
            upload_id,
            "REMOVE #file_id, #fingerprint, #composition",
            PENDING | {"file_id": completion.file_id},
            IS_ACCEPTED,
            was_written=lambda item: "file_id" not in item and item["status"] == UploadStatus.PENDING,
        )

    def finish_upload(
        self,
        upload_id: str,
        completion: Completion,
        file: StoredFile,
        max_stored_bytes: int | None = None,
    ) -> bool:
        counted = quotas.count(file.tenant, stored(file, max_stored_bytes))
        change = update(
            _item_key(upload_id),
            "SET #status = :completed REMOVE #parts",
            PENDING | {"completed": UploadStatus.COMPLETED.value, "file_id": completion.file_id},
            IS_ACCEPTED,
        )
        try:
            self._table.transact([("Update", change), ("Put", put(file_to_item(file))), *counted])
        except TransactionRefused as refusal:
            quotas.raise_if_reached(refusal, 2)
            return False
        return True

    def cancel_upload(self, upload_id: str) -> Upload | None:
        values = PENDING | {"cancelled": UploadStatus.CANCELLED.value}
        try:
            item = self._table.update(
                _item_key(upload_id), "SET #status = :cancelled", values, "#status = :pending"
            )
        except ConditionFailed as failed:
            item = failed.old or {}
        return _from_item(item) if item.get("status") == UploadStatus.CANCELLED else None

    def _write(
        self,
        upload_id: str,
        expression: str,
        values: Mapping[str, Any],
        condition: str,
        was_written: Any,
    ) -> bool:
        try:
            self._table.update(_item_key(upload_id), expression, values, condition)
        except ConditionFailed as failed:
            return failed.old is not None and bool(was_written(failed.old))
        return True


def _item_key(upload_id: str) -> Key:
    return Key(f"UPLOAD#{upload_id}", "UPLOAD")


def _to_item(upload: Upload) -> Item:
    """Return the item of a new upload."""
    key = _item_key(upload.id)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "tenant": upload.tenant,
        "filename": upload.filename,
        "purpose": upload.purpose.value,
        "size": upload.size,
        "lifetime": upload.lifetime,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "status": upload.status.value,
        "ttl": upload.expires_at + FORGET_SECONDS,
    }


def _from_item(item: Mapping[str, Any]) -> Upload:
    return Upload(
        id=item["pk"].removeprefix("UPLOAD#"),
        tenant=item["tenant"],
        filename=item["filename"],
        purpose=FilePurpose(item["purpose"]),
        size=int(item["size"]),
        lifetime=int(item["lifetime"]) if "lifetime" in item else None,
        created_at=int(item["created_at"]),
        expires_at=int(item["expires_at"]),
        status=UploadStatus(item["status"]),
        parts=tuple(sorted(map(_part_from_text, item.get("parts", ())), key=lambda part: part.id)),
        completion=(
            Completion(item["file_id"], item["fingerprint"], item["composition"])
            if "file_id" in item
            else None
        ),
    )


def _part_to_text(part: UploadPart) -> str:
    return f"{part.id}:{part.size}"


def _part_from_text(text: str) -> UploadPart:
    part_id, size = text.split(":")
    return UploadPart(part_id, int(size))
