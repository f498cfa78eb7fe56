"""How many requests may be in flight now: as many as the upstream has proven to handle, up to a maximum."""


class Limiter:
    """Falls to the number of requests still in flight when the upstream refuses, and rises with its answers.

    `limit()` and `pause_until` are read before each request; `on_answered` and `on_refused` update them.
    """

    def __init__(self, maximum: int, *, probing: bool = False) -> None:
        self._maximum = float(maximum)
        self._limit = 1.0 if probing else self._maximum
        self._steady = self._maximum
        """Below this the limit doubles with each round of answers; above it, it rises by one per round."""
        self._steady_before = self._maximum
        self._storm = probing
        self.pause_until = 0.0
        """The upstream asked for a pause: no request is sent before this time, on the monotonic clock."""

    def limit(self) -> int:
        """Return how many requests may be in flight."""
        return int(self._limit)

    def on_answered(self) -> None:
        """A request was answered."""
        self._storm = False
        if self._limit < self._maximum:
            step = 1.0 if self._limit < self._steady else 1.0 / self._limit
            self._limit = min(self._maximum, self._limit + step)

    def on_refused(self, still_in_flight: int) -> None:
        """A request was refused: lower the limit to the number of other requests still in flight.

        A refusal with nothing else in flight says nothing about the capacity, because the upstream is serving
        no requests at all. Once it recovers, the limit quickly returns to its previous level.
        """
        if not self._storm:
            self._storm, self._steady_before = True, self._steady
        self._limit = float(max(1, min(still_in_flight, int(self._limit))))
        self._steady = self._limit if still_in_flight else self._steady_before

    def pause(self, until: float) -> None:
        """Send nothing before `until`, on the monotonic clock."""
        self.pause_until = max(self.pause_until, until)
