"""A deployed stack, as CloudFormation describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from .errors import CommandError

URL_OUTPUT, TABLE_OUTPUT, BUCKET_OUTPUT, VERSION_OUTPUT = "ApiUrl", "TableName", "BucketName", "Version"


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html"""

    name: str
    status: str
    reason: str
    outputs: Mapping[str, str]
    is_protected: bool
    """Whether it cannot be deleted."""
    changed_at: datetime | None

    @property
    def is_complete(self) -> bool:
        """Whether it is the result of a deployment that succeeded."""
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    @property
    def is_changing(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and not self.is_empty

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it has been created yet."""
        return self.status == "REVIEW_IN_PROGRESS"

    def output(self, name: str) -> str:
        """Raises: CommandError: the stack has no such output."""
        value = self.outputs.get(name)
        if value is None:
            raise CommandError(
                f"the stack {self.name} has no output {name}: is it a fully deployed Nightlane stack?"
            )
        return value


def find_stack(cloudformation: Any, name: str) -> DeployedStack | None:
    """Return the stack; None if there is none. Raises: ClientError."""
    try:
        (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return None
    return DeployedStack(
        name=described["StackName"],
        status=described["StackStatus"],
        reason=described.get("StackStatusReason") or "",
        outputs={each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", ())},
        is_protected=bool(described.get("EnableTerminationProtection")),
        changed_at=described.get("LastUpdatedTime") or described.get("CreationTime"),
    )
