"""What the checks read from the operator's AWS account. Each method raises CommandError if AWS refuses."""

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, NoRegionError

from nightlane.aws.clients import Clients
from nightlane.aws.signing import SigV4Signer

from ..aws_session import aws_errors, client_of, clients_of, code_of, operator_session, valid_endpoint
from ..deployed_stack import DeployedStack, find_stack
from ..errors import CommandError

if TYPE_CHECKING:
    import boto3

# Of the CDK's default qualifier: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
AWS_MANAGED_KEY = "alias/aws/secretsmanager"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials belong to."""

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The concurrent executions of the account in its region, and those that no function has reserved."""

    limit: int
    unreserved: int


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret; `text` is None if it is binary, `kms_key` if it is encrypted with AWS's own key."""

    text: str | None
    kms_key: str | None


class SecretMissing(Exception):
    """There is no secret of this name, or it has no value."""


class Account:
    """The account and region of the environment's credentials."""

    def __init__(self, session: "boto3.Session | None" = None) -> None:
        with aws_errors():
            self._session = session or operator_session()
            if self._session.region_name is None:
                raise NoRegionError
        self.region: str = self._session.region_name
        self._made: dict[str, Any] = {}
        # boto3 does not promise that a session may create two clients at once.
        self._lock = threading.Lock()

    @cached_property
    def clients(self) -> Clients:
        """The clients of the stores."""
        return clients_of(self._session)

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._made:
                self._made[service] = client_of(self._session, service)
            return self._made[service]

    def identity(self) -> Identity:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
        with aws_errors():
            answer = self.client("sts").get_caller_identity()
        return Identity(answer["Account"], answer["Arn"])

    def concurrency(self) -> Concurrency:
        """https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html"""
        with aws_errors():
            limits = self.client("lambda").get_account_settings()["AccountLimit"]
        return Concurrency(limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"])

    def reserved_by(self, stack: str) -> int:
        """The concurrent executions that the functions of a stack have reserved; 0 if there is no stack."""
        names = [name for name in self.resources(stack, "AWS::Lambda::Function").values() if name]
        with aws_errors():
            answers = [self.client("lambda").get_function_concurrency(FunctionName=name) for name in names]
        return sum(each.get("ReservedConcurrentExecutions", 0) for each in answers)

    def bootstrap_version(self) -> int | None:
        """The version of the CDK's bootstrap stack; None if there is none."""
        try:
            with aws_errors():
                answer = self.client("ssm").get_parameter(Name=BOOTSTRAP_PARAMETER)
        except CommandError as error:
            if code_of(error.__cause__) == "ParameterNotFound":
                return None
            raise
        return int(answer["Parameter"]["Value"])

    def secret(self, name: str) -> Secret:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html

        Raises: SecretMissing
        """
        client = self.client("secretsmanager")
        with aws_errors(), valid_endpoint():
            try:
                described = client.describe_secret(SecretId=name)
                value = client.get_secret_value(SecretId=name)
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    raise SecretMissing(name) from error
                raise
        key = described.get("KmsKeyId")
        return Secret(value.get("SecretString"), None if key in (None, AWS_MANAGED_KEY) else key)

    def signer(self, service: str, region: str) -> SigV4Signer:
        """Signs requests to an upstream, with the operator's credentials."""
        return SigV4Signer(self.clients, service, region)

    def storage_url(self) -> str:
        """The address of S3 in the region, as the functions use it."""
        with valid_endpoint():
            return str(self.clients.s3.meta.endpoint_url)

    def presigned_url(self, bucket: str, key: str) -> str:
        """A URL as the functions make it for a large result."""
        with aws_errors(), valid_endpoint():
            return self.clients.s3.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60
            )

    def stack(self, name: str) -> DeployedStack | None:
        """Return the stack; None if there is none."""
        with aws_errors():
            return find_stack(self.client("cloudformation"), name)

    def resources(self, stack: str, kind: str) -> dict[str, str]:
        """The physical ids of a stack's resources by logical id; empty if there is no stack."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        try:
            with aws_errors():
                listed = [
                    each
                    for page in pages.paginate(StackName=stack)
                    for each in page["StackResourceSummaries"]
                ]
        except CommandError as error:
            if "does not exist" in str(error.__cause__):
                return {}
            raise
        return {
            each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
            for each in listed
            if each["ResourceType"] == kind and each["ResourceStatus"] != "DELETE_COMPLETE"
        }

    def alarms(self, stack: str) -> dict[str, str]:
        """The alarms of a stack that are in the state ALARM: their descriptions by name."""
        pages = self.client("cloudwatch").get_paginator("describe_alarms")
        with aws_errors():
            found = [
                each
                for page in pages.paginate(
                    AlarmNamePrefix=f"{stack}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
                )
                for each in page.get("MetricAlarms", []) + page.get("CompositeAlarms", [])
                if each["StateValue"] == "ALARM"
            ]
        return {each["AlarmName"]: each.get("AlarmDescription", "") for each in found}
