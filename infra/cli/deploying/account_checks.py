"""Checks of the account and the region, before anything is in them."""

from collections.abc import Iterator

import urllib3

from nightlane.settings import Settings

from ...deploy.deployment import Deployment
from ...resources import functions
from ..errors import CommandError
from .account import Account, Concurrency
from .findings import Finding, ok, problem, warning
from .http_get import get

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
MIN_UNRESERVED = 100
QUOTA_COMMAND = (
    "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384"
    " --desired-value"
)
# The rule CheckBootstrapVersion in the template refuses less.
MIN_BOOTSTRAP_VERSION = 6


def check_identity(account: Account) -> Finding:
    """Whether the credentials and the region work; without them, nothing else can be checked."""
    try:
        identity = account.identity()
    except CommandError as error:
        remedy = ""
        if "security token" in str(error):
            remedy = (
                f"sign in again; or {account.region} is not enabled in this account: "
                f"aws account enable-region --region-name {account.region}"
            )
        return problem("credentials", str(error), remedy)
    return ok("credentials", f"{identity.arn}, in {account.region}")


def check_concurrency(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Whether `infer` can reserve what it needs."""
    yield judge_concurrency(deployment, account.concurrency(), account.reserved_by(deployment.stack_name))


def judge_concurrency(deployment: Deployment, found: Concurrency, held: int) -> Finding:
    """Judge the account's concurrency; `held` is what the functions of this stack have reserved already."""
    name, settings = "Lambda concurrency", deployment.settings
    needed, free = reserved_concurrency(settings), max(0, found.unreserved + held - MIN_UNRESERVED)
    others = found.limit - found.unreserved - held
    if not deployment.reserve_concurrency:
        return _judge_unreserved(name, needed, found)
    if needed <= free:
        return ok(
            name, f"{needed} will be reserved for infer, {free} of the account's {found.limit} are free"
        )
    what = f"infer would reserve {needed}, but only {free} of the account's {found.limit} are free: "
    what += f"other functions reserve {others}, and " if others else ""
    what += f"Lambda keeps {MIN_UNRESERVED} unreserved"
    fitting = _batches_that_fit(settings, free)
    lower = (
        f"lower max_concurrent_batches from {settings.max_concurrent_batches} to {fitting}, "
        if fitting
        else ""
    )
    remedy = (
        f"in cdk.json {lower}{'or ' if lower else ''}set reserve_concurrency to false; or raise the quota: "
    )
    return problem(name, what, f"{remedy}{QUOTA_COMMAND} {needed + others + MIN_UNRESERVED}")


def reserved_concurrency(settings: Settings) -> int:
    """What all functions together reserve."""
    return sum(each.concurrency or 0 for each in functions(settings))


def check_bootstrap(account: Account) -> Iterator[Finding]:
    """Whether the CDK's own stack is in the account and region."""
    yield judge_bootstrap(account.bootstrap_version())


def judge_bootstrap(version: int | None) -> Finding:
    """Judge the version of the CDK's own stack."""
    name = "CDK bootstrap"
    if version is None:
        return warning(name, "missing; `nightlane deploy` asks to make it", "or run: make bootstrap")
    if version < MIN_BOOTSTRAP_VERSION:
        what = f"version {version}, and {MIN_BOOTSTRAP_VERSION} is required"
        return problem(name, what, "run: make bootstrap")
    return ok(name, f"version {version}")


def check_storage_host(account: Account) -> Iterator[Finding]:
    """Whether S3's host of the region, which presigned URLs name, can be reached from here.

    In a region that the account has to enable first, it is another one than the global `s3.amazonaws.com`.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    name, url = "S3 in the region", account.storage_url()
    try:
        status = get(f"{url}/").status
    except urllib3.exceptions.HTTPError as error:
        yield problem(
            name,
            f"{url} cannot be reached: {error}",
            "clients download large results from it, and `nightlane run` uploads to it: open a route to it",
        )
    else:
        # It redirects, or refuses, a request without a signature.
        yield ok(name, f"{url} answers") if status < 500 else warning(name, f"{url} answers {status}")


def _judge_unreserved(name: str, wanted: int, found: Concurrency) -> Finding:
    if wanted < found.unreserved:
        return ok(name, f"nothing is reserved; infer takes up to {wanted} of {found.unreserved}")
    return warning(
        name,
        f"nothing is reserved, and infer may take all {found.unreserved} that the account has: "
        "other functions, and the API, are then throttled",
        f"lower max_concurrent_batches, or raise the quota: {QUOTA_COMMAND} {wanted + MIN_UNRESERVED}",
    )


def _batches_that_fit(settings: Settings, free: int) -> int:
    """The largest `max_concurrent_batches` whose workers can be reserved; 0 if not even one fits."""
    for batches in range(settings.max_concurrent_batches, 0, -1):
        if reserved_concurrency(settings.model_copy(update={"max_concurrent_batches": batches})) <= free:
            return batches
    return 0
