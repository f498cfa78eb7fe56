"""What is wrong with an upstream: its last refusal or failure, and how long all lanes rest because of it."""

import msgspec

MAX_MESSAGE_CHARACTERS = 300
# A probe every five minutes costs little, and after an outage a delay of five minutes does not matter.
MAX_REST_SECONDS = 300
# After this many consecutive rests, each lasts at least a minute, whatever pause the operator has set.
RESTS_BEFORE_ONE_MINUTE = 10
# A rest is forgotten this long after its end.
REST_RETENTION_SECONDS = 86_400


class Trouble(msgspec.Struct, frozen=True):
    """How the upstream last refused or failed. `status` is None if there was no HTTP answer."""

    kind: str
    status: int | None
    message: str
    """The upstream's message or the network error; never a header or a key."""
    since: int
    """Seconds since 1970: nothing has been answered since then."""

    def __str__(self) -> str:
        return (
            f"{self.status or self.kind}: {self.message}" if self.message else str(self.status or self.kind)
        )


class Rest(msgspec.Struct, frozen=True):
    """No lane sends requests to the upstream before `until`, in seconds since 1970."""

    until: int
    count: int
    """Consecutive rests, including this one."""
    trouble: Trouble


def rest_after(previous: Rest | None, trouble: Trouble, now: float, first_seconds: int) -> Rest:
    """Return the next rest: each is twice as long as the one before, up to five minutes."""
    count = previous.count + 1 if previous else 1
    min_seconds = 60 if count > RESTS_BEFORE_ONE_MINUTE else 0
    seconds = max(min_seconds, min(MAX_REST_SECONDS, first_seconds * 2 ** min(count - 1, 16)))
    return Rest(int(now) + seconds, count, trouble)
