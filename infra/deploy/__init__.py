"""The CDK app's constructs, by concern; `stack` combines them."""

import re


def camel_case(name: str) -> str:
    """A CDK construct id: InferDead for `infer-dead`, AccessDenied for `ACCESS_DENIED`."""
    return "".join(part.title() for part in re.split("[-_]", name))
