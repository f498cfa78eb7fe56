"""Reading how long an upstream asks its clients to wait, in every format."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.upstream.waits import retry_after

NOW = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1e3", 1_000.0),
        ("Fri, 15 Jan 2027 08:01:30 GMT", 90.0),
        ("Friday, 15-Jan-27 08:00:05 GMT", 5.0),
        ("Fri, 15 Jan 2027 10:00:05 +0200", 5.0),
        ("Fri, 15 Jan 2027 08:00:05 -0000", 5.0),
        ("Fri, 15 Jan 2027 08:00:05", 5.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Sat, 01 Jan 0001 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 251_602_300_799.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Fri, 99 Foo 2027 08:00:00 GMT", None),
        ("Fri, 99999999999999999999 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 2027 08:00:00 +9999", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        (",", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_otherwise_ignored(value: str, seconds: float | None) -> None:
    assert retry_after(503, {"retry-after": value}, NOW) == seconds


def test_valid_milliseconds_take_precedence() -> None:
    assert retry_after(429, {"retry-after-ms": "250", "retry-after": "1"}, NOW) == 0.25
    for invalid in ("nan", "inf", "", "1s"):
        assert retry_after(429, {"retry-after-ms": invalid, "retry-after": "1"}, NOW) == 1.0
        assert retry_after(429, {"retry-after-ms": invalid}, NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("6m0s", 360.0),
        ("1h2m3.5s", 3_723.5),
        ("310ms", 0.31),
        ("1s500ms", 1.5),
        ("12", 12.0),
        ("0s", 0.0),
        ("soon", None),
        ("nan", None),
        ("9" * 400 + "s", None),
    ],
)
def test_the_reset_of_an_empty_bucket_is_a_go_duration_or_seconds(value: str, seconds: float | None) -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": value}
    assert retry_after(429, headers, NOW) == seconds


def test_the_latest_reset_of_the_empty_buckets_counts() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1s",
    }
    assert retry_after(429, headers, NOW) == 2.0
    assert retry_after(429, headers | {"x-ratelimit-remaining-requests": "59"}, NOW) == 1.0
    assert retry_after(429, {"x-ratelimit-reset-tokens": "1s"}, NOW) is None
    assert retry_after(429, {"x-ratelimit-remaining-tokens": "0"}, NOW) is None
    assert retry_after(429, headers | {"retry-after": "0"}, NOW) == 0.0


@pytest.mark.parametrize("status", [200, 400, 500, 503])
def test_buckets_are_ignored_unless_the_status_is_429(status: int) -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}
    assert retry_after(status, headers, NOW) is None


VALUES = st.text(max_size=40) | st.text("0123456789.-+eEhms :GMTFriJan,", max_size=40)


@given(
    ms=st.none() | VALUES, after=st.none() | VALUES, reset=st.none() | VALUES, status=st.integers(100, 599)
)
def test_with_any_headers_the_wait_is_a_finite_number_or_none(
    ms: str | None, after: str | None, reset: str | None, status: int
) -> None:
    given_headers = {"retry-after-ms": ms, "retry-after": after, "x-ratelimit-reset-requests": reset}
    headers = {name: value for name, value in given_headers.items() if value is not None}
    seconds = retry_after(status, headers | {"x-ratelimit-remaining-requests": "0"}, NOW)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
