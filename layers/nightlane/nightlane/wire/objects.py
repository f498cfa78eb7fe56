"""The types of OpenAI's response objects, which the OpenAPI document is made from.

Every key is always present, and null when unset. Times are whole seconds since 1970.
Source: https://platform.openai.com/docs/api-reference/batch/object and …/files/object
"""

from typing import Generic, Literal, NotRequired, TypeVar

# Pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

from nightlane.domain.batch import BatchStatus
from nightlane.domain.file import FilePurpose
from nightlane.domain.progress import WaitsFor
from nightlane.domain.upload import UploadStatus

Listed = TypeVar("Listed")
FileStatus = Literal["processed", "pending", "error"]


class Page(TypedDict, Generic[Listed]):
    """One page of a list; the next one begins after `last_id`."""

    object: Literal["list"]
    data: list[Listed]
    first_id: str | None
    last_id: str | None
    has_more: bool


class File(TypedDict):
    """A stored file; `bytes` is its size."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: FilePurpose
    status: FileStatus
    status_details: str | None


class UploadRequest(TypedDict):
    """The request that uploads the content of a file. It needs all of the headers, and no key."""

    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: int


class PendingFile(File):
    """A file whose content is awaited, an extension."""

    upload: UploadRequest


class FilePage(Page[File]):
    """A page of files."""


class DeletedFile(TypedDict):
    """Confirms that a file was deleted."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class Upload(TypedDict):
    """A file that arrives in parts; `bytes` is its size, and `file` is set once it is completed."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: FilePurpose
    status: UploadStatus
    file: File | None


class UploadPart(TypedDict):
    """A part of an upload."""

    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


class BatchError(TypedDict):
    """A validation error of the input file; `line` counts from 1."""

    code: str
    message: str
    param: str | None
    line: int | None


class BatchErrors(TypedDict):
    """All validation errors of an input file."""

    object: Literal["list"]
    data: list[BatchError]


class RequestCounts(TypedDict):
    """Lines of the input file. Expired and cancelled lines are in `total` only."""

    total: int
    completed: int
    failed: int


class InputTokensDetails(TypedDict):
    cached_tokens: int


class OutputTokensDetails(TypedDict):
    reasoning_tokens: int


class Usage(TypedDict):
    """Tokens of the lines that have completed so far."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Batch(TypedDict):
    """A batch of requests to one endpoint. An `output_prefix` is an extension, shown to those who use it."""

    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: Usage
    metadata: dict[str, str] | None
    output_prefix: NotRequired[str]
    output_prefix_error: NotRequired[str | None]


class BatchPage(Page[Batch]):
    """A page of batches."""


class Lines(TypedDict):
    total: int
    completed: int
    failed: int
    unfinished: int


class Refusal(TypedDict):
    """How the inference endpoint last refused or failed. `status` is null if there was no HTTP answer."""

    kind: str
    status: int | None
    message: str
    since: int


class Progress(TypedDict):
    """What a batch is doing, an extension. The rate is an average since the batch started running."""

    object: Literal["batch.progress"]
    batch_id: str
    status: BatchStatus
    lines: Lines
    lines_per_second: float | None
    seconds_left: int | None
    waits_for: WaitsFor | None
    waits_since: int | None
    resumes_at: int | None
    last_refusal: Refusal | None


class Model(TypedDict):
    """A model, as its upstream describes it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(TypedDict):
    """The models that a batch may use."""

    object: Literal["list"]
    data: list[Model]


class ErrorDetails(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(TypedDict):
    """The body of every error response."""

    error: ErrorDetails
