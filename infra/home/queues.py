"""The queues as a table of messages: delivered at least once, and one message per lane at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from nightlane.aws.queues import BatchMessage, EventMessage
from nightlane.domain.shard import LaneMessage

from .database import Database


class Queue(StrEnum):
    """The queues of `resources.QUEUES`."""

    PLAN = "plan"
    INFER = "infer"
    ASSEMBLE = "assemble"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. `receives` includes this delivery, and fences off earlier receivers."""

    id: int
    queue: Queue
    body: str
    receives: int


class SqliteQueues:
    """`domain.ports.Queues` on SQLite, and the receiving side. `now` returns seconds since 1970."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self.on_sent: Callable[[], None] = lambda: None
        """Called after messages have been committed, on the thread that sent them."""

    def send_plan(self, batch_id: str) -> None:
        self._send(Queue.PLAN, [(None, _body(BatchMessage(batch_id)))])

    def send_assemble(self, batch_id: str) -> None:
        self._send(Queue.ASSEMBLE, [(None, _body(BatchMessage(batch_id)))])

    def send_event(self, event_id: str) -> None:
        self._send(Queue.NOTIFY, [(None, _body(EventMessage(event_id)))])

    def send_lanes(self, messages: Sequence[LaneMessage], attempt: int) -> None:  # noqa: ARG002 (the port's)
        # A duplicate does no harm: it is delivered after the first, when nothing is left to do.
        self._send(Queue.INFER, [(f"{each.batch_id}-{each.lane}", _body(each)) for each in messages])

    def receive(self, queue: Queue, seconds: float) -> Message | None:
        """Return the oldest visible message, and hide it for `seconds`; None if there is none.

        Only the oldest message of a lane is ever returned.
        """
        now = self._now()
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT id, body, receives + 1 FROM messages AS message"
                " WHERE queue = ? AND visible_at <= ? AND NOT EXISTS ("
                "  SELECT 1 FROM messages AS earlier WHERE earlier.queue = message.queue"
                "  AND earlier.lane = message.lane AND earlier.id < message.id)"
                " ORDER BY id LIMIT 1",
                (queue.value, now),
            ).fetchone()
            if row is None:
                return None
            message = Message(row[0], queue, row[1], row[2])
            connection.execute(
                "UPDATE messages SET visible_at = ?, receives = ? WHERE id = ?",
                (now + seconds, message.receives, message.id),
            )
        return message

    def hide(self, message: Message, seconds: float) -> bool:
        """Hide a message for `seconds` from now. Returns False if another receiver has it."""
        with self._database.write() as connection:
            hidden = connection.execute(
                "UPDATE messages SET visible_at = ? WHERE id = ? AND receives = ?",
                (self._now() + seconds, message.id, message.receives),
            )
        return hidden.rowcount > 0

    def delete(self, message: Message) -> bool:
        """Delete a processed message. Returns False if another receiver has it."""
        with self._database.write() as connection:
            deleted = connection.execute(
                "DELETE FROM messages WHERE id = ? AND receives = ?", (message.id, message.receives)
            )
        return deleted.rowcount > 0

    def start_over(self, message: Message, seconds: float) -> None:
        """Hide a message for `seconds`, and reset its receive count."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO messages (queue, lane, body, visible_at) SELECT queue, lane, body, ?"
                " FROM messages WHERE id = ? AND receives = ?",
                (self._now() + seconds, message.id, message.receives),
            )
            connection.execute(
                "DELETE FROM messages WHERE id = ? AND receives = ?", (message.id, message.receives)
            )

    def release(self, *queues: Queue) -> None:
        """Make all messages visible now. Only for a sole receiver: earlier ones must have ended."""
        now = self._now()
        with self._database.write() as connection:
            connection.executemany(
                "UPDATE messages SET visible_at = ? WHERE queue = ? AND visible_at > ?",
                [(now, queue.value, now) for queue in queues],
            )

    def next_visible(self, queue: Queue) -> float | None:
        """When the next message of the queue becomes visible; None if the queue is empty."""
        row = (
            self._database.read()
            .execute("SELECT min(visible_at) FROM messages WHERE queue = ?", (queue.value,))
            .fetchone()
        )
        return row[0] if row else None

    def _send(self, queue: Queue, messages: Sequence[tuple[str | None, str]]) -> None:
        now = self._now()
        with self._database.write() as connection:
            connection.executemany(
                "INSERT INTO messages (queue, lane, body, visible_at) VALUES (?, ?, ?, ?)",
                [(queue.value, lane, body, now) for lane, body in messages],
            )
        self.on_sent()


def _body(message: BatchMessage | EventMessage | LaneMessage) -> str:
    return msgspec.json.encode(message).decode()
