"""Gives upstreams their keys on one machine, where they are not in Secrets Manager."""

import re
from collections.abc import Iterator, Mapping, Sequence

from nightlane.settings_group import PREFIX
from nightlane.upstream_settings import Auth, UpstreamSettings, sendable_key

from .errors import InvalidSettings

Upstreams = tuple[UpstreamSettings, ...]


def with_keys(upstreams: Upstreams, variables: Mapping[str, str], options: Sequence[str]) -> Upstreams:
    """Return the upstreams with their keys.

    Args:
        variables: by what follows `NIGHTLANE_UPSTREAM_KEY_`: the name of an upstream; empty for the only one.
        options: KEY or NAME=KEY, which take precedence.

    Raises:
        InvalidSettings: a key is for no upstream, or cannot be sent, or an upstream's key is missing.
    """
    keys = dict(_from_variables(upstreams, variables)) | dict(_from_options(upstreams, options))
    return tuple(_with_key(each, keys.get(each.name)) for each in upstreams)


def variable_of(name: str) -> str:
    """The environment variable for the key of an upstream."""
    return f"{PREFIX}UPSTREAM_KEY_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}"


def _from_variables(upstreams: Upstreams, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for suffix, key in variables.items():
        if not suffix:
            yield _only(upstreams, f"{PREFIX}UPSTREAM_KEY"), key
            continue
        variable = f"{PREFIX}UPSTREAM_KEY_{suffix}"
        names = [each.name for each in upstreams if variable_of(each.name) == variable]
        if len(names) != 1:
            raise InvalidSettings(f"{variable} is for {len(names)} of the upstreams{_listed(upstreams)}")
        yield names[0], key


def _from_options(upstreams: Upstreams, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in options:
        name, separator, key = text.partition("=")
        # A key may contain an equals sign, too.
        if separator and name in {each.name for each in upstreams}:
            yield name, key
        else:
            yield _only(upstreams, "--upstream-key"), text


def _only(upstreams: Upstreams, source: str) -> str:
    if len(upstreams) == 1:
        return upstreams[0].name
    raise InvalidSettings(f"{source}: the key is for which of the upstreams{_listed(upstreams)}? Name one")


def _listed(upstreams: Upstreams) -> str:
    return f" ({', '.join(each.name for each in upstreams)})"


def _with_key(upstream: UpstreamSettings, key: str | None) -> UpstreamSettings:
    auth = upstream.auth
    where = f"upstreams.{upstream.name}.auth"
    if key:
        if auth and auth.aws:
            raise InvalidSettings(f"{where}: aws and a key")
        try:
            made = Auth(key=sendable_key(key), header=auth.header if auth else None)
        except ValueError as error:
            # Without the key, which pydantic's own message would show.
            raise InvalidSettings(f"{where}.key: a key must be printable ASCII on a single line") from error
        return upstream.model_copy(update={"auth": made})
    if auth and auth.secret:
        raise InvalidSettings(
            f"{where}: the key is in the AWS secret '{auth.secret}': pass --upstream-key {upstream.name}=KEY "
            f"or set {variable_of(upstream.name)}"
        )
    return upstream
