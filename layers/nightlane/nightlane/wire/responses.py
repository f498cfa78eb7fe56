"""OpenAI's response objects, see `objects`. Every key is always present, and null when unset."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from nightlane.domain.batch import Batch, BatchError, Usage
from nightlane.domain.file import StoredFile
from nightlane.domain.pending_files import PendingUpload
from nightlane.domain.progress import Progress
from nightlane.domain.trouble import Trouble
from nightlane.domain.webhook import WebhookEndpoint
from nightlane.wire import objects, webhook_objects

Stored = TypeVar("Stored", Batch, StoredFile, WebhookEndpoint)
Listed = TypeVar("Listed", objects.Batch, objects.File, webhook_objects.WebhookEndpoint)


def batch_object(batch: Batch) -> objects.Batch:
    # Zero until the batch is validated, or has ended before that.
    shows_counts = batch.shown_in_progress_at is not None or batch.status.is_terminal
    shown: objects.Batch = {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.request.endpoint,
        "model": batch.model if shows_counts else None,
        "errors": (
            {"object": "list", "data": [_batch_error(error) for error in batch.errors]}
            if batch.errors
            else None
        ),
        "input_file_id": batch.request.input_file_id,
        "completion_window": batch.request.completion_window,
        "status": batch.shown_status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": batch.created_at,
        "in_progress_at": batch.shown_in_progress_at,
        "expires_at": batch.expires_at,
        "finalizing_at": batch.finalizing_at,
        "completed_at": batch.completed_at,
        "failed_at": batch.failed_at,
        "expired_at": batch.expired_at,
        "cancelling_at": batch.cancelling_at,
        "cancelled_at": batch.cancelled_at,
        "request_counts": {
            "total": batch.total if shows_counts else 0,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "usage": usage_object(batch.usage),
        "metadata": None if batch.request.metadata is None else dict(batch.request.metadata),
    }
    if batch.request.output_prefix is not None:
        shown["output_prefix"] = batch.request.output_prefix
        shown["output_prefix_error"] = batch.output_problem
    return shown


def progress_object(progress: Progress) -> objects.Progress:
    """An extension. Rates are in lines per second, times in whole seconds since 1970."""
    batch, trouble, rate = progress.batch, progress.trouble, progress.lines_per_second
    return {
        "object": "batch.progress",
        "batch_id": batch.id,
        "status": batch.shown_status,
        "lines": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
            "unfinished": batch.total - batch.completed - batch.failed,
        },
        "lines_per_second": None if rate is None else round(rate, 3),
        "seconds_left": progress.seconds_left,
        "waits_for": progress.waits_for,
        "waits_since": progress.waits_since,
        "resumes_at": progress.resumes_at,
        "last_refusal": _refusal(trouble) if trouble else None,
    }


def _batch_error(error: BatchError) -> objects.BatchError:
    return {"code": error.code, "message": error.message, "param": error.param, "line": error.line}


def _refusal(trouble: Trouble) -> objects.Refusal:
    return {
        "kind": trouble.kind,
        "status": trouble.status,
        "message": trouble.message,
        "since": trouble.since,
    }


def usage_object(usage: Usage) -> objects.Usage:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def file_object(file: StoredFile) -> objects.File:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": _file_status(file),
        "status_details": file.problem,
    }


def _file_status(file: StoredFile) -> objects.FileStatus:
    """`files.wait_for_processing()` polls until it reads `processed` or `error`; `pending` is Azure's."""
    if not file.is_pending:
        return "processed"
    return "pending" if file.problem is None else "error"


def pending_file_object(pending: PendingUpload, url: str) -> objects.PendingFile:
    put = pending.put
    upload: objects.UploadRequest = {
        "method": "PUT",
        "url": url,
        "headers": dict(put.headers),
        "expires_at": put.expires_at,
    }
    return {**file_object(pending.file), "upload": upload}


def deleted_file(file_id: str) -> objects.DeletedFile:
    return {"id": file_id, "object": "file", "deleted": True}


def page(entries: Sequence[Stored], limit: int, show: Callable[[Stored], Listed]) -> objects.Page[Listed]:
    """Return a page of at most `limit` entries. One entry more than that means there is another page."""
    data = [show(entry) for entry in entries[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        # A client that follows an empty page has no cursor for it.
        "has_more": 0 < limit < len(entries),
    }
