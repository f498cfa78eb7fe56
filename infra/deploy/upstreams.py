"""The AWS resources that the upstreams need: the secrets of their keys, and Bedrock's models."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack

from nightlane.settings import Settings
from nightlane.upstream_settings import Auth, AwsAuth, UpstreamSettings

# IAM has no sets of characters, so `[ab]` becomes any one character.
_CHARACTER_SET = re.compile(r"\[!?\]?[^]]*\]")


@dataclass(frozen=True, slots=True)
class UpstreamArns:
    """`secrets` are those of the keys; `models` are what may be called, by the name of the AWS service."""

    secrets: tuple[str, ...]
    models: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, settings: Settings, stack: Stack) -> "UpstreamArns":
        """Find the resources in the stack's account, and in the regions of the upstreams."""
        secrets: dict[str, None] = {}
        models: dict[str, dict[str, None]] = {}
        for upstream in settings.upstreams:
            auth = upstream.auth
            if auth and auth.secret:
                secrets[_secret(auth, stack)] = None
            if auth and auth.aws:
                found = models.setdefault(auth.aws.service, {})
                found |= dict.fromkeys(auth.aws.resources or _models(upstream, auth.aws, stack))
        return cls(tuple(secrets), {service: tuple(arns) for service, arns in models.items()})


def _secret(auth: Auth, stack: Stack) -> str:
    if auth.secret_is_arn:
        return str(auth.secret)
    # Secrets Manager appends a hyphen and six random characters to the name.
    return stack.format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{auth.secret}-??????",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def _models(upstream: UpstreamSettings, aws: AwsAuth, stack: Stack) -> Iterator[str]:
    """The models that the upstream's patterns and names allow, in its region.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
    """
    if aws.service == "bedrock-mantle":
        # Its actions are allowed on projects, not on models; without a project, the request is in `default`.
        yield stack.format_arn(
            service="bedrock-mantle", region=upstream.aws_region, resource="project", resource_name="default"
        )
        return
    names = (upstream.rewrite.get(pattern, pattern) for pattern in upstream.models)
    for name in dict.fromkeys([*names, *upstream.rewrite.values()]):
        yield stack.format_arn(
            service="bedrock",
            region=upstream.aws_region,
            account="",
            resource="foundation-model",
            resource_name=_CHARACTER_SET.sub("?", name),
        )
