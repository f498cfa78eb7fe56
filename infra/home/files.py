"""File records, API keys and what is known about upstreams, on SQLite."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.keys import ApiKey, digest
from nightlane.domain.learned import LearnedLimit
from nightlane.domain.quota_counts import deleted, stored
from nightlane.domain.shares import Shares
from nightlane.domain.stores import UpstreamState
from nightlane.domain.trouble import Rest, Trouble
from nightlane.domain.upstream_use import UpstreamUse

from .database import Database
from .quotas import count
from .rows import LAST, insert_file, to_json

_decode_file = msgspec.json.Decoder(StoredFile).decode
_decode_key = msgspec.json.Decoder(ApiKey).decode
_decode_shares = msgspec.json.Decoder(Shares).decode
_decode_rest = msgspec.json.Decoder(Rest).decode
_decode_trouble = msgspec.json.Decoder(Trouble).decode


class SqliteFiles:
    """`domain.stores.FileStore` on SQLite. Rows of deleted files stay, so that list cursors are valid."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_file(self, file: StoredFile, max_stored_bytes: int | None = None) -> None:
        with self._database.write() as connection:
            insert_file(connection, file)
            count(connection, file.tenant, stored(file, max_stored_bytes))

    def add_file(self, file: StoredFile, max_stored_bytes: int | None = None) -> bool:
        with self._database.write() as connection:
            known = connection.execute("SELECT 1 FROM files WHERE id = ?", (file.id,)).fetchone()
            if known is None:
                insert_file(connection, file)
                count(connection, file.tenant, stored(file, max_stored_bytes))
        return known is None

    def get_file(self, file_id: str, *, deleted: bool = False) -> StoredFile | None:
        row = (
            self._database.read()
            .execute("SELECT data FROM files WHERE id = ? AND (? OR deleted_at IS NULL)", (file_id, deleted))
            .fetchone()
        )
        return _decode_file(row[0]) if row else None

    def list_position(self, file_id: str, tenant: str) -> str | None:
        row = (
            self._database.read()
            .execute("SELECT listed FROM files WHERE id = ? AND tenant = ?", (file_id, tenant))
            .fetchone()
        )
        return row[0] if row else None

    def list_files(
        self,
        tenant: str,
        purposes: Sequence[FilePurpose],
        after: str | None,
        limit: int,
        now: float,
        *,
        newest_first: bool,
    ) -> list[StoredFile]:
        sign, order, first = ("<", "DESC", LAST) if newest_first else (">", "ASC", "")
        rows = self._database.read().execute(
            "SELECT data FROM files WHERE tenant = ? AND deleted_at IS NULL"
            " AND json_extract(data, '$.pending_until') IS NULL"
            f" AND purpose IN ({', '.join('?' * len(purposes))}) AND listed {sign} ?"
            f" AND (expires_at IS NULL OR expires_at > ?) ORDER BY listed {order} LIMIT ?",
            (tenant, *(purpose.value for purpose in purposes), after or first, now, limit),
        )
        return [_decode_file(data) for (data,) in rows]

    def delete_file(self, file: StoredFile, at: int) -> bool:
        with self._database.write() as connection:
            marked = connection.execute(
                "UPDATE files SET deleted_at = ?, wake_at = ? WHERE id = ? AND deleted_at IS NULL"
                " AND NOT (? AND json_extract(data, '$.pending_until') IS NULL)",
                (at, at, file.id, file.is_pending),
            )
            if marked.rowcount:
                count(connection, file.tenant, deleted(file))
        return marked.rowcount > 0

    def complete_file(self, file: StoredFile) -> bool:
        complete = replace(file, pending_until=None, problem=None)
        return self._update_pending(file.id, to_json(complete), complete.ends_at)

    def refuse_file(self, file_id: str, problem: str) -> bool:
        file = self.get_file(file_id)
        return file is not None and self._update_pending(
            file_id, to_json(replace(file, problem=problem)), file.ends_at
        )

    def _update_pending(self, file_id: str, data: str, wake_at: int | None) -> bool:
        with self._database.write() as connection:
            updated = connection.execute(
                "UPDATE files SET data = ?, wake_at = ? WHERE id = ? AND deleted_at IS NULL"
                " AND json_extract(data, '$.pending_until') IS NOT NULL",
                (data, wake_at, file_id),
            )
        return updated.rowcount > 0

    def forget_file(self, file_id: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                "UPDATE files SET wake_at = NULL WHERE id = ? AND deleted_at IS NOT NULL", (file_id,)
            )


class SqliteUpstreams:
    """`domain.stores.UpstreamStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_rest(self, upstream: str) -> Rest | None:
        row = (
            self._database.read().execute("SELECT data FROM rests WHERE upstream = ?", (upstream,)).fetchone()
        )
        return _decode_rest(row[0]) if row else None

    def get_state(self, upstream: str) -> UpstreamState:
        row = (
            self._database.read()
            .execute("SELECT requests, at FROM learned_limits WHERE upstream = ?", (upstream,))
            .fetchone()
        )
        return UpstreamState(self.get_rest(upstream), LearnedLimit(*row) if row else None)

    def note_limit(self, upstream: str, learned: LearnedLimit) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO learned_limits VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET requests = excluded.requests, at = excluded.at WHERE at <= excluded.at",
                (upstream, learned.requests, learned.at),
            )

    def note_use(self, upstream: str, use: UpstreamUse) -> None:
        trouble = None if use.trouble is None else to_json(use.trouble)
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO upstream_use VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET requests = requests + excluded.requests, refusals = refusals + excluded.refusals,"
                " trouble = COALESCE(excluded.trouble, trouble)",
                (upstream, use.hour, use.requests, use.refusals, trouble),
            )

    def uses(self, upstream: str, first_hour: int) -> list[UpstreamUse]:
        rows = self._database.read().execute(
            "SELECT hour, requests, refusals, trouble FROM upstream_use"
            " WHERE upstream = ? AND hour >= ? ORDER BY hour",
            (upstream, first_hour),
        )
        return [
            UpstreamUse(hour, requests, refusals, _decode_trouble(trouble) if trouble else None)
            for hour, requests, refusals, trouble in rows.fetchall()
        ]

    def get_shares(self, upstream: str) -> Shares:
        query = "SELECT data FROM shares WHERE upstream = ?"
        row = self._database.read().execute(query, (upstream,)).fetchone()
        return _decode_shares(row[0]) if row else Shares()

    def put_shares(self, upstream: str, shares: Shares) -> bool:
        with self._database.write() as connection:
            written = connection.execute(
                "INSERT INTO shares VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET version = excluded.version, data = excluded.data WHERE version = excluded.version - 1",
                (upstream, shares.version, to_json(shares)),
            )
        return written.rowcount > 0

    def begin_rest(self, upstream: str, rest: Rest, previous: Rest | None) -> Rest:
        with self._database.write() as connection:
            row = connection.execute("SELECT data FROM rests WHERE upstream = ?", (upstream,)).fetchone()
            stored = _decode_rest(row[0]) if row else None
            if stored is not None and (previous is None or stored.until != previous.until):
                return stored
            connection.execute("INSERT OR REPLACE INTO rests VALUES (?, ?)", (upstream, to_json(rest)))
        return rest

    def end_rest(self, upstream: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM rests WHERE upstream = ?", (upstream,))


class SqliteKeys:
    """API keys and their tenants. Only the SHA-256 of a key is stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_key(self, key: ApiKey) -> None:
        """Store a key. An existing key is not changed."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?)",
                (key.sha256, key.tenant, key.listed, to_json(key)),
            )

    def tenant_of(self, secret: str) -> str | None:
        """The tenant of a key; None if the key is unknown."""
        key = self.find_key(secret)
        return key.tenant if key else None

    def find_key(self, secret: str) -> ApiKey | None:
        """The record of a key; None if the key is unknown."""
        query = "SELECT data FROM keys WHERE sha256 = ?"
        row = self._database.read().execute(query, (digest(secret),)).fetchone()
        return _decode_key(row[0]) if row else None

    def list_keys(self, tenant: str | None = None, digits: str = "") -> Iterator[ApiKey]:
        """The keys whose SHA-256 begins with `digits`, by tenant and time."""
        rows = self._database.read().execute(
            "SELECT data FROM keys WHERE (? IS NULL OR tenant = ?) AND substr(sha256, 1, ?) = ?"
            " ORDER BY listed",
            (tenant, tenant, len(digits), digits),
        )
        return (_decode_key(data) for (data,) in rows.fetchall())

    def revoke_key(self, key: ApiKey) -> bool:
        """Remove a key. Returns False if it no longer exists."""
        with self._database.write() as connection:
            removed = connection.execute("DELETE FROM keys WHERE sha256 = ?", (key.sha256,))
        return removed.rowcount > 0
