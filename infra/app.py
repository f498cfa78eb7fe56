"""The CDK app: cdk.json names it. Synthesises offline, with no account and no look-up."""

import sys

from aws_cdk import App

from infra.deploy.deployment import BadContext, Deployment
from infra.deploy.layers import HOST, Platform, build
from infra.deploy.nag import hold_to_aws_solutions
from infra.deploy.stack import NightlaneStack


def main() -> None:
    """Synthesise the stack of cdk.json's context."""
    app = App()
    try:
        deployment = Deployment.from_context(app.node.try_get_context("nightlane"))
    except BadContext as error:
        sys.exit(f"cdk.json: {error}")
    # A rehearsal runs the functions on this machine's Python instead of Lambda's.
    here = app.node.try_get_context("wheels") == "host"
    code = build(HOST if here else Platform.of(deployment.architecture))
    print(code.sizes(), file=sys.stderr)
    stack = NightlaneStack(app, deployment=deployment, code=code)
    hold_to_aws_solutions(app, stack, stack.bucket)
    app.synth()


if __name__ == "__main__":
    main()
