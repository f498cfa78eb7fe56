"""The operator's choices, read once from the context `nightlane` in cdk.json."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nightlane.settings import (
    AssembleQueueSettings,
    DeadLetterQueueSettings,
    EndpointSettings,
    InferQueueSettings,
    PlanQueueSettings,
    Settings,
    StorageSettings,
    endpoint_url,
)

from ..resources import INFER

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
MAX_EVENT_SOURCE_CONCURRENCY = 1_000
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
SECRET_NAME = re.compile(r"[\w/+=.@-]{1,512}", re.ASCII)
# Secrets Manager appends a hyphen and six random characters; the role is granted exactly this ARN.
SECRET_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@-]+-\w{6}", re.ASCII)
DAY_SECONDS = 86_400
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
        DeadLetterQueueSettings,
        EndpointSettings,
    )
    for name in group.model_fields
}


class BadContext(Exception):
    """The context `nightlane` does not describe a valid deployment."""


class ContextModel(BaseModel):
    """Part of the context; unknown names are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Upstream(ContextModel):
    """An inference endpoint; its key is in the Secrets Manager secret `key_secret`, a name or an ARN."""

    url: Annotated[str, AfterValidator(endpoint_url)] = Field(
        min_length=1, description="Base URL, with its /v1 and, if it needs one, a query"
    )
    key_secret: str | None = Field(default=None, description="Name or ARN of the secret")

    @field_validator("key_secret")
    @classmethod
    def _secret_can_be_found(cls, secret: str | None) -> str | None:
        if secret is None or SECRET_NAME.fullmatch(secret) or SECRET_ARN.fullmatch(secret):
            return secret
        raise ValueError(
            "this must be a secret's name, or its complete ARN (arn:aws:secretsmanager:…:secret:name-AbCdEf)"
        )

    @property
    def key_secret_is_arn(self) -> bool:
        return self.key_secret is not None and self.key_secret.startswith("arn:")


class CustomDomain(ContextModel):
    """A regional custom domain; the operator creates its alias record."""

    name: str
    certificate_arn: str = Field(pattern=r"^arn:aws[\w-]*:acm:")


class Network(ContextModel):
    """Where functions that call the upstream are attached, to reach an upstream inside a VPC."""

    subnet_ids: tuple[str, ...] = Field(min_length=1)
    security_group_ids: tuple[str, ...] = Field(min_length=1)


class Deployment(ContextModel):
    """One deployment of Nightlane."""

    stack_name: str = Field(default="Nightlane", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,40}$")
    upstreams: tuple[Upstream, ...] = Field(min_length=1, max_length=1)
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
    alarm_topic_arn: str | None = Field(default=None, pattern=r"^arn:aws[\w-]*:sns:")
    settings: Settings = Settings()

    @property
    def upstream(self) -> Upstream:
        """The only endpoint behind this stack; another endpoint needs another stack."""
        return self.upstreams[0]

    @model_validator(mode="after")
    def _workers_fit_an_event_source(self) -> Self:
        if self.settings.worker_concurrency > MAX_EVENT_SOURCE_CONCURRENCY:
            raise ValueError(
                "max_concurrent_batches × lanes is "
                f"{self.settings.worker_concurrency}, and one event source runs at most "
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
            raise BadContext("\n".join(map(_describe, error.errors()))) from error
        if on_aws and (too_large := [*_too_large_for_aws(deployment.settings)]):
            raise BadContext("\n".join(too_large))
        return deployment


def _too_large_for_aws(settings: Settings) -> Iterator[str]:
    for name, (limit, reason) in MAX_ON_AWS.items():
        if getattr(settings, name) > limit:
            yield f"nightlane.{name}: the maximum on AWS is {limit}: {reason}"


def _with_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The context with its settings, which cdk.json has beside the other fields, moved into `settings`."""
    known = Settings.model_fields.keys() - SET_BY_STACK
    return {name: value for name, value in values.items() if name not in known} | {
        "settings": {name: value for name, value in values.items() if name in known}
    }


def _describe(error: Any) -> str:
    path = [str(part) for part in error["loc"] if part != "settings"]
    return f"{'.'.join(['nightlane', *path])}: {error['msg']}"
