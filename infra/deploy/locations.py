"""The objects outside the stack that the operator's `s3_inputs` and `s3_outputs` name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_s3 as s3

from nightlane.domain.s3_locations import SCHEME
from nightlane.s3_settings import S3Prefix
from nightlane.settings import Settings

from .permissions import FILES, Target


@dataclass(frozen=True, slots=True)
class LocationArns:
    """The ARNs of all objects that are read or written because of these settings."""

    by_target: Mapping[Target, tuple[str, ...]]

    @classmethod
    def of(cls, settings: Settings, stack: Stack, bucket: s3.IBucket) -> "LocationArns":
        """Find them; `bucket` is the one of the stack, with the results to copy."""
        outputs = _objects(settings.s3_outputs, stack)
        return cls(
            {
                Target.S3_INPUTS: _objects(settings.s3_inputs, stack),
                Target.S3_OUTPUTS: outputs,
                Target.RESULTS_TO_COPY: (bucket.arn_for_objects(f"{FILES}*"),) if outputs else (),
            }
        )

    @property
    def outside(self) -> tuple[str, ...]:
        """Those outside the stack."""
        return self.by_target[Target.S3_INPUTS] + self.by_target[Target.S3_OUTPUTS]


def _objects(prefixes: Iterable[S3Prefix], stack: Stack) -> tuple[str, ...]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""
    named = dict.fromkeys(each.prefix.removeprefix(SCHEME) for each in prefixes)
    return tuple(
        stack.format_arn(
            service="s3",
            region="",
            account="",
            resource=f"{path}*",
            arn_format=ArnFormat.NO_RESOURCE_NAME,
        )
        for path in named
    )
