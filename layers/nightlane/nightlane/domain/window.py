"""Completion windows: how long a batch may take, as its client asks for it.

OpenAI has only `24h`. Windows from `1h` to `7d` are an extension that other batch services have as well, for
example Groq: https://console.groq.com/docs/batch
"""

import re

from nightlane.api_settings import WindowSettings

HOUR_SECONDS = 3_600
DAY_SECONDS = 24 * HOUR_SECONDS
MIN_WINDOW_SECONDS = HOUR_SECONDS
MAX_WINDOW_SECONDS = 7 * DAY_SECONDS
SUPPORTED_WINDOWS = "values are: '24h', and any number of hours or days from '1h' to '7d'"
_WINDOW = re.compile(r"([1-9][0-9]{0,2})([hd])")
_UNITS = {"h": HOUR_SECONDS, "d": DAY_SECONDS}


def parse_window(window: str) -> int | None:
    """Return the seconds of a window such as `24h` or `7d`; None if it is not supported."""
    if (match := _WINDOW.fullmatch(window)) is None:
        return None
    seconds = int(match[1]) * _UNITS[match[2]]
    return seconds if MIN_WINDOW_SECONDS <= seconds <= MAX_WINDOW_SECONDS else None


def window_seconds(settings: WindowSettings, window: str) -> int:
    """Return how long a batch with a supported window may take, in seconds.

    `24h` is what every client sends that knows only OpenAI's window, so the operator chooses its length.
    """
    seconds = parse_window(window)
    assert seconds is not None
    return settings.completion_window_seconds if seconds == DAY_SECONDS else seconds


def longest_window_seconds(settings: WindowSettings) -> int:
    """Return the longest that any batch may take, in seconds."""
    return max(settings.completion_window_seconds, MAX_WINDOW_SECONDS)
