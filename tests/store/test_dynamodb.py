"""Only DynamoDB limits the size of an item."""

from nightlane.aws.clients import Clients
from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.connection import encode
from nightlane.aws.table.items import batch_key, part_to_text
from nightlane.domain.shard import DoneLines, Part, Sample
from nightlane.settings import Settings
from tests.store.examples import begin, running


def test_the_largest_shard_has_room_for_one_part_per_line(
    table: tuple[Clients, str],
) -> None:
    clients, name = table
    store = DynamoBatches(clients.dynamodb, name)
    batch, max_lines = running(store), Settings().shard_max_lines
    key = f"work/{batch.id}/parts/00000/00001-%05d.jsonl"
    sample = Sample(2**32, 86_400, max_lines, max_lines, 10**6, 10**9)
    parts = tuple(Part(key % commit, max_lines - 1, max_lines - 1, sample) for commit in range(max_lines))
    item = {
        "pk": batch_key(batch.id).pk,
        "sk": "SHARD#00000",
        "epoch": 1,
        "commits": max_lines,
        "done": bytes(DoneLines.of(max_lines, range(max_lines))),
        "parts": [part_to_text(batch.id, 0, part) for part in parts],
    }
    clients.dynamodb.put_item(TableName=name, Item=encode(item))
    assert begin(store, batch, 0).parts == parts


def test_parts_that_an_earlier_version_stored_are_read(table: tuple[Clients, str]) -> None:
    clients, name = table
    store = DynamoBatches(clients.dynamodb, name)
    batch = running(store)
    key = f"work/{batch.id}/parts/00000/00001-00000.jsonl"
    item = {"pk": batch_key(batch.id).pk, "sk": "SHARD#00000", "epoch": 1, "parts": [f"0:2:{key}"]}
    clients.dynamodb.put_item(TableName=name, Item=encode(item))
    assert store.get_shard(batch.id, 0).parts == (Part(key, 0, 2),)
