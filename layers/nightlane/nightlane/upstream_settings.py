"""The settings of one upstream: an inference endpoint that the workers call."""

import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from nightlane.domain.active_hours import ActiveHours
from nightlane.domain.routing import first_unreachable

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
SECRET_NAME = re.compile(r"[\w/+=.@-]{1,512}", re.ASCII)
# Secrets Manager appends a hyphen and six random characters; the role is granted exactly this ARN.
SECRET_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@-]+-\w{6}", re.ASCII)
# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The worker and its HTTP client set these, and what they say must be true.
_OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "expect", "host", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
# Nothing that must be secret: a deployment's template shows all headers.
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
# Bedrock's hosts: https://docs.aws.amazon.com/general/latest/gr/bedrock.html
_AWS_REGION = re.compile(r"(?:^|\.)bedrock-(?:runtime|mantle)(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
PEM = "-----BEGIN CERTIFICATE-----"


def sendable_key(key: str) -> str:
    """Return a key without the newline at the end of files and secrets.

    Raises:
        ValueError: the key cannot be part of an HTTP header.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("a key must be printable ASCII characters on a single line")
    return key


def endpoint_url(url: str) -> str:
    """A base URL that requests can be sent to.

    Raises:
        ValueError: it is not an http or https URL, or holds a password, which would be logged with it.
    """
    url = url.strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("an endpoint is a URL such as https://host/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL must not contain credentials: set the endpoint's key in `auth` instead")
    if not url.isprintable() or " " in url:
        raise ValueError("the URL contains a space or a control character")
    return url


def _secret(secret: str) -> str:
    if SECRET_NAME.fullmatch(secret) or SECRET_ARN.fullmatch(secret):
        return secret
    raise ValueError(
        "this must be a secret's name, or its complete ARN (arn:aws:secretsmanager:…:secret:name-AbCdEf)"
    )


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if name.lower() in _OWN_HEADERS:
        raise ValueError(f"{name} cannot be set: every request has its own")
    return name


def _headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if _header_name(name).lower() in _KEY_HEADERS:
            raise ValueError(f"{name} cannot be set here: a key belongs in `auth`")
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            raise ValueError(f"the value of {name} must be printable ASCII characters on a single line")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is there twice: case does not matter in their names")
    return headers


def _certificates(ca: str) -> str:
    """Raises: ValueError, if it holds no certificates that OpenSSL can read."""
    try:
        trust_in(ca)
    except FileNotFoundError as error:
        raise ValueError(f"neither PEM text nor an existing file: {ca!r}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"no certificates in PEM form: {error}") from error
    return ca


def trust_in(ca: str) -> ssl.SSLContext:
    """Return a context that trusts only these certificates: PEM text, or the path of such a file.

    Raises:
        OSError: there is no such file, or it holds no certificates.
    """
    if PEM in ca:
        return ssl.create_default_context(cadata=ca)
    return ssl.create_default_context(cafile=Path(ca).expanduser())


def _active_hours(value: object) -> object:
    return ActiveHours.parse(value) if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
Secret = Annotated[str, AfterValidator(_secret)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
Headers = Annotated[Mapping[str, str], AfterValidator(_headers)]
Certificates = Annotated[str, AfterValidator(_certificates)]
Active = Annotated[
    ActiveHours, BeforeValidator(_active_hours), PlainSerializer(lambda hours: str(hours), return_type=str)
]


class Part(BaseModel):
    """A part of an upstream's settings; unknown names are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class AwsAuth(Part):
    """Requests are signed (SigV4) with the credentials of the worker's own role."""

    service: Literal["bedrock", "bedrock-mantle"]
    region: str = Field(default="", description="By default the one in the URL")
    resources: tuple[Text, ...] = Field(
        default=(), description="ARNs that the role may use, if not those of the upstream's models"
    )


class Auth(Part):
    """How requests are authenticated: by a key, or by AWS."""

    secret: Secret | None = Field(default=None, description="Name or ARN of the key in Secrets Manager")
    key: Annotated[Text, AfterValidator(sendable_key)] | None = Field(
        default=None, repr=False, description="The key itself; one machine only"
    )
    header: HeaderName | None = Field(
        default=None, description="Header that has the key, such as Azure's api-key; default: a bearer key"
    )
    aws: AwsAuth | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("secret", "key", "aws") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"set exactly one of secret, key and aws, not {' and '.join(ways) or 'none'}")
        if self.aws and self.header:
            raise ValueError("header is for a key: AWS's signature has its own headers")
        return self

    @property
    def secret_is_arn(self) -> bool:
        return self.secret is not None and self.secret.startswith("arn:")


class UpstreamSettings(Part):
    """An inference endpoint."""

    name: str = Field(default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    url: Annotated[str, AfterValidator(endpoint_url)] = Field(
        description="Base URL, with its /v1 and, if it needs one, a query"
    )
    models: tuple[Text, ...] = Field(
        default=("*",), min_length=1, description="Patterns of the models that it takes (`llama-*`)"
    )
    rewrite: Mapping[Text, Text] = Field(
        default_factory=dict, description="Other names of models → the endpoint's own"
    )
    max_concurrent_requests: int | None = Field(default=None, ge=1, le=10_000)
    auth: Auth | None = None
    headers: Headers = Field(default_factory=dict)
    query: Mapping[Text, str] = Field(default_factory=dict, description="Sent with every request")
    timeout_seconds: float | None = Field(
        default=None, gt=0, le=840, description="For one request; default: upstream_timeout_seconds"
    )
    ca: Certificates | None = Field(
        default=None, description="Certificates of a private CA: PEM text, or on one machine a file"
    )
    active: Active | None = Field(
        default=None, description="When it may be used (`22:00-06:00 Europe/Berlin`); default: always"
    )

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        url = urlsplit(self.url)
        if self.ca and url.scheme != "https":
            raise ValueError("ca: the URL is not https")
        if twice := self.query.keys() & dict(parse_qsl(url.query, keep_blank_values=True)).keys():
            raise ValueError(f"query: the URL sets {', '.join(sorted(twice))}, too")
        auth = self.auth
        if auth and auth.header and auth.header.lower() in {name.lower() for name in self.headers}:
            raise ValueError(f"headers: auth sets {auth.header}, too")
        if auth and auth.aws and not self.aws_region:
            raise ValueError("auth.aws.region: the URL does not name a region: set it")
        return self

    @property
    def aws_region(self) -> str:
        """The region that AWS requests are signed for; empty if it is unknown."""
        aws = self.auth.aws if self.auth else None
        found = _AWS_REGION.search(urlsplit(self.url).hostname or "")
        return (aws.region if aws else "") or (found[1] if found else "")


def check_upstreams(upstreams: Sequence[UpstreamSettings]) -> None:
    """Check what only all upstreams together show.

    Raises:
        ValueError: two have the same name, or one could never be used.
    """
    names = [each.name for each in upstreams]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{len(names)} upstreams, and more than one is named '{twice[0]}': set `name`")
    if unreachable := first_unreachable(upstreams):
        raise ValueError(
            f"{unreachable.name}: models: it would get no request, because earlier upstreams take all of them"
        )
