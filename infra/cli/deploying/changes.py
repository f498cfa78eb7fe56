"""What a deployment would change, read from `cdk diff`."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Self

RESOURCE = re.compile(r"\[(?P<sign>[+~-])\] (?P<kind>\w+::\S+) (?P<path>\S+)(?P<rest>.*)")
STATEMENTS = "IAM Statement Changes"
# Of the sections after the tables of IAM.
SECTION = re.compile(r"(Parameters|Conditions|Resources|Outputs|Mappings|Metadata|Other Changes)$")
# The data is in these: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
WITH_DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")
NUMBERS = {"+": "new", "~": "changed", "-": "removed"}


@dataclass(frozen=True, slots=True)
class Changes:
    """Resources by sign (`+`, `~`, `-`), those that are replaced, and the tables of permissions."""

    counts: Counter[str]
    replaced: tuple[str, ...]
    losing_data: tuple[str, ...]
    """The resources with data that are replaced or removed."""
    permissions: str

    @classmethod
    def read(cls, diff: str) -> Self:
        """Read the output of `cdk diff`."""
        found = [each for line in diff.splitlines() if (each := RESOURCE.match(line))]
        replaced = [each for each in found if "replace" in each["rest"]]
        losing = [
            each for each in found if each["kind"] in WITH_DATA and (each["sign"] == "-" or each in replaced)
        ]
        return cls(
            Counter(each["sign"] for each in found),
            tuple(f"{each['kind']} {each['path']}" for each in replaced),
            tuple(f"{each['kind']} {each['path']}" for each in losing),
            _permissions(diff),
        )

    @property
    def summary(self) -> str:
        """Such as `3 new, 12 changed resources`."""
        parts = [f"{self.counts[sign]} {word}" for sign, word in NUMBERS.items() if self.counts[sign]]
        return f"{', '.join(parts)} resources" if parts else "no resource changes"


def _permissions(diff: str) -> str:
    """The tables of changed permissions, as the CDK draws them."""
    lines = diff.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith(STATEMENTS)), None)
    if start is None:
        return ""
    ends = (number for number, line in enumerate(lines) if number > start and SECTION.match(line))
    return "\n".join(lines[start : next(ends, len(lines))]).strip()
