"""Whether refusals have to do with the load at all.

A balancer with a dead backend refuses its share of the requests, however few are in flight. Sending less then
only makes the batch slow. If the load is the reason, then at half of it far fewer requests are refused, or
far more of them are accepted.
"""

# How many requests a share of refusals is measured over.
MIN_REQUESTS = 30
# Half the level must either halve the share of refusals, or make this many times as many requests succeed.
RELIEF, SUCCESS_FACTOR = 0.5, 1.4
# Below this share refusals are harmless, and above this one it is rather an outage.
MIN_SHARE, MAX_SHARE = 0.12, 0.8
# If the load does not matter, refusals are ignored for this many requests, unless their share rises by this
# much, measured over twice as many as above.
IGNORED_REQUESTS, MAX_RISE = 300, 0.2


class LoadCheck:
    """Compares the share of refusals at a level with the share at half of it and below."""

    def __init__(self) -> None:
        self.ignores_refusals = False
        """The load was found not to matter."""
        self._level = 0.0
        """The level compared with."""
        self._share: float | None = None
        """The share of refusals before the level was halved; while they are ignored, after that."""
        self._requests = self._refused = self._ignored = 0

    def count(self, level: float, *, refused: bool) -> float | None:
        """Count a request. Returns the former level if lowering it has turned out to be useless."""
        if self.ignores_refusals:
            self._watch(refused=refused)
            return None
        if level > self._level:
            self._restart(level)
        elif self._share is None and level <= self._level / 2 and self._requests >= MIN_REQUESTS:
            self._share, self._requests, self._refused = self._refused / self._requests, 0, 0
        self._requests += 1
        self._refused += refused
        if self._share is None or self._requests < MIN_REQUESTS:
            return None
        before, now = self._share, self._refused / self._requests
        former = self._level
        self._restart(level)
        if max(MIN_SHARE, RELIEF * before) < now <= MAX_SHARE and 1 - now < SUCCESS_FACTOR * (1 - before):
            self.ignores_refusals, self._share, self._ignored = True, now, 0
            return former
        return None

    def _watch(self, *, refused: bool) -> None:
        self._ignored += 1
        self._requests += 1
        self._refused += refused
        if self._requests < 2 * MIN_REQUESTS:
            return
        share, self._requests, self._refused = self._refused / self._requests, 0, 0
        if self._ignored >= IGNORED_REQUESTS or share > (self._share or 0) + MAX_RISE:
            self.ignores_refusals = False
            self._restart(0.0)

    def _restart(self, level: float) -> None:
        self._level, self._share = level, None
        self._requests = self._refused = 0
