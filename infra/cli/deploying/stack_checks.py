"""Checks of a deployed stack: that it is whole, is this version, and answers."""

from collections.abc import Iterator
from typing import Any

import urllib3

from ...version import ROOT, checkout_version, package_version
from ..deployed_stack import BUCKET_OUTPUT, DeployedStack
from .account import Account
from .checkout import is_checkout
from .findings import Finding, ok, problem, warning
from .http_get import get, json_of

ENVELOPE = {"message", "type", "param", "code"}
WRONG_KEY = {"Authorization": "Bearer sk-nightlane-of-nobody"}
PROBE = "nightlane-doctor/no-such-object"


def judge_stack(stack: DeployedStack) -> Finding:
    """Whether the last deployment succeeded."""
    name, said = f"stack {stack.name}", f": {stack.reason}" if stack.reason else ""
    if stack.is_complete:
        return ok(name, stack.status)
    if stack.is_changing:
        return warning(name, f"{stack.status}: a deployment is running", "wait for it")
    remedy = "`nightlane deploy` tries again; the events in CloudFormation's console have the cause"
    if stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        remedy = "it was never complete, so it can only be deleted: `nightlane destroy`, then deploy again"
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        return warning(name, f"the last deployment failed, and the one before it serves{said}", remedy)
    return problem(name, f"{stack.status}{said}", remedy)


def judge_version(deployed: str | None) -> Finding:
    """Whether the stack has this code. Without a checkout, only the releases can be compared."""
    here = checkout_version() if is_checkout(ROOT) else package_version()
    shown = deployed if is_checkout(ROOT) or deployed is None else deployed.partition("+")[0]
    if deployed is None:
        return warning("version", f"the stack does not say; here is {here}", "run: nightlane deploy")
    if shown == here:
        return ok("version", deployed)
    return warning("version", f"the stack has {deployed}, and here is {here}", "run: nightlane deploy")


def check_api(base_url: str, *, is_private: bool, has_domain: bool) -> Iterator[Finding]:
    """Whether the URL answers as OpenAI's would to a client without a key, and to one with a wrong key."""
    url = f"{base_url}/models"
    try:
        without, wrong = get(url), get(url, WRONG_KEY)
    except urllib3.exceptions.HTTPError as error:
        what = f"{base_url} cannot be reached from here: {error}"
        if is_private:
            yield warning(
                "API", what, "it is private: run this where its VPC endpoint is, or pass --base-url"
            )
        else:
            yield problem("API", what, "create the alias record of the domain" if has_domain else "")
        return
    yield _judge_refusal("API", base_url, without, None, "without a key")
    yield _judge_refusal("authorizer", base_url, wrong, "invalid_api_key", "with an unknown key")


def check_presigned_url(account: Account, stack: DeployedStack) -> Iterator[Finding]:
    """Whether the bucket's host takes the signature of a URL that the functions make.

    Under the wrong host the bucket redirects, or refuses the signature.
    """
    name, url = "presigned URLs", account.presigned_url(stack.output(BUCKET_OUTPUT), PROBE)
    host = url.partition("?")[0].removesuffix(f"/{PROBE}")
    try:
        answer = get(url)
    except urllib3.exceptions.HTTPError as error:
        yield problem(name, f"{host} cannot be reached from here: {error}", "clients need a route to it")
        return
    text = answer.data.decode(errors="replace")
    # S3 returns 403 for what does not exist, to those who may not list the bucket.
    if answer.status == 404 or (answer.status == 403 and "<Code>AccessDenied" in text):
        yield ok(name, f"{host} takes the signature")
    else:
        yield problem(name, f"{host} answers {answer.status}: {text[:200]}")


def check_alarms(account: Account, stack: str) -> Iterator[Finding]:
    """The alarms that are going off."""
    alarms = account.alarms(stack)
    if not alarms:
        yield ok("alarms", "none")
    for name, description in alarms.items():
        section = name.removeprefix(f"{stack}-")
        yield warning(f"alarm {name}", description, f"see {section} in docs/operations.md")


def _judge_refusal(
    name: str, base_url: str, answer: urllib3.BaseHTTPResponse, code: str | None, how: str
) -> Finding:
    body = json_of(answer)
    error: Any = body.get("error") if isinstance(body, dict) else None
    is_envelope = isinstance(error, dict) and set(error) == ENVELOPE
    if answer.status == 401 and is_envelope and (code is None or error["code"] == code):
        return ok(name, f"{base_url} answers 401 {how}, in OpenAI's envelope")
    what = f"{base_url} answers {answer.status} {how}, and should answer 401 in OpenAI's envelope"
    return problem(name, what, "is this the URL of the stack?")
