"""An answer that some client could read becomes strict JSON on one line, without losing text."""

import json
import math
import re
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nightlane.domain.inference import tolerant_json
from nightlane.domain.inference.tolerant_json import MAX_DEPTH, MAX_INTEGER_DIGITS, tidy

SURROGATES = re.compile("([\ud800-\udbff])([\udc00-\udfff])|[\ud800-\udfff]")
MIB = 2**20

text = st.text(
    st.one_of(st.characters(exclude_categories=()), st.sampled_from('\x00\t\r\n\x85\u2028\u2029"\\/'))
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(text, inner)), max_leaves=20
)
SCALARS = [
    *'null true fals NaN Infinity -Infinity - 0 -1 01 12 .5 1.5e-7 1E3 1e99 "a" "NaN," "[{"'.split(),
    *("1e999", "-1.5e400", "0e999", "1" * 310 + ".5", "1" * 250 + "e99"),
]
CHARACTERS = [
    *r"a é 💥 \ \n \" \q \u00e9 \u00g9 \ud83d \ude00 \ud83d\ude00".split(),
    *("\x00", "\t", "\r\n", "\x7f", "\x85", "\u2028", "\ufeff"),
]
MARKS = ["[", "]", "{", "}", ",", ":", '"', "[]", "{}", '{"a":', " ", "\n", "\r\n", "\t"]
space = st.sampled_from(["", "", " ", "\r\n", "\n \t"])
odd_string = st.lists(st.sampled_from(CHARACTERS)).map(lambda parts: '"' + "".join(parts) + '"')
odd_item = st.tuples(space, st.one_of(st.sampled_from(SCALARS), odd_string), space).map("".join)
odd_value = st.recursive(
    odd_item,
    lambda inner: st.one_of(
        st.lists(inner).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(st.tuples(odd_string, inner).map(":".join)).map(lambda pairs: "{" + ",".join(pairs) + "}"),
    ),
    max_leaves=8,
)
soup = st.lists(st.sampled_from(SCALARS + CHARACTERS + MARKS)).map("".join)


def nested(levels: int, inside: str = "1") -> bytes:
    """Alternate arrays and objects."""
    opened = '[{"a":' * (levels // 2) + "[" * (levels % 2)
    closed = "]" * (levels % 2) + "}]" * (levels // 2)
    return (opened + inside + closed).encode()


def tidy_and_check(body: bytes) -> bytes | None:
    """Return the result of `tidy` after checking what must be true of every result."""
    line = tidy(body)
    if line is not None:
        json.loads(line, parse_constant=pytest.fail)
        msgspec.json.decode(line)
        assert line == line.strip()
        assert len(line.decode().splitlines()) == 1
        assert tidy(line) == line
    return line


def expected(value: Any) -> Any:
    """Return the value that a client should read."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return SURROGATES.sub(join_surrogates, value)
    if isinstance(value, list):
        return [expected(item) for item in value]
    if isinstance(value, dict):
        return {expected(key): expected(item) for key, item in value.items()}
    return value


def join_surrogates(match: re.Match[str]) -> str:
    if not match[1]:
        return "\ufffd"
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16")


@given(
    values, st.booleans(), st.sampled_from([None, 0, 2]), st.sampled_from(["", "\n", " \r\n\t", "\ufeff\n"])
)
def test_every_value_is_kept(value: Any, ensure_ascii: bool, indent: int | None, before: str) -> None:
    written = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).replace("\n", "\r\n")
    body = (before + written + "\n").encode(errors="surrogatepass")
    line = tidy_and_check(body)
    assert line is not None
    # An unescaped surrogate is invalid UTF-8: three bytes, each of which is replaced.
    received = value if ensure_ascii else json.loads(body.decode("utf-8-sig", errors="replace"))
    assert json.loads(line) == expected(received)


@given(values.map(json.dumps))
def test_strict_json_on_one_line_keeps_its_bytes(written: str) -> None:
    try:
        msgspec.json.decode(written)
    except ValueError:
        return
    assert tidy_and_check(f" {written}\r\n".encode()) == written.encode()


@given(st.one_of(odd_value, soup))
@example('"\\\u2028"')
@example('{"a":1,}')
@example("{NaN:1}")
@example('"\\ud83d\\ud83d\\ude00\\\\ude00"')
@example('["\\q","NaN",NaN]')
def test_exactly_what_python_reads_is_read(body: str) -> None:
    line = tidy_and_check(body.encode())
    try:
        value = json.loads(body.removeprefix("\ufeff"), strict=False)
    except ValueError:
        assert line is None or "-NaN" in body
        return
    assert line is not None
    assert json.loads(line) == expected(value)


@given(odd_value, st.integers(1, 3))
@example("[[{[]:NaN}]]", 2)
def test_flattening_changes_nothing_else(body: str, levels: int) -> None:
    whole = tidy(body.encode())
    with patch.object(tolerant_json, "MAX_DEPTH", levels):
        line = tidy(body.encode())
    assert (line is None) == (whole is None)
    if line is not None and whole is not None:
        value = json.loads(whole)
        assert unflatten(json.loads(line), value, levels) == value


def unflatten(value: Any, whole: Any, levels: int) -> Any:
    """Parse the strings that replaced everything nested deeper than `levels`."""
    if levels == 0:
        return json.loads(value) if isinstance(whole, list | dict) else value
    if isinstance(value, list):
        return [unflatten(item, old, levels - 1) for item, old in zip(value, whole, strict=True)]
    if isinstance(value, dict):
        return {key: unflatten(item, whole[key], levels - 1) for key, item in value.items()}
    return value


@given(st.binary())
def test_any_bytes_are_handled(body: bytes) -> None:
    tidy_and_check(body)
    tidy_and_check(b'["' + body + b'"]')
    tidy_and_check(b"[" + body + b"]")


@given(st.one_of(st.lists(values), st.dictionaries(text, values)), st.booleans(), st.data())
def test_a_truncated_body_is_not_json(value: Any, ensure_ascii: bool, data: st.DataObject) -> None:
    body = json.dumps(value, ensure_ascii=ensure_ascii).encode(errors="surrogatepass")
    assert tidy(body[: data.draw(st.integers(0, len(body) - 1))]) is None


@pytest.mark.parametrize(
    ("body", "line"),
    [
        pytest.param(b"[NaN,NaN, -NaN]", b"[null,null, null]", id="NaN"),
        pytest.param(b'{"a":-Infinity,"b":Infinity}', b'{"a":null,"b":null}', id="infinity"),
        pytest.param(b'["NaN",NaN,"\\"NaN"]', b'["NaN",null,"\\"NaN"]', id="NaN in a string"),
        pytest.param(b"[1e999,-1E+999,0e999,1e-999]", b"[null,null,0e999,1e-999]", id="1e999"),
        pytest.param(b"1" * 400 + b".5", b"null", id="400 digits and a fraction"),
        pytest.param(b"[1.50,1E5,-0]", b"[1.50,1E5,-0]", id="numbers as they were written"),
        pytest.param(b"1" * 30, b"1" * 30, id="30 digits"),
        pytest.param(b"[NaN,%b]" % (b"1" * 30), b"[null,%b]" % (b"1" * 30), id="30 digits and NaN"),
        pytest.param(b"1" * MAX_INTEGER_DIGITS, b"1" * MAX_INTEGER_DIGITS, id="as many digits as allowed"),
        pytest.param(b"[%b,1]" % (b"1" * 5_000), b"[null,1]", id="5,000 digits"),
        pytest.param(b"\xef\xbb\xbf{}", b"{}", id="BOM"),
        pytest.param(b'["caf\xe9"]', '["caf\ufffd"]'.encode(), id="Latin-1"),
        pytest.param(b'["\xe2\x82"]', '["\ufffd"]'.encode(), id="a cut UTF-8 sequence"),
        pytest.param(b'["a\tb\x00\x1f\r\n"]', b'["a\\tb\\u0000\\u001f\\r\\n"]', id="raw controls"),
        pytest.param(b'["\\u0000"]', b'["\\u0000"]', id="NUL escaped"),
        pytest.param(b'["\\ud83d","\\uDE00x"]', b'["\\ufffd","\\ufffdx"]', id="lone surrogates"),
        pytest.param(b'["\\ud83d\\ude00\\ud83d"]', b'["\\ud83d\\ude00\\ufffd"]', id="a pair and a half"),
        pytest.param(b'["\\\\ud83d\t"]', b'["\\\\ud83d\\t"]', id="a backslash, not a surrogate"),
        pytest.param('["\u2028\u2029\x85"]'.encode(), b'["\\u2028\\u2029\\u0085"]', id="separators"),
        pytest.param('["\u2028",NaN]'.encode(), b'["\\u2028",null]', id="a separator and NaN"),
        pytest.param(b'\r\n\n {"a":1}', b'{"a":1}', id="blank lines first"),
        pytest.param(b'{"a":1,"a":NaN,"a":1}', b'{"a":1,"a":null,"a":1}', id="duplicate keys"),
        pytest.param(b'{\r\n  "a": [\r\n    1\r\n  ]\r\n}', b'{"a":[1]}', id="pretty with CRLF"),
        pytest.param(b'{\n  "a": NaN\n}', b'{"a":null}', id="pretty with NaN"),
        pytest.param(b"[1, 2]", b"[1, 2]", id="an array"),
        pytest.param(b'"text"', b'"text"', id="a bare string"),
        *(
            pytest.param(body, None, id=name)
            for name, body in {
                "empty": b"",
                "blank": b" \r\n",
                "BOM alone": b"\xef\xbb\xbf",
                "HTML": b"<html><body>502 Bad Gateway</body></html>",
                "two values": b"{}{}",
                "text after it": b"{} ok",
                "single quotes": b"{'a':1}",
                "comma at the end": b"[NaN,]",
                "no comma": b"[NaN 1]",
                "NaN as a key": b"{NaN:1}",
                "wrong bracket": b"[NaN}",
                "leading zero": b"[NaN,01]",
                "joined tokens": b"[1NaN]",
                "other space": b"[NaN,\xc2\xa01]",
                "separator outside": b"[NaN,\xe2\x80\xa81]",
                "unknown escape": b'["\\x41",NaN]',
                "server-sent events": b'data: {"a":1}\n\ndata: [DONE]\n\n',
            }.items()
        ),
    ],
)
def test_odd_bodies(body: bytes, line: bytes | None) -> None:
    assert tidy_and_check(body) == line


@pytest.mark.parametrize(("inside", "repaired"), [("1", "1"), ('"[[\u2028"', '"[[\u2028"'), ("NaN", "null")])
@pytest.mark.parametrize("levels", [1, 2, 99, 100, 101, 500, 1_000, 1_001, 2_500, 100_000])
def test_anything_nested_too_deep_becomes_a_string(levels: int, inside: str, repaired: str) -> None:
    line = tidy_and_check(nested(MAX_DEPTH + levels, inside))
    assert line == nested(MAX_DEPTH, json.dumps(nested(levels, repaired).decode()))


def test_anything_nested_up_to_the_limit_is_unchanged() -> None:
    assert tidy_and_check(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    assert tidy_and_check(nested(MAX_DEPTH, "NaN")) == nested(MAX_DEPTH, "null")
    many = b"[%b1]" % (b'[{}],"]",' * MAX_DEPTH)
    assert tidy_and_check(many) == many


def test_only_values_nested_too_deep_become_strings() -> None:
    around = nested(MAX_DEPTH - 1, "%s").decode()
    body = around % '{"a": [1], "b":[], "c":\r\n{"x\x85":\n[NaN]}, "]": "[", "d": 2}'
    line = around % '{"a":"[1]","b":"[]","c":"{\\"x\\u0085\\":[null]}","]":"[","d":2}'
    assert tidy_and_check(body.encode()) == line.encode()


@pytest.mark.parametrize(
    "inside", ["[[NaN}]", "[[1,]]", "{[1]:2}", "{[[1]]:2}", "[1", "]", "[1]]", "[1] [2]", "[[1] [2]]", "[x]"]
)
@pytest.mark.parametrize(
    "levels", [MAX_DEPTH - 1, MAX_DEPTH, 2 * MAX_DEPTH - 1, 2 * MAX_DEPTH, 3 * MAX_DEPTH]
)
def test_anything_nested_too_deep_is_still_validated(levels: int, inside: str) -> None:
    assert tidy(nested(levels, inside)) is None
    assert tidy(nested(levels, "[[1]]")) is not None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * MIB, id="opened only"),
        pytest.param(b"[" * MIB + b"]" * MIB, id="a million levels"),
        pytest.param(b"[%bNaN]" % (b"0.0123456789," * MIB), id="numbers"),
        pytest.param(b"[%b1]" % (b"NaN," * MIB), id="NaN only"),
        pytest.param(b'["%b",NaN]' % (b"\\n" * 4 * MIB), id="escapes"),
        pytest.param(b'["%b' % (b"\t" * 4 * MIB), id="a string without an end"),
        pytest.param(b'"' * 4 * MIB + b"\t", id="strings without commas"),
        pytest.param(b"<" * 4 * MIB, id="no token at all"),
        pytest.param(b"[%bNaN]" % (b" " * 4 * MIB), id="spaces"),
        pytest.param(b"[%b.0]" % (b"1" * 4 * MIB), id="one number"),
    ],
)
@pytest.mark.timeout(30)
def test_large_bodies_take_only_seconds(body: bytes) -> None:
    tidy(body)
