"""The limit that keeps a target for the seconds per output token.

Most servers queue instead of refusing, so an overload shows only in the latency. Answers are not streamed, so
the time of a single token is not seen, only that of a whole request, including its wait. Over a window of
answers, the sum of the seconds divided by the sum of the tokens varies far less than the lengths do.

By Little's law, the seconds per token of a saturated server are proportional to the requests in flight, so
level x target / measured is the level that meets the target. Netflix's concurrency-limits (Gradient2) and
Envoy's adaptive concurrency filter use the same gradient, with the lowest latency seen in place of a target.
"""

# The level to begin with when nothing is known: people who use the endpoint must not notice the start.
FIRST_LEVEL = 4
MIN_WINDOW_ANSWERS = 4
# By how much one window may change the level.
MAX_FALL, MAX_RISE = 0.5, 2.0


class LatencyLimit:
    """Begins at `start`, or low. Times are monotonic seconds; `target` is in seconds per output token."""

    def __init__(self, maximum: int, start: float | None, target: float) -> None:
        self._maximum = float(maximum)
        self._target = target
        self.level = min(self._maximum, max(1.0, FIRST_LEVEL if start is None else start))
        self._begin_window(0.0)

    def _begin_window(self, now: float) -> None:
        self._window_began = now
        self._answers = self._tokens = self._max_in_flight = 0
        self._seconds = 0.0

    def on_answered(self, began: float, now: float, others: int, output_tokens: int) -> None:
        """A request was answered; `others` are in flight. Answers without output tokens are ignored."""
        if not output_tokens or began < self._window_began:
            # It began under another level.
            return
        self._answers += 1
        self._tokens += output_tokens
        self._seconds += now - began
        self._max_in_flight = max(self._max_in_flight, others + 1)
        if self._answers >= max(MIN_WINDOW_ANSWERS, self.level):
            self._change()
            self._begin_window(now)

    def _change(self) -> None:
        ratio = self._target * self._tokens / self._seconds if self._seconds else MAX_RISE
        level = self.level * min(MAX_RISE, max(MAX_FALL, ratio))
        if level < self.level:
            self.level = max(1.0, level)
        elif self._max_in_flight >= int(self.level):
            self.level = min(self._maximum, max(level, self.level + 1))
