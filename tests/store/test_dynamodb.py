"""What only DynamoDB has: a largest item."""

from nightlane.aws.clients import Clients
from nightlane.aws.table import DynamoBatches
from nightlane.aws.table.connection import encode
from nightlane.aws.table.items import batch_key, part_to_text
from nightlane.domain.shard import DoneLines, Part
from nightlane.settings import Settings
from tests.store.examples import running


def test_the_largest_shard_has_room_for_a_part_of_every_line(
    table: tuple[Clients, str],
) -> None:
    clients, name = table
    store = DynamoBatches(clients.dynamodb, name)
    batch, most = running(store), Settings().shard_max_lines
    key = f"work/{batch.id}/parts/00000/00001-%05d.jsonl"
    parts = tuple(Part(key % commit, most - 1, most - 1) for commit in range(most))
    item = {
        "pk": batch_key(batch.id).pk,
        "sk": "SHARD#00000",
        "epoch": 1,
        "commits": most,
        "done": bytes(DoneLines.of(most, range(most))),
        "parts": [part_to_text(part) for part in parts],
    }
    clients.dynamodb.put_item(TableName=name, Item=encode(item))
    assert store.begin_shard(batch.id, 0).parts == parts
