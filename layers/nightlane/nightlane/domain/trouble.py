"""What is wrong with an upstream: the last refusal, and how long everybody rests for it."""

from dataclasses import dataclass

MAX_MESSAGE_CHARACTERS = 300
# A probe every five minutes is little, and a batch that starts again so late is not missed.
LONGEST_REST_SECONDS = 300
# An upstream that was down so often is asked once a minute at most, whatever the operator's pause.
RESTS_BEFORE_A_MINUTE = 10


@dataclass(frozen=True, slots=True)
class Trouble:
    """How the upstream last refused or failed. `status` is None if there was no HTTP answer."""

    kind: str
    status: int | None
    message: str
    """The upstream's own words, or the network's; never a header or a key."""
    since: int
    """Seconds since 1970: nothing was answered from then on."""

    def __str__(self) -> str:
        return (
            f"{self.status or self.kind}: {self.message}" if self.message else str(self.status or self.kind)
        )


@dataclass(frozen=True, slots=True)
class Rest:
    """No lane asks the upstream before `until`, in seconds since 1970."""

    until: int
    count: int
    """Rests in a row, this one included."""
    trouble: Trouble


def rest_after(previous: Rest | None, trouble: Trouble, now: float, first_seconds: int) -> Rest:
    """The next rest: each is twice as long as the one before, up to five minutes."""
    count = previous.count + 1 if previous else 1
    shortest = 60 if count > RESTS_BEFORE_A_MINUTE else 0
    seconds = max(shortest, min(LONGEST_REST_SECONDS, first_seconds * 2 ** min(count - 1, 16)))
    return Rest(int(now) + seconds, count, trouble)
