"""Turns an upstream's answer into strict JSON on one line: whatever some client could read, every client can.

Source: RFC 8259. Its section 9 allows parsers to accept more than the grammar and to set limits. Each does so
differently: Python's accepts NaN and lone surrogates, JavaScript's and Go's accept invalid UTF-8.
"""

import json
import math
import re
from codecs import BOM_UTF8
from itertools import accumulate
from typing import Any

import msgspec

from nightlane.domain.lines import escape_separators

MAX_DEPTH = 500
"""Levels of nesting. Python's json fails at about 1,000 levels, minus the depth of its caller's stack."""
MAX_INTEGER_DIGITS = 4_300
"""Python's json accepts at most this many digits, msgspec this many characters."""

# Section 7 requires these to be escaped.
_CONTROLS = {bytes([code]): json.dumps(chr(code))[1:-1].encode() for code in range(0x20)}

# All quantifiers are possessive, because backtracking would take far too long on a body of 16 MiB.
_HEX = "[0-9a-fA-F]"
_ESCAPE = rf'\\(?:["\\/bfnrt]|u{_HEX}{{4}})'
_PAIR = rf"[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_VALID_ESCAPE = rf'\\(?:["\\/bfnrt]|u(?:(?![dD][89a-fA-F]){_HEX}{{4}}|{_PAIR}))'
_STRING = rf'"(?:[^"\\]++|{_ESCAPE})*+"'
_VALID_STRING = rf'"(?:[^"\\\x00-\x1f]++|{_VALID_ESCAPE})*+"'
_WORDS = (b"-Infinity", b"Infinity", b"-NaN", b"NaN")
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
# The number of digits and the exponent keep it below 10^300.
_VALID_NUMBER = r"-?(?:0|[1-9][0-9]{0,199}+)(?:\.[0-9]++)?+(?:[eE](?:-[0-9]++|\+?[0-9]{1,2}+))?+(?![0-9.eE])"
_VALID = rf'(?:[^"0-9NI-]++|{_VALID_STRING}|{_VALID_NUMBER})++'
# Matches as many tokens as possible at once, because each call is expensive.
_find_tokens = re.compile(
    rf"({_VALID})|((?:-?(?:NaN|Infinity)[, \t\r\n]*+)++)|({_STRING})|({_NUMBER})|[\s\S]".encode()
).finditer
_sub_escapes = re.compile(rf"((?:[^\\]++|{_VALID_ESCAPE})++)|{_ESCAPE}".encode()).sub
_sub_strings = re.compile(_STRING.encode()).sub
# An array or object cannot be a key, so no colon may follow a closing bracket.
_find_brackets = re.compile(
    rf'(?:[^]["{{}}]++|{_VALID_STRING})*+(?:([\[{{])|([]}}])(?![ \t\r\n]*+:)|[\s\S]?)'.encode()
).finditer
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
LARGE_BYTES = 16 * 1024
_skip = msgspec.json.Decoder(msgspec.Raw).decode


def tidy(body: bytes) -> bytes | None:
    """Return the JSON value in an HTTP body as one line of strict UTF-8 JSON that every common parser reads.

    Returns None if no common parser reads it. A value that is already strict keeps its bytes.
    """
    parsed = read(body)
    return parsed[0] if parsed else None


def read(body: bytes) -> tuple[bytes, Any] | None:
    """Return the line that `tidy` returns, and its value."""
    body = body.removeprefix(BOM_UTF8).strip(b" \t\r\n")
    parsed = _parse_strict(body) or _repair(body)
    return (escape_separators(parsed[0]), parsed[1]) if parsed else None


def _parse_strict(body: bytes) -> tuple[bytes, Any] | None:
    """Return the line and the value of a body that needs no repair."""
    try:
        value = msgspec.json.decode(body)
        if _is_deep(body):
            return None
        return msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body, value
    except (ValueError, RecursionError):
        return None


def _is_deep(body: bytes) -> bool:
    if len(body) < LARGE_BYTES:
        is_suspicious = body.count(b"[") >= MAX_DEPTH // 2 or body.count(b"{") >= MAX_DEPTH // 2
    else:
        is_suspicious = _has_many(b"[", body) or _has_many(b"{", body)
    if not is_suspicious:
        return False
    brackets = _sub_strings(b"", body).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH


def _has_many(bracket: bytes, body: bytes) -> bool:
    """Whether a body has many of these brackets. On a large body this is faster than counting them all."""
    after = 0
    for _ in range(MAX_DEPTH // 2):
        after = body.find(bracket, after) + 1
        if not after:
            return False
    return True


def _repair(body: bytes) -> tuple[bytes, Any] | None:
    try:
        repaired = bytearray()
        for match in _find_tokens(body.decode(errors="replace").encode()):
            repaired += _repair_tokens(match)
        return _parse_strict(bytes(repaired)) or _parse_strict(_flatten(bytes(repaired)))
    except (ValueError, RecursionError):
        return None


def _repair_tokens(match: re.Match[bytes]) -> bytes:
    """Repair the matched tokens. Their order is not checked, because the result is parsed again.

    Raises:
        ValueError: it is not a token.
    """
    valid, words, string, number = match.groups()
    if valid:
        return valid
    if words:
        for word in _WORDS:
            words = words.replace(word, b"null")
        return words
    if string:
        for control, escape in _CONTROLS.items():
            string = string.replace(control, escape)
        return _sub_escapes(lambda escape: escape[1] or rb"\ufffd", string)
    if not number:
        raise ValueError
    is_integer = number.removeprefix(b"-").isdigit()
    is_valid = len(number) <= MAX_INTEGER_DIGITS if is_integer else math.isfinite(float(number))
    return number if is_valid else b"null"


def _flatten(text: bytes) -> bytes:
    """Replace everything nested deeper than `MAX_DEPTH` with a string of its text.

    It does not recurse, because the depth is unlimited. The text is validated in chunks of `MAX_DEPTH`
    levels, with null in place of anything deeper.

    Raises:
        ValueError: the text is malformed.
    """
    chunks = [bytearray()]
    depth = copied = deep_from = 0
    for bracket in _find_brackets(text):
        if bracket[1]:
            if depth and depth % MAX_DEPTH == 0:
                chunks[-1] += text[copied : bracket.start(1)]
                chunks.append(bytearray())
                copied = bracket.start(1)
                deep_from = deep_from if depth > MAX_DEPTH else copied
            depth += 1
        elif bracket[2]:
            depth -= 1
            if depth > 0 and depth % MAX_DEPTH == 0:
                _skip(chunks.pop() + text[copied : bracket.end()])
                copied = bracket.end()
                deep = None if depth > MAX_DEPTH else text[deep_from:copied].translate(None, b"\r\n").decode()
                chunks[-1] += msgspec.json.encode(deep)
    if len(chunks) > 1:
        raise ValueError
    return bytes(chunks[0] + text[copied:])
