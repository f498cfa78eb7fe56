"""What an attempt came to: its end, judged by the table."""

import asyncio

import msgspec

from nightlane.domain.inference.bodies import Body, read_body
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.domain.inference.table import TABLE, Row, Seen, Verdict
from nightlane.domain.inference.tolerant_json import tidy
from nightlane.domain.trouble import MAX_MESSAGE_CHARACTERS
from nightlane.settings import KIB, MIB

# Of a body that is not JSON so much is kept for its error line.
SHOWN_BYTES = 64 * KIB
LARGE_BYTES = MIB


class Outcome(msgspec.Struct, frozen=True):
    """One attempt's end, judged."""

    verdict: Verdict
    kind: Kind
    answer: Answer | None
    body: Body
    message: str
    """The upstream's own words, or the network's; short, and never a header."""

    @property
    def retry_after(self) -> float | None:
        return self.answer.retry_after if self.answer else None


SILENT = Body()


def judge(end: Answer | NoAnswer) -> Outcome:
    """What an attempt came to."""
    if isinstance(end, NoAnswer):
        row = _row_of(Seen(end.kind, 0, SILENT, False))
        return Outcome(row.verdict, row.kind, None, SILENT, end.reason[:MAX_MESSAGE_CHARACTERS])
    body = read_body(end.body)
    row = _row_of(Seen(None, end.status, body, _is_html(end, body)))
    if row.verdict is not Verdict.ANSWERED:
        # What is kept of it may wait for minutes: a JSON body is in `body` already.
        end = msgspec.structs.replace(end, body=b"" if body.is_object else end.body[:SHOWN_BYTES])
    return Outcome(row.verdict, row.kind, end, body, body.message[:MAX_MESSAGE_CHARACTERS])


def _row_of(seen: Seen) -> Row:
    for row in TABLE:
        if row.matches(seen):
            return row
    raise AssertionError("the last row matches everything")


def is_large(end: Answer | NoAnswer) -> bool:
    """Whether it may take seconds to judge."""
    return isinstance(end, Answer) and len(end.body) >= LARGE_BYTES


class Judge:
    """Judges large answers on a thread, one at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def judge(self, end: Answer | NoAnswer) -> Outcome:
        """What an attempt came to."""
        async with self._lock:
            return await asyncio.to_thread(judge, end)


def is_alive(end: Answer | NoAnswer) -> bool:
    """Whether a probe shows that the upstream works; many have no list of models, or guard it."""
    if isinstance(end, NoAnswer):
        return False
    if 200 <= end.status < 300:
        # Some list their models as a bare array.
        return judge(end).verdict is Verdict.ANSWERED or (tidy(end.body) or b"")[:1] == b"["
    return end.status in (401, 403, 404, 405) and not _is_html(end, read_body(end.body))


def _is_html(answer: Answer, body: Body) -> bool:
    if body.is_object:
        return False
    return answer.content_type.startswith("text/html") or answer.body[:64].lstrip()[:1] == b"<"
