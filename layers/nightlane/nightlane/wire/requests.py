"""Requests of clients.

Source: https://platform.openai.com/docs/api-reference/batch/create, …/files/create, …/files/list
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from nightlane.api_settings import MIB
from nightlane.domain.batch import BatchRequest
from nightlane.domain.endpoints import ENDPOINTS
from nightlane.domain.errors import BadRequest
from nightlane.domain.file import FilePurpose
from nightlane.domain.ids import MAX_ID_CHARACTERS
from nightlane.domain.s3_locations import MAX_URL_CHARACTERS, SCHEME, is_s3_url
from nightlane.domain.utf8 import explain_surrogate
from nightlane.domain.window import SUPPORTED_WINDOWS, parse_window
from nightlane.wire.problems import bad_request, list_values

MAX_TOKEN_CHARACTERS = 512
MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARACTERS)]
ExpirySeconds = Annotated[int, Field(ge=3_600, le=2_592_000)]
Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
# Only for the OpenAPI document: the domain refuses what does not match, in OpenAI's words.
BATCH_ID_PATTERN = "^batch"
CURSOR_PATTERN = f"{BATCH_ID_PATTERN}|^$"
FILE_OR_S3: JsonDict = {"anyOf": [{"maxLength": MAX_ID_CHARACTERS}, {"pattern": f"^{SCHEME}"}]}
WINDOW_PATTERN = "^(([1-9][0-9]?|1[0-5][0-9]|16[0-8])h|[1-7]d)$"
MAX_FILE_BYTES = 512 * MIB


def supported_endpoint(endpoint: str, info: ValidationInfo) -> str:
    endpoints = (*ENDPOINTS, *(info.context or ()))
    if endpoint not in endpoints:
        raise _unsupported(list_values(endpoints))
    return endpoint


def _supported_window(window: str) -> str:
    if parse_window(window) is None:
        raise _unsupported(SUPPORTED_WINDOWS)
    return window


def _unsupported(supported: str) -> PydanticCustomError:
    return PydanticCustomError("unsupported_value", "Supported {supported}.", {"supported": supported})


def _short_unless_s3(file_id: str) -> str:
    if len(file_id) > MAX_ID_CHARACTERS and not is_s3_url(file_id):
        raise PydanticCustomError("string_too_long", "too long", {"max_length": MAX_ID_CHARACTERS})
    return file_id


class Request(BaseModel):
    """A JSON body. Strict: a string is not accepted as a number, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class ExpiresAfter(Request):
    """Both members are required; `seconds` after the file was created."""

    anchor: Literal["created_at"]
    seconds: ExpirySeconds


class Repeatable(Request):
    """`idem_tok`, later renamed `idempotency_key`, is an extension by Llama Stack."""

    idem_tok: Token | None = None
    idempotency_key: Token | None = None

    def token(self, header: str | None) -> str | None:
        """Return the idempotency token from the body or the header. Raises: BadRequest, if they differ."""
        tokens = {token for token in (self.idem_tok, self.idempotency_key, read_token(header)) if token}
        if len(tokens) > 1:
            raise BadRequest("More than one idempotency key was given.", param="idempotency_key")
        return tokens.pop() if tokens else None


class CreateBatch(Repeatable):
    """Exactly one of `input_file_id` and `requests` is given, which `create_batch` checks."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["input_file_id"]}, {"required": ["requests"]}]}
    )

    input_file_id: Annotated[
        str,
        AfterValidator(_short_unless_s3),
        Field(max_length=MAX_URL_CHARACTERS, json_schema_extra=FILE_OR_S3),
    ] = Field(default_factory=str)
    requests: Annotated[list[dict[str, Any]], Field(min_length=1)] = Field(
        default_factory=list, description="An extension: the lines of an input file, instead of its id"
    )
    endpoint: Annotated[str, AfterValidator(supported_endpoint)]
    completion_window: Annotated[
        str, AfterValidator(_supported_window), Field(json_schema_extra={"pattern": WINDOW_PATTERN})
    ]
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None
    output_prefix: Annotated[str, StringConstraints(max_length=MAX_URL_CHARACTERS)] | None = Field(
        default=None, description="An extension: an s3:// URL to copy the result files to"
    )

    def to_domain(self) -> BatchRequest:
        return BatchRequest(
            input_file_id=self.input_file_id,
            endpoint=self.endpoint,
            completion_window=self.completion_window,
            metadata=self.metadata,
            output_expires_after=lifetime_of(self.output_expires_after),
            output_prefix=self.output_prefix,
        )


class RetryBatch(Repeatable): ...


class CreatePendingFile(Request):
    """An extension: a file whose content the client will PUT to a URL. The limit is OpenAI's for any file."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    purpose: Purpose
    bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    expires_after: ExpiresAfter | None = None


class Query(BaseModel):
    """Query parameters. They arrive as text. Unknown ones, as in OpenAI's API, and empty ones are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_ones(cls, values: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if value}


class ListBatches(Query):
    after: Annotated[str, Field(json_schema_extra={"pattern": CURSOR_PATTERN})] | None = None
    limit: Annotated[int, Field(ge=0, le=100)] = 20


class ReadResults(Query):
    """An extension; `after` is the X-Last-Line header of an earlier page."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=50_000)] = 50_000


class ListFiles(Query):
    after: str | None = None
    limit: Annotated[int, Field(ge=0, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


class Fields(BaseModel):
    """The fields of a form. They arrive as text."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class FileExpiry(Fields):
    anchor: Literal["created_at"]
    seconds: ExpirySeconds


class CreateFile(Fields):
    """The form fields besides the file; clients send `expires_after[anchor]` and `expires_after[seconds]`."""

    purpose: Purpose
    expires_after: FileExpiry | None = None

    @property
    def file_purpose(self) -> FilePurpose:
        return FilePurpose(self.purpose)


def lifetime_of(expiry: ExpiresAfter | FileExpiry | None) -> int | None:
    """Return how long a file is kept, in seconds; None if the client leaves that open."""
    return expiry.seconds if expiry else None


def read_token(header: str | None) -> str | None:
    """Return the idempotency token in a header. Raises: BadRequest, for the reasons a token in a body has."""
    if header and not (header.isascii() and len(header) <= MAX_TOKEN_CHARACTERS):
        message = f"Invalid 'Idempotency-Key': expected at most {MAX_TOKEN_CHARACTERS} characters of ASCII."
        raise BadRequest(message, code="invalid_value", param="Idempotency-Key")
    return header


NO_JSON = "We could not parse the JSON body of your request. The body must be a JSON object."
Model = TypeVar("Model", bound=BaseModel)


def read_json(body: bytes) -> Any:
    """Parse the JSON of a request body. Raises: BadRequest."""
    try:
        value = json.loads(body)
        # A lone surrogate is valid JSON, but cannot be encoded, so it could not be stored.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = explain_surrogate(body)
        raise BadRequest(f"{NO_JSON} {reason}" if reason else NO_JSON) from error
    return value


def read(model: type[Model], values: Any, extra_endpoints: Sequence[str] = ()) -> Model:
    """Validate a request. Raises: BadRequest, for the first error."""
    try:
        return model.model_validate(values, context=extra_endpoints)
    except ValidationError as error:
        raise bad_request(error.errors(include_url=False)[0]) from error
