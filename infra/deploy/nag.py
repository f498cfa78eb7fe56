"""The rules of cdk-nag's AwsSolutions that this stack does not follow, and why.

https://github.com/cdklabs/cdk-nag/blob/main/RULES.md
"""

from collections.abc import Iterable

from aws_cdk import Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

PUSH_LOGS = "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
PREFIX = "The function may access the objects with one prefix; their names are not known in advance."
PATTERN = "The worker may call the models that the operator's patterns or resources allow."
LOCATION = "The operator's s3_inputs or s3_outputs have this prefix."
REASONS = {
    "L1": "python3.13 is the runtime that is tested, and the wheels of the dependencies are built for it.",
    "S1": "Only the functions access the bucket; API Gateway's access log shows who requested what.",
    "COG4": "Clients of the OpenAI API authenticate with a bearer key, which a Lambda authorizer looks up.",
    "APIG4": "Only the two pages that describe the API need no key; a test checks that.",
    "APIG2": "The handler validates requests and returns OpenAI's error envelope, which API Gateway cannot.",
    "APIG3": "A web ACL is the operator's choice: web_acl_arn in cdk.json.",
    f"IAM4[Policy::{PUSH_LOGS}]": "AWS's managed policy for the log role in API Gateway's account settings.",
    "IAM5[Resource::*]": "X-Ray's segments and Lambda's network interfaces have no resource ARN.",
}


def enforce_aws_solutions(
    scope: IConstruct,
    stack: Stack,
    bucket: IConstruct,
    models: Iterable[str] = (),
    locations: Iterable[str] = (),
) -> None:
    """Make synthesis fail on every finding without a reason here.

    Args:
        models: ARNs of AWS's models.
        locations: ARNs of objects in other buckets.
    """
    Validations.of(scope).add_plugins(AwsSolutionsChecks(scope))
    name = stack.get_logical_id(bucket.node.default_child)  # type: ignore[arg-type]
    prefixes = ("files", "direct", "uploads", "work")
    objects = {f"IAM5[Resource::<{name}.Arn>/{prefix}/*]": PREFIX for prefix in prefixes}
    # `Validations.acknowledge` rejects ids with a second "::", which those of single resources have.
    key = Validations.ACKNOWLEDGED_RULES_METADATA_KEY
    allowed = {f"IAM5[Resource::{_shown(arn, stack)}]": PATTERN for arn in models if "*" in arn}
    allowed |= {f"IAM5[Resource::{_shown(arn, stack)}]": LOCATION for arn in locations}
    for rule, reason in (REASONS | objects | allowed).items():
        stack.node.add_metadata(key, {f"AwsSolutions::AwsSolutions-{rule}": reason})


def _shown(arn: str, stack: Stack) -> str:
    """An ARN as cdk-nag shows it."""
    return arn.replace(stack.partition, "<AWS::Partition>").replace(stack.account, "<AWS::AccountId>")
