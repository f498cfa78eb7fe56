"""The outcome of an attempt, classified by the table."""

import asyncio

import msgspec

from nightlane.api_settings import KIB, MIB
from nightlane.domain.inference.bodies import Body, read_body
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.domain.inference.table import TABLE, Observation, Row, Verdict
from nightlane.domain.inference.tolerant_json import tidy
from nightlane.domain.trouble import MAX_MESSAGE_CHARACTERS

# How much of a body that is not JSON is kept for its error line.
MAX_SHOWN_BYTES = 64 * KIB
LARGE_BYTES = MIB


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt ended, and what that means."""

    verdict: Verdict
    kind: Kind
    answer: Answer | None
    body: Body
    message: str
    """The upstream's message or the network error: short, and never a header."""

    @property
    def retry_after(self) -> float | None:
        return self.answer.retry_after if self.answer else None


NO_BODY = Body()


def judge(end: Answer | NoAnswer) -> Outcome:
    """Return the outcome of an attempt that ended in this way."""
    if isinstance(end, NoAnswer):
        row = _find_row(Observation(end.kind, 0, NO_BODY, False))
        return Outcome(row.verdict, row.kind, None, NO_BODY, end.reason[:MAX_MESSAGE_CHARACTERS])
    body = read_body(end.body)
    row = _find_row(Observation(None, end.status, body, _is_html(end, body)))
    if row.verdict is not Verdict.ANSWERED:
        # It may be kept for minutes, and a JSON body is already in `body`.
        end = msgspec.structs.replace(end, body=b"" if body.is_object else end.body[:MAX_SHOWN_BYTES])
    return Outcome(row.verdict, row.kind, end, body, body.message[:MAX_MESSAGE_CHARACTERS])


def _find_row(observed: Observation) -> Row:
    for row in TABLE:
        if row.matches(observed):
            return row
    raise AssertionError("the last row matches everything")


def is_large(end: Answer | NoAnswer) -> bool:
    """Whether judging it may take seconds."""
    return isinstance(end, Answer) and len(end.body) >= LARGE_BYTES


class Judge:
    """Judges large answers on a thread, one at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def judge(self, end: Answer | NoAnswer) -> Outcome:
        """As the function `judge`, on a thread."""
        async with self._lock:
            return await asyncio.to_thread(judge, end)


def is_alive(end: Answer | NoAnswer) -> bool:
    """Whether a probe shows that the upstream works. Many have no list of models, or require a key for it."""
    if isinstance(end, NoAnswer):
        return False
    if 200 <= end.status < 300:
        # Some servers list their models as a bare array.
        return judge(end).verdict is Verdict.ANSWERED or (tidy(end.body) or b"")[:1] == b"["
    return end.status in (401, 403, 404, 405) and not _is_html(end, read_body(end.body))


def is_refused(end: Answer | NoAnswer) -> bool:
    """Whether the probe itself was refused or denied: then it proves nothing about a line that was."""
    is_unauthorized = isinstance(end, Answer) and end.status in (401, 403)
    return is_unauthorized or judge(end).verdict is Verdict.DENIED


def _is_html(answer: Answer, body: Body) -> bool:
    if body.is_object:
        return False
    return answer.content_type.startswith("text/html") or answer.body[:64].lstrip()[:1] == b"<"
