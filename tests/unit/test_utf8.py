"""The check of an upload's first 64 KiB, wherever a character is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.errors import BadRequest
from nightlane.domain.utf8 import CHECKED_BYTES, check_utf8, explain_surrogate

LINE = b'{"a": 1}\n'


@given(character=st.sampled_from("é中😀"), before=st.integers(CHECKED_BYTES - 4, CHECKED_BYTES))
def test_a_character_that_the_limit_cuts_is_whole(character: str, before: int) -> None:
    data = b"x" * before + character.encode()
    check_utf8(data, is_whole=True)
    check_utf8(data[:CHECKED_BYTES], is_whole=False)


@given(text=st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_text_is_accepted_with_and_without_a_mark(text: str) -> None:
    check_utf8(text.encode(), is_whole=True)
    check_utf8(b"\xef\xbb\xbf" + text.encode(), is_whole=True)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (LINE * 2 + b'{"a": "caf\xe9"}\n', "in line 3, the byte 0xE9 is not UTF-8"),
        (LINE + "中".encode()[:2], "in line 2, the byte 0xE4 is not UTF-8"),
        (LINE.decode().encode("utf-16"), "in line 1, it begins with the byte order mark of UTF-16"),
        (b"\xfe\xff" + LINE.decode().encode("utf-16-be"), "byte order mark of UTF-16"),
        (LINE.decode().encode("utf-16-le"), "in line 1, there is a byte 0x00, as in UTF-16"),
        (LINE.decode().encode("utf-32"), "utf-8 encoded"),
        (b"\x1f\x8b\x08\0 gzip", "in line 1, the byte 0x8B is not UTF-8"),
        (b"x" * (CHECKED_BYTES - 1) + b"\xff", "0xFF"),
    ],
)
def test_other_encodings_are_refused_with_the_place(data: bytes, problem: str) -> None:
    with pytest.raises(BadRequest, match=r"Must be utf-8 encoded") as refused:
        check_utf8(data, is_whole=True)
    assert problem in refused.value.message


def test_bytes_after_the_limit_are_not_checked() -> None:
    check_utf8(b"x" * CHECKED_BYTES + b"\xff", is_whole=True)


@given(st.lists(st.sampled_from([r"\ud83d", r"\uDE00", r"\\ud83d", r"\\", r"\n", "x"])).map("".join))
def test_half_of_a_pair_of_surrogates_is_found_if_there_is_one(escaped: str) -> None:
    has_half = any(0xD800 <= ord(each) < 0xE000 for each in json.loads(f'"{escaped}"'))
    assert (explain_surrogate(escaped.encode()) is not None) is has_half
