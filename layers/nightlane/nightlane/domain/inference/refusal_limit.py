"""The limit learned from refusals: it rises additively, and falls to what the upstream still serves.

Models: TCP's slow start and congestion avoidance (RFC 5681), and CUBIC, which stays just below the level of
the last loss and probes beyond it ever faster (RFC 9438).
"""

import math

from nightlane.domain.inference.load_check import LoadCheck

# A level that was refused before is tried again after this many answers at the earliest, so that such trials
# are at most 3 % of the requests.
TRIAL_ANSWERS = 32
# A level that has served a whole round is given up only when this share of the latest requests is refused.
# Above the capacity at least half of them are; a few may have nothing to do with the load.
SHARE_WEIGHT, MAX_SHARE = 1 / 16, 0.25
# Two outages with fewer answers than this between them are rather a rate limit.
ANSWERS_BETWEEN_OUTAGES = 10
# The refusals of one window of requests lower the level to this share at most.
WINDOW_SHARE = 0.5
# Below one, the level is the share of the time in which a request is in flight.
MIN_LEVEL = 0.2
SPARSE_ANSWERS = 12
SPARSE_RISE, SPARSE_FALL = 0.05, 0.8


class RefusalLimit:
    """Begins at `good`, a level known to be served, or at one if `probing`. Times are monotonic seconds."""

    def __init__(self, maximum: int, good: float, *, probing: bool) -> None:
        self._maximum = float(maximum)
        self.good = float(max(1, min(maximum, math.floor(good))))
        """The highest level known to be served. Below it the level doubles with each round of answers."""
        self.level = 1.0 if probing else self.good
        self._refused = math.inf
        """The lowest level that was refused since a higher one was served."""
        self._step, self._sparse_step = 1.0, SPARSE_RISE
        self._load_check = LoadCheck()
        self._trial_at = -math.inf
        self._answers = 0
        """Answers since the level last changed."""
        self._share = 0.0
        """The share of the latest requests that were refused."""
        self._lone_refusals = int(probing)
        """Refusals in a row with nothing else in flight, each of a request sent after the one before."""
        self._lone_refusal_at = -math.inf
        self._answers_since_outage = ANSWERS_BETWEEN_OUTAGES
        self._lowered_at = -math.inf
        self._window_level = self.level
        # What was known before a storm of refusals is known again if it turns out to be an outage.
        self._storm_began: float | None = -math.inf if probing else None
        self._before_storm = self.good, self._refused
        self._storm_level = self.good

    def delay_trial(self, until: float) -> None:
        """Do not try a level that was refused before this time."""
        self._trial_at = max(self._trial_at, until)

    def on_answered(self, began: float, now: float, others: int) -> None:
        """A request was answered; `others` are in flight."""
        self._count(refused=False)
        self._lone_refusals = 0
        self._answers_since_outage += 1
        if self._storm_began is not None and began > self._storm_began:
            self._storm_began = None
        if 2 * (others + 1) < self.level:
            # The level is not used, so the answer is no reason to raise it.
            return
        if self.level < self.good:
            self.level = min(self.good, self.level + 1)
            return
        self._answers += 1
        if self._answers >= (SPARSE_ANSWERS if self.level < 1 else self.level):
            self._raise(now)

    def _raise(self, now: float) -> None:
        """A whole round was answered at this level, so it is good."""
        level, self.good = self.level, self.level
        if level >= self._refused:
            self._refused = math.inf
        if level < 1:
            self._change(min(1.0, level * (1 + self._sparse_step)))
            self._sparse_step = min(1.0, 2 * self._sparse_step)
        elif level + 1 >= self._refused:
            if self._answers >= TRIAL_ANSWERS and now >= self._trial_at:
                self._change(min(level + 1, self._maximum))
        else:
            self._change(min(level + self._step, self._refused - 1, self._maximum))
            self._step = min(2 * self._step, level) if self._refused == math.inf else 1.0

    def on_refused(self, began: float, now: float, others: int) -> None:
        """A request was refused; `others` are in flight, which the upstream probably serves."""
        self._count(refused=True)
        if self._storm_began is None:
            self._storm_began, self._storm_level = now, self.level
            self._before_storm = self.good, self._refused
        if began > self._lowered_at:
            self._window_level = self.level
        is_proven = self.level <= self.good and self._share < MAX_SHARE and now >= self._trial_at
        self._step, self._sparse_step = 1.0, SPARSE_RISE
        if not others and began > self._lone_refusal_at:
            self._lone_refusals += 1
            self._lone_refusal_at = now
        if self._load_check.ignores_refusals and (others or self._lone_refusals == 1):
            return
        if not others and (self._storm_level <= 1 or self._lone_refusals > 1):
            self._refuse_lone(is_proven=is_proven)
        else:
            self._lower(now, others, is_proven=is_proven)

    def _count(self, *, refused: bool) -> None:
        self._share += SHARE_WEIGHT * (refused - self._share)
        former = self._load_check.count(self.level, refused=refused)
        if former is not None:
            self.good, self._refused = former, math.inf
            self._change(former)

    def _lower(self, now: float, others: int, *, is_proven: bool) -> None:
        floor = math.floor(WINDOW_SHARE * self._window_level) if others else 1
        # A level on trial falls back to the last good one, which is safer than `others` before a rate limit.
        level = float(max(1, floor, min(self.level, others, max(1, self.good))))
        if not is_proven:
            self._refused = min(self._refused, max(2.0, self.level))
            self.good = min(self.good, level)
        if level < self.level:
            self.level, self._lowered_at = level, now
            if not is_proven:
                self._answers = 0

    def _refuse_lone(self, *, is_proven: bool) -> None:
        """One request after the other is refused: even those are too many, or it is an outage."""
        if self._storm_level > 1 and self._answers_since_outage >= ANSWERS_BETWEEN_OUTAGES:
            # Nothing is served at all, which says nothing about the capacity.
            self.good, self._refused = self._before_storm
            self._change(1.0)
            self._answers_since_outage = 0
        elif self._lone_refusals <= 2:
            if self.good < self.level <= 1:
                self._change(self.good)
            elif not is_proven:
                self.good = max(MIN_LEVEL, SPARSE_FALL * min(1.0, self.level))
                self._change(self.good)

    def _change(self, level: float) -> None:
        self.level, self._answers = level, 0
