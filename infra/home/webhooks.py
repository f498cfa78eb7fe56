"""Webhook endpoints and the outbox, on SQLite."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec

from nightlane.domain.webhook import Event, Health, WebhookEndpoint
from nightlane.domain.webhook_ports import DueEvent

from .database import Database
from .rows import to_json

_decode_endpoint = msgspec.json.Decoder(WebhookEndpoint).decode
_decode_event = msgspec.json.Decoder(Event).decode


class SqliteEndpoints:
    """`domain.webhook_ports.EndpointStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_endpoint(self, endpoint: WebhookEndpoint, limit: int) -> bool:
        count = "SELECT count(*) FROM webhook_endpoints WHERE tenant = ?"
        with self._database.write() as connection:
            (existing,) = connection.execute(count, (endpoint.tenant,)).fetchone()
            if existing >= limit:
                return False
            connection.execute(
                "INSERT INTO webhook_endpoints VALUES (?, ?, ?)",
                (endpoint.tenant, endpoint.id, to_json(endpoint)),
            )
        return True

    def get_endpoint(self, tenant: str, endpoint_id: str) -> WebhookEndpoint | None:
        return _find(self._database.read(), tenant, endpoint_id)

    def list_endpoints(self, tenant: str) -> list[WebhookEndpoint]:
        rows = self._database.read().execute("SELECT data FROM webhook_endpoints WHERE tenant = ?", (tenant,))
        found = (_decode_endpoint(data) for (data,) in rows)
        return sorted(found, key=lambda endpoint: endpoint.listed, reverse=True)

    def change_endpoint(self, endpoint: WebhookEndpoint) -> bool:
        return self._update_if(
            endpoint,
            lambda stored: stored.version == endpoint.version - 1,
            lambda stored: replace(endpoint, health=stored.health),
        )

    def delete_endpoint(self, tenant: str, endpoint_id: str) -> bool:
        with self._database.write() as connection:
            deleted = connection.execute(
                "DELETE FROM webhook_endpoints WHERE tenant = ? AND id = ?", (tenant, endpoint_id)
            )
        return deleted.rowcount > 0

    def note_health(self, endpoint: WebhookEndpoint, health: Health) -> bool:
        return self._update_if(
            endpoint,
            lambda stored: stored.health == endpoint.health,
            lambda stored: replace(stored, health=health),
        )

    def _update_if(
        self,
        endpoint: WebhookEndpoint,
        condition: Callable[[WebhookEndpoint], bool],
        change: Callable[[WebhookEndpoint], WebhookEndpoint],
    ) -> bool:
        with self._database.write() as connection:
            stored = _find(connection, endpoint.tenant, endpoint.id)
            if stored is None or not condition(stored):
                return False
            connection.execute(
                "UPDATE webhook_endpoints SET data = ? WHERE tenant = ? AND id = ?",
                (to_json(change(stored)), endpoint.tenant, endpoint.id),
            )
        return True


class SqliteEvents:
    """`domain.webhook_ports.EventStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_event(self, event_id: str) -> Event | None:
        return _find_event(self._database.read(), event_id)

    def save_event(self, event: Event) -> bool:
        with self._database.write() as connection:
            stored = _find_event(connection, event.id)
            if stored is None or stored.version != event.version - 1:
                return False
            connection.execute(
                "UPDATE events SET wake_at = ?, data = ? WHERE id = ?",
                (event.wake_at, to_json(event), event.id),
            )
        return True

    def forget_event(self, event_id: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM events WHERE id = ?", (event_id,))

    def due_events(self, now: int, limit: int) -> Iterator[DueEvent]:
        rows = self._database.read().execute(
            "SELECT id, wake_at FROM events WHERE wake_at <= ? ORDER BY wake_at LIMIT ?", (now, limit)
        )
        return iter([DueEvent(*row) for row in rows])

    def postpone_event(self, due: DueEvent, wake_at: int) -> None:
        with self._database.write() as connection:
            connection.execute(
                "UPDATE events SET wake_at = ? WHERE id = ? AND wake_at = ?", (wake_at, due.id, due.wake_at)
            )


def insert_event(connection: sqlite3.Connection, event: Event) -> None:
    """Put an event into the outbox, in the transaction that ends its batch."""
    connection.execute("INSERT INTO events VALUES (?, ?, ?)", (event.id, event.wake_at, to_json(event)))


def _find(connection: sqlite3.Connection, tenant: str, endpoint_id: str) -> WebhookEndpoint | None:
    query = "SELECT data FROM webhook_endpoints WHERE tenant = ? AND id = ?"
    row = connection.execute(query, (tenant, endpoint_id)).fetchone()
    return _decode_endpoint(row[0]) if row else None


def _find_event(connection: sqlite3.Connection, event_id: str) -> Event | None:
    row = connection.execute("SELECT data FROM events WHERE id = ?", (event_id,)).fetchone()
    return _decode_event(row[0]) if row else None
