"""Completion windows: hours and days from 1h to 7d, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.api_settings import WindowSettings
from nightlane.domain.window import longest_window_seconds, parse_window, window_seconds


@given(st.integers(1, 168))
def test_every_whole_hour_of_a_week_is_a_window(hours: int) -> None:
    assert parse_window(f"{hours}h") == hours * 3_600


@given(st.integers(1, 7))
def test_every_day_of_a_week_is_a_window(days: int) -> None:
    assert parse_window(f"{days}d") == parse_window(f"{days * 24}h")


@pytest.mark.parametrize(
    "window",
    [
        "",
        "0h",
        "0d",
        "169h",
        "8d",
        "24",
        "h",
        "01h",
        "1.5h",
        "-1h",
        "+1h",
        "24H",
        " 24h",
        "24h\n",
        "1w",
        "٣h",
    ],
)
def test_anything_else_is_not(window: str) -> None:
    assert parse_window(window) is None


@given(st.text(max_size=8))
def test_a_window_is_between_an_hour_and_a_week(window: str) -> None:
    seconds = parse_window(window)
    assert seconds is None or 3_600 <= seconds <= 604_800


def test_the_operator_chooses_the_length_of_24h_only() -> None:
    settings = WindowSettings(completion_window_seconds=172_800)
    lengths = {window: window_seconds(settings, window) for window in ("24h", "1d", "1h", "7d")}
    assert lengths == {"24h": 172_800, "1d": 172_800, "1h": 3_600, "7d": 604_800}


def test_data_is_kept_for_the_longest_window() -> None:
    assert longest_window_seconds(WindowSettings()) == 604_800
    assert longest_window_seconds(WindowSettings(completion_window_seconds=864_000)) == 864_000
