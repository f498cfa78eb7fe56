"""All checks, before and after a deployment."""

from functools import partial

from ..deployed_stack import VERSION_OUTPUT, DeployedStack
from .account import Account
from .account_checks import check_bootstrap, check_concurrency, check_storage_host
from .checkout import Checkout
from .configuration import Configuration
from .findings import Check
from .stack_checks import check_alarms, check_api, check_presigned_url, judge_stack, judge_version
from .upstream_checks import check_upstream


def checks_before(
    account: Account, configuration: Configuration, checkout: Checkout | None
) -> dict[str, Check]:
    """What a deployment needs."""
    deployment = configuration.deployment
    in_vpc = deployment.network is not None
    tools: dict[str, Check] = {"CDK CLI": checkout.check_tools} if checkout else {}
    return tools | {
        "CDK bootstrap": partial(check_bootstrap, account),
        "Lambda concurrency": partial(check_concurrency, account, deployment),
        "S3 in the region": partial(check_storage_host, account),
        **{
            f"endpoint {each.name}": partial(check_upstream, each, account, in_vpc=in_vpc)
            for each in deployment.settings.upstreams
        },
    }


def checks_after(
    account: Account, stack: DeployedStack, base_url: str | None, configuration: Configuration | None
) -> dict[str, Check]:
    """What a deployed stack is checked for. `base_url` is None if the stack has no URL yet."""
    found: dict[str, Check] = {
        f"stack {stack.name}": lambda: [judge_stack(stack)],
        "version": lambda: [judge_version(stack.outputs.get(VERSION_OUTPUT))],
        "alarms": partial(check_alarms, account, stack.name),
    }
    if base_url:
        deployment = configuration.deployment if configuration else None
        is_private = bool(deployment and deployment.vpc_endpoint_ids)
        has_domain = bool(deployment and deployment.domain)
        found["API"] = partial(check_api, base_url, is_private=is_private, has_domain=has_domain)
        found["presigned URLs"] = partial(check_presigned_url, account, stack)
    return found
