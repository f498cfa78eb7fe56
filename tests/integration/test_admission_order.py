"""Which of several waiting batches runs next, through the whole system."""

import pytest

from nightlane.aws.table.connection import encode
from nightlane.domain.batch import BatchStatus
from tests.world import World, requests


def create(nightlane: World, tenant: str, window: str = "24h") -> str:
    file_id = nightlane.upload(requests(2), tenant)
    batch_id = nightlane.create(file_id, tenant=tenant, window=window)
    assert nightlane.deliver("plan")
    return batch_id


def run_to_the_end(nightlane: World, batches: list[str]) -> list[str]:
    """Run everything, and return the batches in the order in which they ended."""
    nightlane.run()
    assert {nightlane.batch(each).status for each in batches} == {BatchStatus.COMPLETED}
    assert nightlane.ports.batches.slots().running == {}
    assert list(nightlane.ports.batches.waiting_batches()) == []
    ended = [key.split('"')[3] for key in nightlane.deliveries if key.startswith("assemble")]
    return list(dict.fromkeys(ended))


@pytest.mark.parametrize("slots", [1, 2])
def test_a_tenant_with_many_batches_does_not_delay_one_with_a_single_batch(
    nightlane: World, slots: int
) -> None:
    nightlane.ports.settings.__dict__["max_concurrent_batches"] = slots
    many = [create(nightlane, "greedy") for _ in range(6)]
    single = create(nightlane, "modest")
    assert nightlane.batch(single).is_waiting
    ended = run_to_the_end(nightlane, [*many, single])
    # Only the batches that were running already, and one that ends while it is running, come before it.
    assert ended.index(single) <= slots + 1
    assert [each for each in ended if each != single] == many


def test_a_tenants_batch_with_the_earliest_deadline_runs_first(nightlane: World) -> None:
    running = create(nightlane, "acme")
    week, day, hour = (create(nightlane, "acme", window) for window in ("7d", "24h", "1h"))
    assert run_to_the_end(nightlane, [running, week, day, hour]) == [running, hour, day, week]


def test_batches_that_an_earlier_version_admitted_or_left_waiting_go_on(nightlane: World) -> None:
    running, old, new = (create(nightlane, "acme") for _ in range(3))
    # That version wrote only the key of an entry, and only the ids of admitted batches.
    dynamodb, table = nightlane.clients.dynamodb, nightlane.ports.settings.table_name
    entry = encode({"pk": "WAITING", "sk": nightlane.batch(old).listed})
    dynamodb.put_item(TableName=table, Item=entry)
    admission = {"pk": "ADMISSION", "sk": "ADMISSION", "running": {running}}
    dynamodb.put_item(TableName=table, Item=encode(admission))
    assert nightlane.ports.batches.slots().running == {running: ""}
    assert run_to_the_end(nightlane, [running, old, new]) == [running, old, new]


def test_a_batch_that_an_earlier_version_ends_frees_its_slot(nightlane: World) -> None:
    first, second = create(nightlane, "acme"), create(nightlane, "acme")
    nightlane.clients.dynamodb.update_item(
        TableName=nightlane.ports.settings.table_name,
        Key=encode({"pk": "ADMISSION", "sk": "ADMISSION"}),
        UpdateExpression="DELETE running :id",
        ExpressionAttributeValues=encode({":id": {first}}),
    )
    assert nightlane.ports.batches.slots().running == {}
    nightlane.sweep()
    assert nightlane.ports.batches.slots().running == {second: "acme"}
    run_to_the_end(nightlane, [first, second])
