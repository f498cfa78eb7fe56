"""What a run has learned about how much an upstream takes, for the runs that begin later."""

import msgspec

# What was learned is worth less and less, and nothing after this long.
LEARNED_SECONDS = 86_400
# It is stored again when it has changed by this factor, or when it is this old.
NOTABLE_FACTOR = 1.25
REFRESH_SECONDS = 3_600


class LearnedLimit(msgspec.Struct, frozen=True):
    """The requests in flight from one lane that the upstream served; `at` is in seconds since 1970."""

    requests: int
    at: int

    def start(self, fallback: float, now: float) -> float:
        """Return the limit to start with: the older what was learned, the closer to the fallback."""
        age = min(1.0, max(0.0, (now - self.at) / LEARNED_SECONDS))
        return float(self.requests * (fallback / self.requests) ** age)


def is_notable(known: LearnedLimit | None, requests: int, maximum: int, now: float) -> bool:
    """Whether a limit should be stored. At the maximum of a run, the upstream may take even more."""
    if known is None:
        return requests < maximum
    if requests >= maximum and known.requests >= maximum:
        return False
    changed = max(requests, known.requests) / min(requests, known.requests)
    return changed >= NOTABLE_FACTOR or (requests < maximum and now - known.at >= REFRESH_SECONDS)
