"""The hours of the day in which an upstream may be used."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FORM = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")
_MINUTE = 60
# A day may have no change, if the clock is put forward over all of the active hours.
_MINUTES_AHEAD = 3 * 24 * 60


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """From `start` to `end` (exclusive) on the clocks of `zone`; past midnight if `end` is earlier.

    An hour that is repeated when the clock is put back counts both times, one that is skipped not at all.
    """

    start: time
    end: time
    zone: str

    @classmethod
    def parse(cls, text: str) -> "ActiveHours":
        """Read `22:00-06:00 Europe/Berlin`; `24:00` is midnight. Raises: ValueError."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ValueError("active hours are written as '22:00-06:00 Europe/Berlin'")
        *numbers, zone = found.groups()
        start, end = _time(*numbers[:2]), _time(*numbers[2:])
        if start == end:
            raise ValueError("active hours must not begin and end at the same time")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"'{zone}' is not a time zone such as Europe/Berlin") from error
        return cls(start, end, zone)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"

    def is_active(self, now: float) -> bool:
        """Whether the upstream may be used at `now`, in seconds since 1970."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.zone)).time()
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def opens_at(self, now: float) -> int | None:
        """When they begin, in seconds since 1970; None if it is now one of them."""
        return None if self.is_active(now) else self.next_change(now)

    def closes_at(self, now: float) -> int | None:
        """When they end, in seconds since 1970; None if it is not one of them."""
        return self.next_change(now) if self.is_active(now) else None

    def next_change(self, now: float) -> int:
        """When `is_active` next changes: a whole minute after `now`, in seconds since 1970."""
        active, minute = self.is_active(now), int(now // _MINUTE) + 1
        changes = (
            each
            for each in range(minute, minute + _MINUTES_AHEAD)
            if self.is_active(each * _MINUTE) != active
        )
        return next(changes, minute + _MINUTES_AHEAD) * _MINUTE


def _time(hour: str, minute: str) -> time:
    """Raises: ValueError."""
    return time() if (hour, minute) == ("24", "00") else time(int(hour), int(minute))
