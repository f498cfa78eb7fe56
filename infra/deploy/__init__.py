"""The CDK app's constructs, by concern; `stack` puts them together."""

import re


def camel_case(name: str) -> str:
    """`plan-dead` and `ACCESS_DENIED` as the CDK likes its names: PlanDead, AccessDenied."""
    return "".join(part.title() for part in re.split("[-_]", name))
