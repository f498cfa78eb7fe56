"""Only DynamoDB limits the size of an item."""

from nightlane.aws.clients import Clients
from nightlane.aws.table import DynamoBatches
from nightlane.aws.table.connection import encode
from nightlane.aws.table.items import batch_key, part_to_text
from nightlane.domain.shard import DoneLines, Part
from nightlane.settings import Settings
from tests.store.examples import begin, running


def test_the_largest_shard_has_room_for_one_part_per_line(
    table: tuple[Clients, str],
) -> None:
    clients, name = table
    store = DynamoBatches(clients.dynamodb, name)
    batch, max_lines = running(store), Settings().shard_max_lines
    key = f"work/{batch.id}/parts/00000/00001-%05d.jsonl"
    parts = tuple(Part(key % commit, max_lines - 1, max_lines - 1) for commit in range(max_lines))
    item = {
        "pk": batch_key(batch.id).pk,
        "sk": "SHARD#00000",
        "epoch": 1,
        "commits": max_lines,
        "done": bytes(DoneLines.of(max_lines, range(max_lines))),
        "parts": [part_to_text(part) for part in parts],
    }
    clients.dynamodb.put_item(TableName=name, Item=encode(item))
    assert begin(store, batch, 0).parts == parts
