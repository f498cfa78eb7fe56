"""The limit that keeps a target for the seconds per output token.

Most servers queue instead of refusing, so an overload shows only in the latency. Answers are not streamed, so
the time of a single token is not seen, only that of a whole request, including its wait. By Little's law, the
seconds of a saturated server are proportional to the requests in flight, so level x target / measured is the
level that meets the target. Netflix's concurrency-limits (Gradient2) and Envoy's adaptive concurrency filter
use the same gradient, with the lowest latency seen in place of a target.

The answers that come first are the short ones, and in their seconds per token the prompt and the wait count
for more. So each answer is compared with what it should take: its tokens at the fastest pace seen, and the
rest of the target, which is for prompt and wait, in equal parts for answers of all lengths.

The other users of an endpoint come in bursts. So the level falls after a few answers that are far too slow,
and then rises slowly for a while: if it came back within seconds, every burst would find a full server.
"""

# The level to begin with when nothing is known: people who use the endpoint must not notice the start.
FIRST_LEVEL = 4
MIN_WINDOW_ANSWERS = 4
# By how much one window may change the level.
MAX_FALL, MAX_RISE = 0.5, 2.0
# If the target is less than this share of what was measured, it is a burst; anything less may be chance.
BURST_RATIO = 0.7
# Then the level rises slowly for so many windows: by one, or by this share, after every few of them.
SLOW_WINDOWS, SLOW_RISE, WINDOWS_PER_RISE = 32, 1 / 16, 4
# The weight of one answer in the mean number of tokens.
SMOOTHING = 1 / 256
# By how much one answer makes the fastest pace slower, so that an exception is forgotten.
FORGETTING = 1 / 2_048


class LatencyLimit:
    """Begins at `start`, or low. Times are monotonic seconds; `target` is in seconds per output token."""

    def __init__(self, maximum: int, start: float | None, target: float) -> None:
        self._maximum = float(maximum)
        self._target = self._fastest = target
        self.level = min(self._maximum, max(1.0, FIRST_LEVEL if start is None else start))
        self._known_answers = 0
        self._mean_tokens = 0.0
        self._slow_windows = 0
        self._begin_window(0.0)

    def _begin_window(self, now: float) -> None:
        self._window_began = now
        self._answers = self._max_in_flight = 0
        self._seconds = self._expected_seconds = 0.0

    def on_answered(self, began: float, now: float, others: int, output_tokens: int) -> None:
        """A request was answered; `others` are in flight. Answers without output tokens are ignored."""
        if not output_tokens:
            return
        seconds = now - began
        self._known_answers += 1
        weight = max(SMOOTHING, 1 / self._known_answers)
        self._mean_tokens += weight * (output_tokens - self._mean_tokens)
        self._fastest = min(self._target, self._fastest * (1 + FORGETTING), seconds / output_tokens)
        if began < self._window_began:
            # It began under another level.
            return
        self._answers += 1
        self._seconds += seconds
        waiting = (self._target - self._fastest) * self._mean_tokens
        self._expected_seconds += self._fastest * output_tokens + waiting
        self._max_in_flight = max(self._max_in_flight, others + 1)
        self._change(now)

    def _change(self, now: float) -> None:
        """Change the level if there are enough answers, and begin another window."""
        ratio = self._expected_seconds / self._seconds if self._seconds else MAX_RISE
        is_full = self._answers >= max(MIN_WINDOW_ANSWERS, self.level)
        if self._answers >= MIN_WINDOW_ANSWERS and ratio < BURST_RATIO:
            self._slow_windows = SLOW_WINDOWS
        elif not is_full:
            return
        if ratio < 1:
            self.level = max(1.0, self.level * max(MAX_FALL, ratio))
        elif self._max_in_flight >= int(self.level):
            self._rise(ratio)
        self._begin_window(now)

    def _rise(self, ratio: float) -> None:
        step = self.level * (min(MAX_RISE, ratio) - 1)
        if self._slow_windows:
            self._slow_windows -= 1
            if self._slow_windows % WINDOWS_PER_RISE:
                return
            step = self.level * SLOW_RISE
        self.level = min(self._maximum, self.level + max(1.0, step))
