"""Hours in which an upstream may be used: on the clocks of a zone, on days when they change, too."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nightlane.domain.active_hours import ActiveHours

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
TIMES = st.times().map(lambda each: each.replace(second=0, microsecond=0))
HOURS = st.builds(ActiveHours, TIMES, TIMES, st.sampled_from(ZONES)).filter(
    lambda hours: hours.start != hours.end
)
# 2026 to 2030, in seconds since 1970.
MOMENTS = st.floats(1_767_225_600, 1_893_456_000)
# The clocks of Berlin are put forward at 01:00 UTC on this day, and back at 01:00 UTC on the other.
SPRING = datetime(2026, 3, 29, tzinfo=ZoneInfo("UTC")).timestamp()
AUTUMN = datetime(2026, 10, 25, tzinfo=ZoneInfo("UTC")).timestamp()
HOUR = 3_600
SKIPPED = ActiveHours(time(2, 10), time(2, 50), "Europe/Berlin")


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("text", "active", "inactive"),
    [
        ("22:00-06:00 Europe/Berlin", ["22:00", "23:59", "00:00", "05:59"], ["06:00", "21:59", "12:00"]),
        ("08:30-17:00 Europe/Berlin", ["08:30", "16:59"], ["08:29", "17:00", "00:00"]),
        ("18:00-24:00 Europe/Berlin", ["18:00", "23:59"], ["00:00", "17:59"]),
    ],
)
def test_hours_include_their_start_and_exclude_their_end(
    text: str, active: list[str], inactive: list[str]
) -> None:
    hours = ActiveHours.parse(text)
    for each in (*active, *inactive):
        assert hours.is_active(berlin(f"2026-07-01T{each}")) == (each in active), each


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("at night", "are written as"),
        ("22-06 Europe/Berlin", "are written as"),
        ("22:00-06:00", "are written as"),
        ("25:00-06:00 UTC", "hour must be in"),
        ("22:60-06:00 UTC", "minute must be in"),
        ("06:00-06:00 UTC", "at the same time"),
        ("00:00-24:00 UTC", "at the same time"),
        ("22:00-06:00 Europe/Nowhere", "'Europe/Nowhere' is not a time zone"),
        ("22:00-06:00 ../../etc/passwd", "is not a time zone"),
    ],
)
def test_hours_that_mean_nothing_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ActiveHours.parse(text)


@given(HOURS)
def test_hours_can_be_written_and_read_back(hours: ActiveHours) -> None:
    assert ActiveHours.parse(str(hours)) == hours


@given(HOURS, MOMENTS)
@example(SKIPPED, SPRING)
@example(SKIPPED, AUTUMN)
def test_nothing_changes_before_the_next_change(hours: ActiveHours, now: float) -> None:
    active, change = hours.is_active(now), hours.next_change(now)
    assert now < change <= now + 49 * HOUR
    assert hours.is_active(change) != active
    moments = (now + (change - now) * part / 97 for part in range(97))
    assert {hours.is_active(moment) for moment in moments} == {active}


def test_an_hour_that_the_clock_skips_is_not_active() -> None:
    assert SKIPPED.next_change(SPRING) == SPRING + 24 * HOUR + 10 * 60
    night = ActiveHours.parse("02:30-06:00 Europe/Berlin")
    assert night.next_change(SPRING) == SPRING + HOUR


def test_an_hour_that_the_clock_repeats_is_active_twice() -> None:
    first = AUTUMN + 10 * 60
    changes = [first]
    for _ in range(3):
        changes.append(SKIPPED.next_change(changes[-1]))
    assert changes == [first, AUTUMN + 50 * 60, AUTUMN + HOUR + 10 * 60, AUTUMN + HOUR + 50 * 60]
