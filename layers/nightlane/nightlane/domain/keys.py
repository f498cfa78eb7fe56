"""API keys: how they are generated, and what is stored about them."""

import hashlib
import re
import secrets
from typing import Protocol

import msgspec
from msgspec.structs import replace

from nightlane.domain.quotas import NO_QUOTA, Quota

PREFIX = "sk-nightlane-"
RANDOM_BYTES = 32
ID_DIGITS = 12
MAX_NAME_LENGTH = 100
# The last four characters would reveal too much of a shorter key.
MIN_LENGTH_TO_SHOW_END = 16
# Neither slash nor number sign: a tenant becomes part of S3 keys and of sort keys in the table.
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a key; `created_at` in seconds since 1970."""

    sha256: str
    """Hash of the key, in hexadecimal. Random keys of 256 bits need no slow hash."""
    tenant: str
    name: str
    created_at: int
    ends_with: str
    """The key's last four characters; empty for a short key."""
    quota: Quota = NO_QUOTA
    """What its tenant may use, in place of the settings."""

    @property
    def id(self) -> str:
        """A short id for operators."""
        return self.sha256[:ID_DIGITS]

    @property
    def listed(self) -> str:
        """Sort key in the list of keys: by tenant, then by time."""
        return f"{self.tenant}#{self.created_at:010d}#{self.id}"

    @classmethod
    def of(cls, secret: str, tenant: str, created_at: int, name: str = "") -> "ApiKey":
        """Return the record of a given key."""
        return cls(
            sha256=digest(secret),
            tenant=tenant,
            name=name,
            created_at=created_at,
            ends_with=secret[-4:] if len(secret) >= MIN_LENGTH_TO_SHOW_END else "",
        )


def digest(secret: str) -> str:
    """Return the hash that a key is stored under."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(tenant: str, name: str, created_at: int, quota: Quota = NO_QUOTA) -> tuple[str, ApiKey]:
    """Return a new random key, to be shown once, and its record.

    Raises: ValueError, if the tenant or the name is invalid.
    """
    if not TENANT.fullmatch(tenant):
        message = "a tenant must be 1 to 64 characters of A-Z a-z 0-9 . _ - and begin with a letter or digit"
        raise ValueError(message)
    if not name.isprintable() or len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"a name must be at most {MAX_NAME_LENGTH} printable characters")
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return secret, replace(ApiKey.of(secret, tenant, created_at, name), quota=quota)


class Tenants(Protocol):
    """Looks up API keys."""

    def find_key(self, secret: str) -> ApiKey | None:
        """Return the record of a key; None if the key is unknown."""
