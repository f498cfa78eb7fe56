"""The cursor of the results: which lines of a batch a client has seen.

As text it is their number, if they are the first ones in the order of sending; otherwise `c` and the position
in base64url, so that nobody takes it for a number.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from nightlane.domain.batch import Batch
from nightlane.domain.errors import BadRequest

# With longer runs a cursor has up to 5,600 characters. API Gateway allows 10,240 bytes for all headers.
MAX_RUNS = 700
OPAQUE = "c"


class SeenLines:
    """The lines seen while the batch was running, by their numbers in the order of sending."""

    def __init__(self, total: int, runs: Sequence[int] = ()) -> None:
        """`runs` are the lengths of the runs of lines not seen and seen, in turn.

        Raises:
            ValueError: they have more lines than the batch.
        """
        if sum(runs) > total or min(runs, default=0) < 0:
            raise ValueError("more lines than the batch has")
        # With a line before the first and one after the last, neither of which is ever seen.
        self._seen = bytearray(total + 2)
        self._runs, self.count, at = 0, 0, 1
        for index, length in enumerate(runs):
            if index % 2:
                self._seen[at : at + length] = b"\1" * length
                self.count += length
                self._runs += 1
            at += length

    def __contains__(self, line: int) -> bool:
        return bool(self._seen[line + 1])

    def __iter__(self) -> Iterator[int]:
        return (line for line, seen in enumerate(self._seen, start=-1) if seen)

    def add(self, line: int) -> bool:
        """Add a line that was not seen; False if the cursor would have too many runs."""
        more = 1 - self._seen[line] - self._seen[line + 2]
        if self._runs + more > MAX_RUNS and more > 0:
            return False
        self._seen[line + 1] = 1
        self._runs += more
        self.count += 1
        return True

    def remove(self, line: int) -> None:
        """Remove a line that was seen."""
        self._seen[line + 1] = 0
        self._runs -= 1 - self._seen[line] - self._seen[line + 2]
        self.count -= 1

    def runs(self) -> list[int]:
        """Return the lengths of the runs of lines not seen and seen, in turn; the last run was seen."""
        lengths, at, wanted = [], 1, b"\1"
        while (end := self._seen.find(wanted, at)) >= 0:
            lengths.append(end - at)
            at, wanted = end, b"\0" if wanted == b"\1" else b"\1"
        return lengths if len(lengths) % 2 == 0 else lengths[:-1]

    def first_unseen(self) -> int:
        """Return the lowest number that was not seen."""
        return self._seen.find(b"\0", 1) - 1


@dataclass(slots=True)
class Cursor:
    """What a client has seen. Once the batch has ended, it reads the output file, then the error file."""

    seen: SeenLines
    file: int = 0
    """Which of the two files comes next."""
    offset: int = 0
    """The bytes of it that were read."""
    from_files: int = 0
    """Lines that were seen in the files."""

    @property
    def count(self) -> int:
        """The number of lines seen."""
        return self.seen.count + self.from_files


class _Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    batch: int
    runs: list[int]
    file: int
    offset: int
    from_files: int


def encode_cursor(batch: Batch, cursor: Cursor) -> str:
    """Return a cursor as text."""
    runs = cursor.seen.runs()
    is_first_lines = not cursor.from_files and not cursor.file and not cursor.offset and runs[:1] in ([], [0])
    if (is_first_lines and len(runs) <= 2) or (batch.status.is_terminal and cursor.count == batch.total):
        return str(cursor.count)
    stored = _Stored(_mark(batch), runs, cursor.file, cursor.offset, cursor.from_files)
    return OPAQUE + urlsafe_b64encode(msgspec.msgpack.encode(stored)).decode().rstrip("=")


def decode_cursor(batch: Batch, text: str) -> Cursor:
    """Read a cursor. Raises: BadRequest, also if it belongs to another batch."""
    try:
        return _decode(batch, text)
    except ValueError as error:
        message = "Invalid 'after': expected the X-Last-Line header of an earlier page of the same batch."
        raise BadRequest(message, code="invalid_value", param="after") from error


def _decode(batch: Batch, text: str) -> Cursor:
    if not text.startswith(OPAQUE):
        if not (text.isascii() and text.isdigit()):
            raise ValueError(text)
        return Cursor(SeenLines(batch.total, [0, int(text)]))
    data = text[len(OPAQUE) :]
    stored = msgspec.msgpack.decode(urlsafe_b64decode(data + "=" * (-len(data) % 4)), type=_Stored)
    if stored.batch != _mark(batch) or min(stored.file, stored.offset, stored.from_files) < 0:
        raise ValueError(text)
    return Cursor(SeenLines(batch.total, stored.runs), stored.file, stored.offset, stored.from_files)


def _mark(batch: Batch) -> int:
    return zlib.crc32(batch.id.encode())
