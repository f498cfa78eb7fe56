"""The drains of lanes on SQLite."""

from nightlane.domain.handover import Drain

from .database import Database


class SqliteDrains:
    """`domain.handover.DrainStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_drain(self, batch_id: str, lane: int, drain: Drain, forget_at: int) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO drains VALUES (?, ?, ?, ?, ?, ?)",
                (batch_id, lane, drain.holder, drain.in_flight, drain.until, forget_at),
            )

    def end_drain(self, batch_id: str, lane: int, holder: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM drains WHERE batch_id = ? AND lane = ? AND holder = ?", (batch_id, lane, holder)
            )

    def drains(self, batch_id: str, lane: int) -> list[Drain]:
        rows = self._database.read().execute(
            "SELECT holder, in_flight, until FROM drains WHERE batch_id = ? AND lane = ? ORDER BY holder",
            (batch_id, lane),
        )
        return [Drain(*row) for row in rows]
