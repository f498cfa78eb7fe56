"""What of cdk-nag's AwsSolutions rules is not followed, and why.

https://github.com/cdklabs/cdk-nag/blob/main/RULES.md
"""

from aws_cdk import Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

PUSH_LOGS = "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
PREFIX = "The function is granted the objects below one prefix; their names are made as batches are."
REASONS = {
    "L1": "python3.13 is the runtime that is tested, and the wheels of the dependencies are built for it.",
    "S1": "Only the functions reach the bucket, and API Gateway's access log has who asked for what.",
    "COG4": "Clients of the OpenAI API authenticate by bearer key: a Lambda authorizer looks it up.",
    "APIG2": "The handler checks every request, and answers in OpenAI's envelope, which API Gateway cannot.",
    "APIG3": "A web ACL is the operator's choice: web_acl_arn in cdk.json.",
    f"IAM4[Policy::{PUSH_LOGS}]": "AWS's own policy for API Gateway's account-wide setting of its log role.",
    "IAM5[Resource::*]": "X-Ray's segments and Lambda's network interfaces know no resource to name.",
}


def hold_to_aws_solutions(scope: IConstruct, stack: Stack, bucket: IConstruct) -> None:
    """Let synthesis fail at any finding but those that have a reason here."""
    Validations.of(scope).add_plugins(AwsSolutionsChecks(scope))
    name = stack.get_logical_id(bucket.node.default_child)  # type: ignore[arg-type]
    objects = {f"IAM5[Resource::<{name}.Arn>/{prefix}/*]": PREFIX for prefix in ("files", "work")}
    # `Validations.acknowledge` takes no id that holds "::" again, as those of single resources do.
    key = Validations.ACKNOWLEDGED_RULES_METADATA_KEY
    for rule, reason in (REASONS | objects).items():
        stack.node.add_metadata(key, {f"AwsSolutions::AwsSolutions-{rule}": reason})
