"""API keys, on every store."""

from nightlane.domain.keys import ApiKey, digest
from nightlane.domain.stores import KeyStore


def test_a_key_keeps_its_first_tenant(keys: KeyStore) -> None:
    keys.create_key(ApiKey.of("sk-1", "acme", 1))
    keys.create_key(ApiKey.of("sk-1", "other", 2))
    assert (keys.tenant_of("sk-1"), keys.tenant_of("sk-2")) == ("acme", None)


def test_keys_are_listed_by_tenant_and_time_and_found_by_their_digits(keys: KeyStore) -> None:
    made = [ApiKey.of(f"sk-{number}", tenant, number) for number, tenant in enumerate(("b", "a", "b", "ab"))]
    for key in made:
        keys.create_key(key)
    assert list(keys.list_keys()) == [made[1], made[3], made[0], made[2]]
    assert list(keys.list_keys("a")) == [made[1]]
    assert list(keys.list_keys(digits=digest("sk-2")[:12])) == [made[2]]


def test_a_revoked_key_belongs_to_no_tenant(keys: KeyStore) -> None:
    key = ApiKey.of("sk-1", "acme", 1)
    keys.create_key(key)
    assert keys.revoke_key(key)
    assert not keys.revoke_key(key)
    assert keys.tenant_of("sk-1") is None
    assert list(keys.list_keys()) == []
