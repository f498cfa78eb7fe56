"""API keys: how they are made, and what is kept of them."""

import hashlib
import re
import secrets
from dataclasses import dataclass

PREFIX = "sk-nightlane-"
RANDOM_BYTES = 32
ID_DIGITS = 12
LONGEST_NAME = 100
# Four characters of a shorter key would give too much of it away.
SHORTEST_SHOWN = 16
# A tenant becomes part of S3 keys and of the table's sort keys: no slash, no number sign.
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of a key; `created_at` in seconds since 1970."""

    sha256: str
    """Of the key, in hexadecimal: random keys of 256 bits need no slow hash."""
    tenant: str
    name: str
    created_at: int
    ends_with: str
    """Its last four characters, empty for a short key."""

    @property
    def id(self) -> str:
        """What an operator calls the key by."""
        return self.sha256[:ID_DIGITS]

    @property
    def listed(self) -> str:
        """Sort key of the list of keys: by tenant, then by time."""
        return f"{self.tenant}#{self.created_at:010d}#{self.id}"

    @classmethod
    def of(cls, secret: str, tenant: str, created_at: int, name: str = "") -> "ApiKey":
        """The record of a key somebody chose."""
        return cls(
            sha256=digest(secret),
            tenant=tenant,
            name=name,
            created_at=created_at,
            ends_with=secret[-4:] if len(secret) >= SHORTEST_SHOWN else "",
        )


def digest(secret: str) -> str:
    """By which a key is found again."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(tenant: str, name: str, created_at: int) -> tuple[str, ApiKey]:
    """A new random key, to be shown once, and its record.

    Raises: ValueError, if the tenant or the name is none.
    """
    if not TENANT.fullmatch(tenant):
        raise ValueError("a tenant is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit")
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError(f"a name is at most {LONGEST_NAME} printable characters")
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return secret, ApiKey.of(secret, tenant, created_at, name)
