"""The limits of an input, and the estimate of a batch: extensions."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

# Pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

from nightlane.api_settings import ApiSettings
from nightlane.domain.endpoints import ENDPOINTS, endpoint_of
from nightlane.domain.estimates import ModelRequests, Routed
from nightlane.domain.line_checks import MAX_DEPTH, MAX_EMBEDDING_INPUTS, MAX_MODELS_ASKED
from nightlane.wire.receipts import PRICES, Cost, ServiceCost, service_costs
from nightlane.wire.requests import MAX_FILE_BYTES, Request, supported_endpoint

DAY_SECONDS = 86_400


class ModelOfEstimate(Request):
    """Requests with the same `model`, or with none; `bytes` is the size of their lines."""

    model: Annotated[str, StringConstraints(min_length=1)] | None = None
    requests: Annotated[int, Field(ge=1)]
    bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]

    def to_domain(self) -> ModelRequests:
        return ModelRequests(self.model, self.requests, self.bytes)


class EstimateBatch(Request):
    """What is in an input, and what is assumed: the seconds of a request, and the bytes of its answer."""

    endpoint: Annotated[str, AfterValidator(supported_endpoint)]
    models: Annotated[list[ModelOfEstimate], Field(min_length=1, max_length=MAX_MODELS_ASKED)]
    seconds_per_request: Annotated[float, Field(gt=0, le=DAY_SECONDS)] = 5.0
    answer_bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)] = 4_000


class EndpointLimits(TypedDict):
    """What the body of a line must have: of each group in `required`, one field."""

    path: str
    title: str | None
    required: list[list[str]]
    needs_model: bool
    inputs: str | None


class Limits(TypedDict):
    """What is checked in an input, an extension. `max_upload_bytes` is for one form."""

    object: Literal["batch.limits"]
    endpoints: list[EndpointLimits]
    max_lines: int
    max_bytes: int
    max_line_bytes: int
    max_levels: int
    max_embedding_inputs: int
    max_upload_bytes: int
    one_model_per_batch: bool


class EstimatedModel(TypedDict):
    """`upstream` is null if no upstream takes the model, so that the batch would fail."""

    model: str | None
    upstream: str | None


class EstimatedBill(TypedDict):
    """What AWS would bill; `is_billed` is false on one machine, which would cost nothing."""

    is_billed: bool
    prices: str
    services: list[ServiceCost]
    dollars: float


class Estimate(TypedDict):
    """How long a batch would take if it began now and alone, and what it would cost, an extension."""

    object: Literal["batch.estimate"]
    requests: int
    input_bytes: int
    models: list[EstimatedModel]
    requests_in_flight: int
    seconds: float
    aws: EstimatedBill


def limits_object(settings: ApiSettings) -> Limits:
    return {
        "object": "batch.limits",
        "endpoints": [_endpoint_limits(path) for path in (*ENDPOINTS, *settings.extra_endpoints)],
        "max_lines": settings.max_batch_lines,
        "max_bytes": settings.max_batch_bytes,
        "max_line_bytes": settings.max_line_bytes,
        "max_levels": MAX_DEPTH,
        "max_embedding_inputs": MAX_EMBEDDING_INPUTS,
        "max_upload_bytes": settings.max_upload_bytes,
        "one_model_per_batch": settings.one_model_per_batch,
    }


def estimate_object(
    models: Sequence[ModelRequests],
    routed: Routed,
    costs: Sequence[Cost],
    *,
    requests_in_flight: int,
    seconds: float,
    is_billed: bool,
) -> Estimate:
    services = service_costs(costs)
    return {
        "object": "batch.estimate",
        "requests": sum(each.requests for each in models),
        "input_bytes": sum(each.input_bytes for each in models),
        "models": [
            {"model": each.model, "upstream": upstream}
            for each, upstream in zip(models, routed.upstreams, strict=True)
        ],
        "requests_in_flight": requests_in_flight,
        "seconds": round(seconds, 3),
        "aws": {
            "is_billed": is_billed,
            "prices": PRICES,
            "services": services,
            "dollars": round(sum(each["dollars"] for each in services), 9),
        },
    }


def _endpoint_limits(path: str) -> EndpointLimits:
    rules = endpoint_of(path)
    return {
        "path": path,
        "title": rules.title,
        "required": [list(names) for names in rules.required],
        "needs_model": rules.needs_model,
        "inputs": rules.inputs,
    }
