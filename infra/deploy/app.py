"""The CDK app that cdk.json starts. It synthesises offline: no account, no context lookups."""

import sys

from aws_cdk import App

from .deployment import BadContext, Deployment
from .layers import HOST, Platform, build
from .nag import enforce_aws_solutions
from .stack import NightlaneStack


def main() -> None:
    """Synthesise the stack described by the context in cdk.json."""
    app = App()
    try:
        deployment = Deployment.from_context(app.node.try_get_context("nightlane"))
    except BadContext as error:
        sys.exit(f"cdk.json: {error}")
    # The rehearsal's emulator runs the functions on this machine's Python instead of Lambda's.
    for_host = app.node.try_get_context("wheels") == "host"
    platform = HOST if for_host else Platform.of(deployment.architecture)
    code = build(platform)
    print(code.sizes(), file=sys.stderr)
    if platform.compiler is None:
        print(
            f"without bytecode, which takes each cold start about 0.5 s: install Python {platform.python}",
            file=sys.stderr,
        )
    stack = NightlaneStack(app, deployment=deployment, code=code)
    enforce_aws_solutions(app, stack, stack.bucket, stack.model_arns, stack.location_arns)
    app.synth()


if __name__ == "__main__":
    main()
