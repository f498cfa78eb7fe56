"""What quotas allow, how prompt tokens are estimated, and how the headers show what is left."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.quotas import (
    MAX_QUOTA,
    NO_QUOTA,
    Allowances,
    Quota,
    TenantUse,
    estimate_prompt_tokens,
    get_allowances,
    in_flight_per_upstream,
    parse_quota,
    quota_from_text,
    quota_to_text,
    show_quota,
)
from nightlane.wire.rate_limits import go_duration, rate_limit_headers

NOW = 1_800_000_600
quotas = st.builds(
    Quota,
    **dict.fromkeys(Quota.__struct_fields__, st.none() | st.integers(1, MAX_QUOTA)),
)


class Used:
    """A store with fixed counters."""

    def __init__(self, use: TenantUse) -> None:
        self._use = use

    def get_use(self, tenant: str, hour: int) -> TenantUse:
        assert (tenant, hour) == ("acme", 500_000)
        return self._use


@given(quotas)
def test_a_quota_survives_storage_and_the_command_line(quota: Quota) -> None:
    assert quota_from_text(quota_to_text(quota)) == quota
    assert parse_quota(show_quota(quota).split()) == quota


@pytest.mark.parametrize("entry", ["x=1", "batches_per_hour", "batches_per_hour=0", "stored_bytes=1e9", "=1"])
def test_an_invalid_quota_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"unknown quota|must be a whole number"):
        parse_quota([entry])


def test_a_key_replaces_only_the_numbers_that_it_has() -> None:
    default = Quota(batches_per_hour=10, stored_bytes=5)
    assert Quota(batches_per_hour=99).over(default) == Quota(batches_per_hour=99, stored_bytes=5)
    assert NO_QUOTA.over(default) == default


def test_the_requests_in_flight_are_divided_among_the_upstreams() -> None:
    assert in_flight_per_upstream(NO_QUOTA, 3) is None
    assert in_flight_per_upstream(Quota(requests_in_flight=7), 3) == 2


def test_four_bytes_of_text_are_a_token() -> None:
    messages = [{"role": "user", "content": "x" * 36}, {"role": "user", "content": [{"text": "中" * 4}]}]
    # 4 + 36 + 4 + 12 bytes, and 4 for the model.
    assert estimate_prompt_tokens({"model": "mock", "messages": messages, "temperature": 1}) == 15
    assert estimate_prompt_tokens({"input": [1, 2, 3]}) == 3
    assert estimate_prompt_tokens({"input": [[1, 2], [3]]}) == 3
    assert estimate_prompt_tokens({"image_url": {"url": "data:image/png;base64," + "A" * 10_000}}) == 0
    assert estimate_prompt_tokens({"input": "\ud800"}) == 1


@given(st.integers(0, 10**7))
def test_a_duration_is_written_as_go_does(seconds: int) -> None:
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(\d+)s", go_duration(seconds))
    assert match is not None
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    assert hours * 3_600 + minutes * 60 + rest == seconds
    assert max(minutes, rest) < 60


def test_the_headers_show_what_is_left_and_when_it_is_all_available_again() -> None:
    use = TenantUse(batches=7, tokens=1_200, tokens_until=NOW + 7_200)
    allowances = get_allowances(Used(use), "acme", Quota(batches_per_hour=10, enqueued_tokens=1_000), NOW)
    assert rate_limit_headers(allowances) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "50m0s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "2h0m0s",
    }
    unused = get_allowances(Used(TenantUse()), "acme", Quota(enqueued_tokens=5), NOW)
    assert rate_limit_headers(unused)["x-ratelimit-reset-tokens"] == "0s"
    assert rate_limit_headers(Allowances()) == {}
