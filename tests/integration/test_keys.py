"""API keys from creation to revocation, on moto and with the real authorizer."""

import hashlib
from collections.abc import Iterator

import pytest

from infra.home.events import authorizer_event
from nightlane.aws.table.keys import DynamoKeys
from nightlane.domain.keys import ApiKey, issue
from nightlane.settings import Settings
from tests.world import World, moto_world

NOW = 1_800_000_000


@pytest.fixture
def nightlane() -> Iterator[World]:
    with moto_world(Settings()) as world:
        yield world


@pytest.fixture
def keys(nightlane: World) -> DynamoKeys:
    return DynamoKeys(nightlane.clients.dynamodb, nightlane.ports.settings.table_name)


def authorize(nightlane: World, secret: str) -> tuple[str, dict[str, str]]:
    """Return the authorizer's decision on a key: the effect, and the context for API Gateway."""
    policy = nightlane.invoke("authorize", authorizer_event(f"Bearer {secret}", "GET", "/batches"))
    return policy["policyDocument"]["Statement"][0]["Effect"], policy["context"]


def create(keys: DynamoKeys, tenant: str, name: str = "", at: int = NOW) -> tuple[str, ApiKey]:
    secret, key = issue(tenant, name, at)
    keys.create_key(key)
    return secret, key


def test_a_key_authenticates_its_tenant_until_it_is_revoked(nightlane: World, keys: DynamoKeys) -> None:
    secret, key = create(keys, "acme", "ci")
    assert authorize(nightlane, secret) == ("Allow", {"tenant": "acme"})
    assert list(keys.list_keys()) == [key]
    assert keys.revoke_key(key)
    assert list(keys.list_keys()) == []
    assert authorize(nightlane, secret) == (
        "Deny",
        {
            "message": f"Incorrect API key provided: sk-****{secret[-4:]}. "
            "Create one with `nightlane keys create`."
        },
    )


def test_the_table_does_not_contain_the_key_itself(nightlane: World, keys: DynamoKeys) -> None:
    secret, key = create(keys, "acme", "ci")
    keys.put_key("sk-1", "acme")
    stored = nightlane.clients.dynamodb.scan(TableName=nightlane.ports.settings.table_name)["Items"]
    assert len(stored) == 2
    assert secret.removeprefix("sk-nightlane-")[:8] not in str(stored)
    assert "sk-1" not in str(stored)
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert key.sha256 in str(stored)


def test_a_key_is_43_random_url_safe_characters() -> None:
    secrets = {issue("acme", "", NOW)[0] for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        random = secret.removeprefix("sk-nightlane-")
        assert len(random) == 43
        assert random.replace("-", "").replace("_", "").isalnum()


def test_keys_are_listed_by_tenant_and_time_or_for_one_tenant(keys: DynamoKeys) -> None:
    beta = create(keys, "beta")[1]
    newer = create(keys, "acme", at=NOW + 1)[1]
    older = create(keys, "acme")[1]
    # Its name begins with that of another tenant.
    longer = create(keys, "acme-2")[1]
    assert list(keys.list_keys()) == [older, newer, longer, beta]
    assert list(keys.list_keys("acme")) == [older, newer]
    assert list(keys.list_keys("nobody")) == []


def test_a_long_list_is_complete_and_needs_no_scan(nightlane: World, keys: DynamoKeys) -> None:
    made = [create(keys, "acme", at=NOW + number)[1] for number in range(120)]
    calls: list[str] = []
    nightlane.clients.dynamodb.meta.events.register(
        "before-call.dynamodb", lambda model, **_: calls.append(model.name)
    )
    assert list(keys.list_keys()) == made
    assert calls == ["Query", "BatchGetItem", "BatchGetItem"]
    calls.clear()
    assert list(keys.list_keys(digits=made[7].id)) == [made[7]]
    assert calls == ["Query", "BatchGetItem"]
    calls.clear()
    assert keys.revoke_key(made[7])
    assert calls == ["TransactWriteItems"]


def test_the_authorizer_reads_one_item(nightlane: World, keys: DynamoKeys) -> None:
    secret, _ = create(keys, "acme")
    calls: list[str] = []
    nightlane.clients.dynamodb.meta.events.register(
        "before-call.dynamodb", lambda model, **_: calls.append(model.name)
    )
    authorize(nightlane, secret)
    authorize(nightlane, "sk-unknown")
    assert calls == ["GetItem", "GetItem"]


def test_revoking_a_key_twice_returns_false(keys: DynamoKeys) -> None:
    _, key = create(keys, "acme")
    assert [keys.revoke_key(key), keys.revoke_key(key)] == [True, False]


def test_a_tenant_named_like_the_list_of_keys_is_separate_from_it(nightlane: World, keys: DynamoKeys) -> None:
    secret, key = create(keys, "KEYS")
    file_id = nightlane.upload(b"{}\n", tenant="KEYS")
    status, files = nightlane.call("GET", "/files", tenant="KEYS")
    assert (status, [each["id"] for each in files["data"]]) == (200, [file_id])
    assert list(keys.list_keys()) == [key]
    assert authorize(nightlane, secret) == ("Allow", {"tenant": "KEYS"})


def test_a_key_chosen_by_the_operator_is_accepted_and_listed(nightlane: World, keys: DynamoKeys) -> None:
    keys.put_key("sk-acme-0123456789abcdef", "acme")
    keys.put_key("sk-acme-0123456789abcdef", "other")
    assert authorize(nightlane, "sk-acme-0123456789abcdef") == ("Allow", {"tenant": "acme"})
    (listed,) = keys.list_keys()
    assert (listed.tenant, listed.name, listed.ends_with) == ("acme", "", "cdef")


@pytest.mark.parametrize("tenant", ["", "a/b", "a#b", "..", "-a", "a b", "a\n", "é", "a" * 65])
def test_a_tenant_that_cannot_be_part_of_a_storage_key_is_invalid(tenant: str) -> None:
    with pytest.raises(ValueError, match="a tenant must be 1 to 64"):
        issue(tenant, "", NOW)


@pytest.mark.parametrize("name", ["\x1b[31m", "a\nb", "n" * 101])
def test_a_name_that_would_break_the_listing_is_invalid(name: str) -> None:
    with pytest.raises(ValueError, match="a name must be at most 100 printable"):
        issue("acme", name, NOW)
