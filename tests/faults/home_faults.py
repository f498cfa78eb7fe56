"""Faults on one machine: killed processes, power loss, a full disk."""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from tests.faults.faults import Crash
from tests.faults.wal import committed_end

# https://www.sqlite.org/pragma.html#pragma_synchronous
FULL_SYNC = 2


class HomeFault(Enum):
    """What goes wrong at a step: a statement in a transaction, or an operation on a file."""

    KILLED = auto()
    """kill -9 before the step; a write is half done."""
    POWER_LOST = auto()
    """Only flushed file contents and flushed names survive. A commit is torn."""
    NAMES_KEPT = auto()
    """As POWER_LOST, but names reach the disk before contents: unflushed files are truncated."""
    FULL_ONCE = auto()
    """The disk is full for this step only."""
    FULL = auto()
    """The disk is full for a while from this step on."""
    FOLDER_FULL = auto()
    """The disk is full for files for a while, but the database still has free pages."""

    @property
    def is_crash(self) -> bool:
        return self in (HomeFault.KILLED, HomeFault.POWER_LOST, HomeFault.NAMES_KEPT)

    @property
    def is_power_loss(self) -> bool:
        return self in (HomeFault.POWER_LOST, HomeFault.NAMES_KEPT)


FULL_SECONDS = {HomeFault.FULL_ONCE: 0.0, HomeFault.FULL: 40.0, HomeFault.FOLDER_FULL: 150.0}


@dataclass(frozen=True, slots=True)
class Step:
    """A step; with `needs_room` it fails if the disk is full."""

    name: str
    needs_room: bool = False

    @property
    def is_on_file(self) -> bool:
        return self.name.startswith("file: ")


def do_nothing() -> None: ...


@dataclass
class HomeFaults:
    """Counts every step on the data folder, from 1, and injects the fault at step `strike_at`."""

    strike_at: int = 0
    fault: HomeFault | None = None
    steps: list[Step] = field(default_factory=list)
    crashed: bool = False
    now: Callable[[], float] = lambda: 0.0
    on_crash: Callable[[], None] = do_nothing
    """Called at the moment of the crash, before any cleanup code runs."""
    on_full: Callable[[], None] = do_nothing
    after_commit: Callable[[], None] = do_nothing
    torn: tuple[int, int] | None = None
    """The start and end offsets in the log of a transaction that a power loss tore."""
    _full_until: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held during each step that is compared with the log, so that no other thread writes to it."""

    def before(self, step: Step, partly: Callable[[], None] = do_nothing) -> bool:
        """Whether the disk is full for the step. `partly` does what a step interrupted by a crash does.

        Raises: Crash, if the process has crashed.
        """
        with self.lock:
            if self.crashed:
                raise Crash
            self.steps.append(step)
            is_here = len(self.steps) == self.strike_at
            if is_here and self.fault is not None:
                if self.fault.is_crash:
                    partly()
                    self.on_crash()
                    self.crashed = True
                    raise Crash
                self.fill(FULL_SECONDS[self.fault])
                self.on_full()
            return step.needs_room and (is_here or self._is_full_for(step))

    def check_alive(self) -> None:
        """Raises: Crash, if the process has crashed."""
        if self.crashed:
            raise Crash

    def fill(self, seconds: float) -> None:
        """Make the disk full for so many seconds from now."""
        self._full_until = self.now() + seconds

    def _is_full_for(self, step: Step) -> bool:
        is_full = self.now() < self._full_until
        return is_full and (step.is_on_file or self.fault is HomeFault.FULL)


class FaultyConnection(sqlite3.Connection):
    """A connection with faults in its transactions."""

    faults: HomeFaults
    log: Callable[[], Path]
    """The path of the write-ahead log."""
    wrote = False

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self.faults.check_alive()
        if sql == "COMMIT":
            return self._commit()
        if sql.startswith("BEGIN"):
            self.wrote = False
            assert super().execute("PRAGMA synchronous").fetchone() == (FULL_SYNC,)
            assert super().execute("PRAGMA journal_mode").fetchone() == ("wal",)
        if (sql.startswith("BEGIN") or self.in_transaction) and sql != "ROLLBACK":
            self._before(sql)
            return super().execute(sql, *values)
        return (
            super().execute(sql, *values) if sql.startswith("SELECT") else self._execute_alone(sql, *values)
        )

    def _execute_alone(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute outside a transaction, where only the first page may be written."""
        with self.faults.lock:
            before = committed_end(self.log())
            cursor = super().execute(sql, *values)
            assert before in (0, committed_end(self.log())), f"not in a transaction: {sql}"
        return cursor

    def executemany(self, sql: str, values: Any) -> sqlite3.Cursor:
        self._before(sql)
        return super().executemany(sql, values)

    def _before(self, sql: str) -> None:
        self.wrote = self.wrote or _writes(sql)
        if self.faults.before(Step(" ".join(sql.split()[:3]), _writes(sql))):
            raise _full()

    def _commit(self) -> sqlite3.Cursor:
        if self.faults.before(Step("COMMIT", self.wrote), self._tear):
            raise _full()
        with self.faults.lock:
            cursor = super().execute("COMMIT")
        self.faults.after_commit()
        self.faults.before(Step("return from COMMIT"))
        return cursor

    def _tear(self) -> None:
        """Lose power while the log is written: any part of the transaction may have reached the disk."""
        if self.faults.fault is not None and self.faults.fault.is_power_loss:
            before = committed_end(self.log())
            super().execute("COMMIT")
            self.faults.torn = (before, committed_end(self.log()))


def _writes(sql: str) -> bool:
    return sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE", "CREATE"))


def faulty_connect(faults: HomeFaults, log: Callable[[], Path]) -> Callable[..., sqlite3.Connection]:
    """A `sqlite3.connect` that injects these faults; `log` returns the path of the write-ahead log."""
    members = {"faults": faults, "log": lambda _: log()}
    made: Any = type("Connection", (FaultyConnection,), members)
    connect = sqlite3.connect
    return lambda *arguments, **options: connect(*arguments, **options, factory=made)


def _full() -> sqlite3.OperationalError:
    """The error that SQLite raises. https://www.sqlite.org/rescode.html#full"""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
    return error
