"""The base URL of an endpoint, as people write it, and the addresses that come of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from nightlane.upstream.urls import join
from nightlane.upstream_settings import UpstreamSettings

CHAT = "/chat/completions"


@pytest.mark.parametrize(
    ("base", "whole"),
    [
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1//", "http://h:8000/v1/chat/completions"),
        ("http://h:8000", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/", "http://h:8000/v1/chat/completions"),
        ("HTTPS://H/openai/V1", "https://H/openai/V1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
        ("https://h/v1#top", "https://h/v1/chat/completions"),
        (
            "https://r.test/openai/deployments/d?api-version=2024-10-21",
            "https://r.test/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        ("https://r.test?api-version=1", "https://r.test/v1/chat/completions?api-version=1"),
    ],
)
def test_a_path_is_put_below_the_base_urls_path_and_before_its_query(base: str, whole: str) -> None:
    assert join(base, CHAT) == whole


@given(
    st.lists(st.text("abc.-_%20", min_size=1), max_size=3),
    st.integers(0, 3),
    st.dictionaries(st.text("abc", min_size=1), st.text("abc-1", min_size=1), max_size=2),
)
def test_slashes_at_the_end_and_a_query_never_change_the_path(
    parts: list[str], slashes: int, query: dict[str, str]
) -> None:
    base = "http://h/" + "/".join(["v1", *parts])
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    whole = join(base + "/" * slashes + (f"?{asked}" if asked else ""), CHAT)
    assert whole.partition("?") == (base + CHAT, "?" if asked else "", asked)
    assert dict(URL(whole).query) == query


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("models.test/v1", "an endpoint is a URL such as https://host/v1"),
        ("localhost:8000/v1", "an endpoint is a URL such as"),
        ("ftp://h/v1", "an endpoint is a URL such as"),
        ("http:///v1", "an endpoint is a URL such as"),
        ("http://[::1/v1", "Invalid IPv6 URL"),
        ("http://h:99999/v1", "Port out of range"),
        ("http://h:port/v1", "Port could not be cast"),
        ("http://user:secret@h/v1", "must not contain credentials"),
        ("http://h/v 1", "contains a space or a control character"),
        ("http://h/v1\n/x", "contains a space or a control character"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused_by_the_settings_name(url: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        UpstreamSettings(url=url)
    (error,) = caught.value.errors()
    assert error["loc"] == ("url",)
    assert reason in error["msg"]
    assert "secret" not in error["msg"]


def test_spaces_around_a_url_are_dropped() -> None:
    assert UpstreamSettings(url=" http://h/v1\n").url == "http://h/v1"
