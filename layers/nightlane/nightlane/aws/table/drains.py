"""The drains of lanes: one item each, deleted when it is over, and by the table's TTL after a crash."""

from nightlane.aws.table.connection import Connection, Key
from nightlane.aws.table.items import batch_key
from nightlane.domain.handover import Drain


class DynamoDrains:
    """`domain.handover.DrainStore` on DynamoDB."""

    def __init__(self, table: Connection) -> None:
        self._table = table

    def put_drain(self, batch_id: str, lane: int, drain: Drain, forget_at: int) -> None:
        self._table.update(
            _key(batch_id, lane, drain.holder),
            "SET #in_flight = :in_flight, #until = :until, #ttl = :ttl",
            {"in_flight": drain.in_flight, "until": drain.until, "ttl": forget_at},
        )

    def end_drain(self, batch_id: str, lane: int, holder: str) -> None:
        self._table.delete(_key(batch_id, lane, holder))

    def drains(self, batch_id: str, lane: int) -> list[Drain]:
        prefix = _key(batch_id, lane, "")
        found = self._table.query(
            "#pk = :pk AND begins_with(#sk, :prefix)", {"pk": prefix.pk, "prefix": prefix.sk}
        )
        return [
            Drain(item["sk"].rsplit("#", 1)[1], int(item["in_flight"]), int(item["until"])) for item in found
        ]


def _key(batch_id: str, lane: int, holder: str) -> Key:
    return Key(batch_key(batch_id).pk, f"DRAIN#{lane:05d}#{holder}")
