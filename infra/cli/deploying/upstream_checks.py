"""Checks of the upstreams and of the secrets with their keys, from the operator's machine."""

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from nightlane.domain.addresses import is_public
from nightlane.domain.errors import UpstreamError
from nightlane.domain.routing import takes
from nightlane.upstream.credentials import NO_KEY, Credentials, FixedKey
from nightlane.upstream.model_server import Answer, ModelServer
from nightlane.upstream.urls import proxy_of
from nightlane.upstream_settings import UpstreamSettings, sendable_key

from ...deploy.deployment import PLACEHOLDER_HOST
from ..errors import CommandError
from .account import Account, SecretMissing
from .findings import Finding, ok, problem, warning

SECRET_ARN_PLACE = re.compile(r"arn:[\w-]+:secretsmanager:([\w-]+):")
MODELS_SHOWN = 3
STARTING = (408, 425, 429, 500, 502, 503, 504, 529)


def check_upstream(upstream: UpstreamSettings, account: Account, *, in_vpc: bool) -> Iterator[Finding]:
    """Whether the key of an upstream can be read, and whether it lists its models."""
    if PLACEHOLDER_HOST in upstream.url:
        yield problem(
            _name(upstream),
            f"{upstream.url} is the placeholder",
            "set the url of your own inference endpoint in cdk.json",
        )
        return
    key = None
    if upstream.auth and upstream.auth.secret:
        found, key = read_key(upstream.auth.secret, account)
        yield found
        if key is None:
            return
    yield from check_endpoint(upstream, _credentials(upstream, account, key), in_vpc=in_vpc)


def read_key(secret: str, account: Account) -> tuple[Finding, str | None]:
    """Whether the functions can send what is in the secret. Returns the key, too, if it could be read."""
    name = f"secret {secret}"
    place = SECRET_ARN_PLACE.match(secret)
    if place and place[1] != account.region:
        return problem(name, f"it is in {place[1]}, and the stack in {account.region}", "copy it there"), None
    try:
        found = account.secret(secret)
    except SecretMissing:
        remedy = f'aws secretsmanager create-secret --name {secret} --secret-string "$KEY"'
        return problem(name, f"not found in {account.region}", "" if place else remedy), None
    except CommandError as error:
        return warning(name, f"could not be read from here: {error}", "the functions may still read it"), None
    if found.kms_key:
        what = f"it is encrypted with the KMS key {found.kms_key}, which the functions may not use"
        return problem(name, what, "encrypt it with aws/secretsmanager"), None
    return _judge_key(name, found.text)


def check_endpoint(
    upstream: UpstreamSettings, credentials: Credentials, *, in_vpc: bool
) -> Iterator[Finding]:
    """Ask an upstream for its list of models. `in_vpc`: the functions are attached to a network."""
    is_private = not proxy_of(upstream.url) and _is_private(urlsplit(upstream.url).hostname or "")
    try:
        answer = ModelServer(upstream, credentials).ask_list()
    except UpstreamError as error:
        yield _unreachable(upstream, error, is_private=is_private, in_vpc=in_vpc)
        return
    yield judge_answer(upstream, answer)
    if is_private and not in_vpc:
        yield warning(
            _name(upstream),
            "its address is not public: functions outside a VPC cannot connect to it, even though you can",
            "attach the functions to its network with `network` in cdk.json",
        )


def judge_answer(upstream: UpstreamSettings, answer: Answer) -> Finding:
    """Judge what an upstream answered to GET /models."""
    name, asked, auth = _name(upstream), f"{upstream.url} answers GET /models with", upstream.auth
    models = answer.models()
    if models is not None:
        return _judge_models(upstream, [each["id"] for each in models])
    if answer.status in (401, 403):
        if auth and auth.aws:
            what = f"{asked} {answer.status} to your credentials; the functions use a role of their own"
            return warning(name, what)
        remedy = (
            f"store its key: aws secretsmanager put-secret-value --secret-id {auth.secret} …" if auth else ""
        )
        return problem(
            name,
            f"{asked} {answer.status}: {'the key is refused' if auth else 'it needs a key'}",
            remedy or "store its key in Secrets Manager, and set auth.secret in cdk.json",
        )
    if answer.has_no_route:
        return warning(
            name,
            f"{asked} {answer.status}: it has no list of models, or the url is wrong",
            "an OpenAI-compatible endpoint usually has /v1 in its url",
        )
    if answer.status in STARTING:
        return warning(name, f"{asked} {answer.status}: is it starting? Batches wait until it is ready")
    if 300 <= answer.status < 400:
        return problem(
            name, f"{asked} a redirect ({answer.status}), which is not followed", "correct the url"
        )
    what = "something that is not a list of models" if answer.status == 200 else f"{answer.status}"
    return warning(name, f"{asked} {what}", "is the url that of an OpenAI-compatible endpoint?")


def _judge_models(upstream: UpstreamSettings, models: list[str]) -> Finding:
    taken = [each for each in models if takes(upstream, each) or each in upstream.rewrite.values()]
    shown = ", ".join((taken or models)[:MODELS_SHOWN])
    if not models:
        return warning(_name(upstream), f"{upstream.url} answers, but its list of models is empty")
    if not taken:
        what = f"{upstream.url} lists {shown}, and `models` matches none of its {len(models)} models"
        return warning(_name(upstream), what, "correct the patterns in cdk.json")
    more = f" and {len(taken) - MODELS_SHOWN} more" if len(taken) > MODELS_SHOWN else ""
    return ok(_name(upstream), f"{upstream.url} lists {shown}{more}")


def _unreachable(
    upstream: UpstreamSettings, error: UpstreamError, *, is_private: bool, in_vpc: bool
) -> Finding:
    what = f"{upstream.url} cannot be reached from here: {_cause(error)}"
    if in_vpc:
        return warning(_name(upstream), what, "the functions are in a VPC, and may reach it from there")
    if is_private:
        remedy = "functions cannot reach it without `network` in cdk.json: its address is not public"
        return problem(_name(upstream), what, remedy)
    return problem(_name(upstream), what, "does it run, and does its firewall allow connections from AWS?")


def _cause(error: UpstreamError) -> str:
    cause = error.__cause__
    # urllib3 wraps the reason in the number of its attempts.
    return str(getattr(cause, "reason", None) or cause or error)


def _judge_key(name: str, text: str | None) -> tuple[Finding, str | None]:
    remedy = "store the key itself: not JSON, not binary"
    if text is None:
        return problem(name, "it is binary", remedy), None
    if text.lstrip()[:1] in ("{", "["):
        return problem(name, "it is JSON, and the whole of it would be sent as the key", remedy), None
    try:
        key = sendable_key(text)
    except ValueError as error:
        return problem(name, str(error), remedy), None
    return (ok(name, "readable"), key) if key else (problem(name, "it is empty", remedy), None)


def _credentials(upstream: UpstreamSettings, account: Account, key: str | None) -> Credentials:
    auth = upstream.auth
    if auth and auth.aws:
        return Credentials(signer=account.signer(auth.aws.service, upstream.aws_region))
    return Credentials(FixedKey(key) if key else NO_KEY, auth.header if auth else None)


def _is_private(host: str) -> bool:
    """Whether a name resolves, and none of its addresses is public."""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and not any(is_public(each) for each in found)


def _name(upstream: UpstreamSettings) -> str:
    return f"endpoint {upstream.name}"
