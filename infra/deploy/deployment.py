"""What an operator decides, read once from the context `nightlane` of cdk.json."""

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightlane.settings import (
    AssembleQueueSettings,
    DeadLetterQueueSettings,
    EndpointSettings,
    InferQueueSettings,
    PlanQueueSettings,
    Settings,
    StorageSettings,
)

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
MOST_EVENT_SOURCE_CONCURRENCY = 1_000
PLACEHOLDER_HOST = "inference.example.com"
# These are the stack's to say.
OURS = {
    name
    for group in (
        StorageSettings,
        PlanQueueSettings,
        InferQueueSettings,
        AssembleQueueSettings,
        DeadLetterQueueSettings,
        EndpointSettings,
    )
    for name in group.model_fields
}


class BadContext(Exception):
    """The context `nightlane` does not say what can be deployed."""


class Part(BaseModel):
    """A part of the context; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Upstream(Part):
    """An inference endpoint. Its key is in Secrets Manager, under `key_secret`."""

    url: str = Field(pattern=r"^https?://[^\s/]+(/\S*)?$", description="Base URL, with its /v1")
    key_secret: str | None = Field(default=None, min_length=1, description="Name of the secret")


class CustomDomain(Part):
    """A regional custom domain; its alias record is the operator's."""

    name: str
    certificate_arn: str = Field(pattern=r"^arn:aws[\w-]*:acm:")


class Network(Part):
    """Where functions that call the upstream are attached, to reach one inside a VPC."""

    subnet_ids: tuple[str, ...] = Field(min_length=1)
    security_group_ids: tuple[str, ...] = Field(min_length=1)


class Deployment(Part):
    """One deployed Nightlane."""

    stack_name: str = Field(default="Nightlane", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,40}$")
    upstreams: tuple[Upstream, ...] = Field(min_length=1, max_length=1)
    reserve_concurrency: bool = Field(
        default=True, description="False in an account whose concurrency is too small to reserve from"
    )
    deletion_protection: bool = Field(default=True, description="False: table and bucket go with the stack")
    architecture: Literal["arm64", "x86_64"] = "arm64"
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = 30
    throttle_requests_per_second: int = Field(default=100, ge=1, le=10_000)
    throttle_burst: int = Field(default=200, ge=1, le=5_000)
    domain: CustomDomain | None = None
    vpc_endpoint_ids: tuple[str, ...] = Field(
        default=(), description="Makes the API private, for these interface endpoints of execute-api"
    )
    web_acl_arn: str | None = Field(default=None, pattern=r"^arn:aws[\w-]*:wafv2:")
    network: Network | None = None
    alarm_topic_arn: str | None = Field(default=None, pattern=r"^arn:aws[\w-]*:sns:")
    settings: Settings = Settings()

    @property
    def upstream(self) -> Upstream:
        """The one endpoint behind this stack; another endpoint is another stack."""
        return self.upstreams[0]

    @model_validator(mode="after")
    def _workers_fit_an_event_source(self) -> Self:
        if self.settings.worker_concurrency > MOST_EVENT_SOURCE_CONCURRENCY:
            raise ValueError(
                "max_concurrent_batches × lanes is "
                f"{self.settings.worker_concurrency}, and one event source runs at most "
                f"{MOST_EVENT_SOURCE_CONCURRENCY} workers: raise requests_in_flight_per_worker"
            )
        return self

    @model_validator(mode="after")
    def _a_private_api_has_no_public_name(self) -> Self:
        if self.domain and self.vpc_endpoint_ids:
            raise ValueError("domain is of a public API, vpc_endpoint_ids make it private: leave one out")
        return self

    @classmethod
    def from_context(cls, context: Any) -> Self:
        """Read the context; it may be JSON text, as `cdk -c nightlane='{…}'` gives it.

        Raises:
            BadContext: with a line for every value that cannot be.
        """
        try:
            values = json.loads(context) if isinstance(context, str) else context
        except ValueError as error:
            raise BadContext(f"nightlane: not JSON: {error}") from error
        if not isinstance(values, Mapping):
            raise BadContext("nightlane: cdk.json's context needs an object of this name")
        try:
            return cls.model_validate(_with_settings(values))
        except ValidationError as error:
            raise BadContext("\n".join(map(_told, error.errors()))) from error


def _with_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings stand beside the deployment's own fields in cdk.json; here they get a place of their own."""
    known = Settings.model_fields.keys() - OURS
    return {name: value for name, value in values.items() if name not in known} | {
        "settings": {name: value for name, value in values.items() if name in known}
    }


def _told(error: Any) -> str:
    path = [str(part) for part in error["loc"] if part != "settings"]
    return f"{'.'.join(['nightlane', *path])}: {error['msg']}"
