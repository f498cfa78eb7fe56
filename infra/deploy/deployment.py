"""The operator's choices, read once from the context `nightlane` in cdk.json."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightlane.domain.window import DAY_SECONDS
from nightlane.resource_settings import (
    AssembleQueueSettings,
    InferQueueSettings,
    NotifyQueueSettings,
    PlanQueueSettings,
    StorageSettings,
)
from nightlane.settings import MAX_EVENT_SOURCE_CONCURRENCY, Settings
from nightlane.upstream_settings import PEM

from ..environment import MAX_ENVIRONMENT_BYTES, environment_bytes
from ..resources import INFER
from ..settings_errors import describe

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_LAMBDA_PAYLOAD = "in base64, with its event, it must fit into Lambda's 6 MB"
# Larger values work on one machine, but not on AWS.
MAX_ON_AWS = {
    "completion_window_seconds": (
        INFER.retention_days * DAY_SECONDS,
        f"SQS keeps a message for {INFER.retention_days} days",
    ),
    "max_upload_bytes": (4_650_000, _LAMBDA_PAYLOAD),
    "max_inline_content_bytes": (4_650_000, _LAMBDA_PAYLOAD),
}
PLACEHOLDER_HOST = "inference.example.com"
# Settings that the stack fills in, so an operator must not.
SET_BY_STACK = {
    name
    for group in (
        StorageSettings,
        PlanQueueSettings,
        InferQueueSettings,
        AssembleQueueSettings,
        NotifyQueueSettings,
    )
    for name in group.model_fields
}


class BadContext(Exception):
    """The context `nightlane` does not describe a valid deployment."""


class ContextModel(BaseModel):
    """Part of the context; unknown names are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CustomDomain(ContextModel):
    """A regional custom domain; the operator creates its alias record."""

    name: str
    certificate_arn: str = Field(pattern=r"^arn:aws[\w-]*:acm:")


class Network(ContextModel):
    """Where functions that call the upstream are attached, to reach an upstream inside a VPC."""

    subnet_ids: tuple[str, ...] = Field(min_length=1)
    security_group_ids: tuple[str, ...] = Field(min_length=1)


class Monitoring(StrEnum):
    """What watches the stack: docs/decisions/0023-lean-monitoring.md."""

    FULL = "full"
    LEAN = "lean"


class Deployment(ContextModel):
    """One deployment of Nightlane."""

    stack_name: str = Field(default="Nightlane", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,40}$")
    reserve_concurrency: bool = Field(
        default=True, description="False if the account's concurrency is too low to reserve from"
    )
    deletion_protection: bool = Field(
        default=True, description="False: table and bucket are deleted with the stack"
    )
    architecture: Literal["arm64", "x86_64"] = "arm64"
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = 30
    throttle_requests_per_second: int = Field(default=100, ge=1, le=10_000)
    throttle_burst: int = Field(default=200, ge=1, le=5_000)
    domain: CustomDomain | None = None
    vpc_endpoint_ids: tuple[str, ...] = Field(
        default=(),
        description="Makes the API private: only these interface endpoints of execute-api reach it",
    )
    web_acl_arn: str | None = Field(default=None, pattern=r"^arn:aws[\w-]*:wafv2:")
    network: Network | None = None
    monitoring: Monitoring = Field(
        default=Monitoring.FULL,
        description="lean: few alarms, no dashboard, no traces, for a stack that is mostly idle",
    )
    alarm_topic_arn: str | None = Field(default=None, pattern=r"^arn:aws[\w-]*:sns:")
    settings: Settings = Settings()

    @model_validator(mode="after")
    def _workers_fit_an_event_source(self) -> Self:
        if self.settings.max_lanes > MAX_EVENT_SOURCE_CONCURRENCY:
            raise ValueError(
                "max_concurrent_batches × lanes is "
                f"{self.settings.max_lanes}, and one event source runs at most "
                f"{MAX_EVENT_SOURCE_CONCURRENCY} workers: raise requests_in_flight_per_worker"
            )
        return self

    @model_validator(mode="after")
    def _a_private_api_has_no_custom_domain(self) -> Self:
        if self.domain and self.vpc_endpoint_ids:
            raise ValueError(
                "domain needs a public API, vpc_endpoint_ids make it private: set only one of them"
            )
        return self

    @property
    def is_lean(self) -> bool:
        return self.monitoring is Monitoring.LEAN

    @classmethod
    def from_context(cls, context: Any, *, on_aws: bool = True) -> Self:
        """Read the context; it may be JSON text, as `cdk -c nightlane='{…}'` passes it.

        With `on_aws`, values that would not work there are invalid, too.

        Raises:
            BadContext: with one line for each invalid value.
        """
        try:
            values = json.loads(context) if isinstance(context, str) else context
        except ValueError as error:
            raise BadContext(f"nightlane: not JSON: {error}") from error
        if not isinstance(values, Mapping):
            raise BadContext("nightlane: the context in cdk.json needs an object of this name")
        try:
            deployment = cls.model_validate(_with_settings(values))
        except ValidationError as error:
            raise BadContext("\n".join(f"nightlane.{each}" for each in describe(error, values))) from error
        if on_aws and (problems := [*_problems_on_aws(deployment)]):
            raise BadContext("\n".join(f"nightlane.{each}" for each in problems))
        return deployment


def _problems_on_aws(deployment: Deployment) -> Iterator[str]:
    settings = deployment.settings
    yield from _too_large_for_aws(settings)
    if not settings.upstreams:
        yield "upstreams: Field required"
    for upstream in settings.upstreams:
        where = f"upstreams.{upstream.name}"
        if upstream.auth and upstream.auth.key:
            yield f"{where}.auth.key: the template would show it: store it in Secrets Manager, and set secret"
        if upstream.ca and PEM not in upstream.ca:
            yield f"{where}.ca: functions have no such file: give the PEM text itself"
    largest, size = environment_bytes(settings, deployment.stack_name)
    if size > MAX_ENVIRONMENT_BYTES:
        yield (
            f"upstreams: the environment of the function {largest} would have up to {size} bytes, and Lambda "
            f"allows {MAX_ENVIRONMENT_BYTES}: shorten the upstreams (a `ca` is the largest part of them)"
        )


def _too_large_for_aws(settings: Settings) -> Iterator[str]:
    for name, (limit, reason) in MAX_ON_AWS.items():
        if getattr(settings, name) > limit:
            yield f"{name}: the maximum on AWS is {limit}: {reason}"


def _with_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The context with its settings, which cdk.json has beside the other fields, moved into `settings`."""
    known = Settings.model_fields.keys() - SET_BY_STACK
    return {name: value for name, value in values.items() if name not in known} | {
        "settings": {name: value for name, value in values.items() if name in known}
    }
