"""Inputs and results in the team's own buckets: `input_file_id` and `output_prefix` as s3:// URLs.

An extension: OpenAI has only files.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from nightlane.domain.errors import BadRequest
from nightlane.s3_settings import S3InputSettings, S3OutputSettings, S3Prefix

SCHEME = "s3://"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1_024
# The scheme, a bucket of 63 characters, a slash and a key.
MAX_URL_CHARACTERS = 5 + 63 + 1 + MAX_KEY_BYTES
# Names that are appended to `output_prefix`.
MAX_NAME_BYTES = 100
_LOCATION = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)")


class LocationUnavailable(Exception):
    """S3 refuses to read or write a location, or there is no object; the message says what S3 returned."""


class S3Location(msgspec.Struct, frozen=True):
    """An object in S3."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


class S3Objects(Protocol):
    """Objects outside the bucket of Nightlane. Each method raises LocationUnavailable."""

    def size(self, source: S3Location) -> int:
        """Return the size of an object in bytes."""

    def copy_in(self, source: S3Location, key: str) -> None:
        """Copy an object to a key of Nightlane's own bucket."""

    def copy_out(self, key: str, target: S3Location) -> None:
        """Copy an object of Nightlane's own bucket to a location."""


def is_s3_url(text: str) -> bool:
    return text.startswith(SCHEME)


def find_input(settings: S3InputSettings, tenant: str, url: str) -> S3Location | None:
    """Return the location of an input; None if the tenant may not read it, or it is not one."""
    return None if url.endswith("/") else _find(settings.s3_inputs, tenant, url)


def find_output(settings: S3OutputSettings, tenant: str, prefix: str, name: str) -> S3Location | None:
    """Return the location of a result file; None if the tenant may not write below the prefix."""
    return _find(settings.s3_outputs, tenant, prefix + name) if prefix.endswith("/") else None


def _find(allowed: Sequence[S3Prefix], tenant: str, url: str) -> S3Location | None:
    match = _LOCATION.fullmatch(url)
    if match is None or not _is_plain(match[2]):
        return None
    is_allowed = any(each.covers(url, tenant) for each in allowed)
    return S3Location(match[1], match[2]) if is_allowed else None


def _is_plain(key: str) -> bool:
    """Whether every program takes the key for the same path."""
    return (
        key.isprintable()
        and len(key.encode(errors="replace")) <= MAX_KEY_BYTES
        and not {"", ".", ".."}.intersection(key.split("/"))
        and "\\" not in key
    )


def check_input_url(settings: S3InputSettings, tenant: str, url: str) -> None:
    """Refuse an input that the tenant may not read. Raises: BadRequest."""
    if is_s3_url(url) and find_input(settings, tenant, url) is None:
        raise _not_allowed("input_file_id", url, settings.s3_inputs, tenant)


def check_output_prefix(settings: S3OutputSettings, tenant: str, prefix: str | None) -> None:
    """Refuse a prefix that the tenant may not write to. Raises: BadRequest."""
    if prefix is not None and find_output(settings, tenant, prefix, "x" * MAX_NAME_BYTES) is None:
        raise _not_allowed("output_prefix", prefix, settings.s3_outputs, tenant)


def _not_allowed(param: str, url: str, allowed: Sequence[S3Prefix], tenant: str) -> BadRequest:
    prefixes = [each.prefix for each in allowed if each.covers(each.prefix, tenant)]
    places = f"below one of: {', '.join(prefixes)}" if prefixes else "allowed: the operator has set no prefix"
    rule = "an object" if param == "input_file_id" else "a prefix that ends with '/',"
    message = f"Invalid '{param}': '{url[:200]}' is not {rule} {places}. (invalid_value for {param})"
    return BadRequest(message, code="invalid_value", param=param)
