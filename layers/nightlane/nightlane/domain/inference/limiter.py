"""How many requests may be in flight now: as many as the upstream was seen to take, within the limit."""


class Limiter:
    """Falls to what the upstream still holds when it refuses, and rises with its answers.

    `limit()` and `pause_until` are asked before each request; `on_answered` and `on_refused` feed it.
    """

    def __init__(self, maximum: int, *, probing: bool = False) -> None:
        self._maximum = float(maximum)
        self._limit = 1.0 if probing else self._maximum
        self._steady = self._maximum
        """Up to here the limit doubles with each round of answers; above it rises by one a round."""
        self._steady_before = self._maximum
        self._storm = probing
        self.pause_until = 0.0
        """On the monotonic clock: before it nobody asks, for the upstream said so."""

    def limit(self) -> int:
        """Requests that may be in flight."""
        return int(self._limit)

    def on_answered(self) -> None:
        """The upstream works."""
        self._storm = False
        if self._limit < self._maximum:
            step = 1.0 if self._limit < self._steady else 1.0 / self._limit
            self._limit = min(self._maximum, self._limit + step)

    def on_refused(self, still_in_flight: int) -> None:
        """Refused, while so many others were in flight: that many it may take, and no more.

        When nothing else was in flight, nothing was learned of the capacity: the upstream serves nobody, and
        once it does again the limit soon is what it was.
        """
        if not self._storm:
            self._storm, self._steady_before = True, self._steady
        self._limit = float(max(1, min(still_in_flight, int(self._limit))))
        self._steady = self._limit if still_in_flight else self._steady_before

    def pause(self, until: float) -> None:
        """Ask nothing before then, on the monotonic clock."""
        self.pause_until = max(self.pause_until, until)
