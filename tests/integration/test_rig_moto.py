"""The rig's changes to moto."""

import subprocess
import sys

CODE = """
import gc
import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table
from tests.rig.moto import limit_memory
from tests.rig.provision import create_table
from nightlane.aws.clients import Clients
from nightlane.aws.table.connection import Connection, Key, TransactionRefused, delete, put, update

CHANGE = "SET #list = list_append(#list, :more) ADD #count :one"
limit_memory()
with mock_aws():
    clients = Clients(boto3.Session("testing", "testing", region_name="us-east-1"))
    create_table(clients, "table")
    table = Connection(clients.dynamodb, "table")
    keys = {name: Key("PARTITION", name) for name in ("updated", "replaced", "deleted", "new", "guard")}
    for name in ("updated", "replaced", "deleted"):
        table.insert({"pk": "PARTITION", "sk": name, "count": 1, "list": ["a"]})

    def transact(condition):
        table.transact([
            ("Update", update(keys["updated"], CHANGE, {"more": ["b"], "one": 1})),
            ("Put", put({"pk": "PARTITION", "sk": "replaced", "count": 2})),
            ("Delete", delete(keys["deleted"])),
            ("Put", put({"pk": "OTHER", "sk": "new"})),
            ("Update", update(keys["guard"], "SET #count = :one", {"one": 1}, condition)),
        ])

    before = [table.get(key) for key in keys.values()]
    with pytest.raises(TransactionRefused) as refusal:
        transact("attribute_exists(#count)")
    assert refusal.value.failed == {4}
    assert [table.get(key) for key in keys.values()] == before
    assert table.get(Key("OTHER", "new")) is None
    transact("attribute_not_exists(#count)")
    assert table.get(keys["updated"])["list"] == ["a", "b"]
    assert table.get(keys["deleted"]) is None
    assert table.get(Key("OTHER", "new")) is not None
    for number in range(20):
        table.transact([("Update", update(keys["guard"], "SET #count = :number", {"number": number}))])
    gc.collect()
    kept = [type(each) for each in gc.get_objects()]
    assert kept.count(Table) == 1, kept.count(Table)
    assert kept.count(Item) == 4, kept.count(Item)
"""


def test_memory_does_not_grow_with_transactions_and_a_refused_one_changes_nothing() -> None:
    # In a separate process, because the changes to moto are permanent.
    subprocess.run([sys.executable, "-c", CODE], check=True)
