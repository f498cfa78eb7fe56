"""An upstream's answer as strict JSON on one line: what some client would read, every client can read.

Source: RFC 8259. Its section 9 lets parsers accept more than the grammar and set limits of their own. They
do, each in its own way: Python's reads NaN and lone surrogates, JavaScript's and Go's read broken UTF-8.
"""

import json
import math
import re
from codecs import BOM_UTF8
from itertools import accumulate
from typing import Any

import msgspec

MAX_DEPTH = 500
"""Levels of nesting. Python's json stops at about 1,000, less the stack of its caller."""
LONGEST_INTEGER = 4_300
"""Python's json stops at this many digits, msgspec at this many characters."""

# Section 7 wants the first escaped. It lets the others be, but many readers of lines, such as Python's
# splitlines, break a line there.
_CONTROLS = {bytes([code]): json.dumps(chr(code))[1:-1].encode() for code in range(0x20)}
_SEPARATORS = {mark.encode(): json.dumps(mark)[1:-1].encode() for mark in "\u2028\u2029\x85"}

# Possessive throughout: nothing has to be tried twice, and in 16 MiB nothing may be.
_HEX = "[0-9a-fA-F]"
_ESCAPE = rf'\\(?:["\\/bfnrt]|u{_HEX}{{4}})'
_PAIR = rf"[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_SOUND_ESCAPE = rf'\\(?:["\\/bfnrt]|u(?:(?![dD][89a-fA-F]){_HEX}{{4}}|{_PAIR}))'
_STRING = rf'"(?:[^"\\]++|{_ESCAPE})*+"'
_SOUND_STRING = rf'"(?:[^"\\\x00-\x1f]++|{_SOUND_ESCAPE})*+"'
_WORDS = (b"-Infinity", b"Infinity", b"-NaN", b"NaN")
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
# Below 10^300 by its form.
_SOUND_NUMBER = r"-?(?:0|[1-9][0-9]{0,199}+)(?:\.[0-9]++)?+(?:[eE](?:-[0-9]++|\+?[0-9]{1,2}+))?+(?![0-9.eE])"
_SOUND = rf'(?:[^"0-9NI-]++|{_SOUND_STRING}|{_SOUND_NUMBER})++'
# Many at once where there may be many, for a call takes long.
_find_tokens = re.compile(
    rf"({_SOUND})|((?:-?(?:NaN|Infinity)[, \t\r\n]*+)++)|({_STRING})|({_NUMBER})|[\s\S]".encode()
).finditer
_sub_escapes = re.compile(rf"((?:[^\\]++|{_SOUND_ESCAPE})++)|{_ESCAPE}".encode()).sub
_sub_strings = re.compile(_STRING.encode()).sub
# What closes is no key.
_find_brackets = re.compile(
    rf'(?:[^]["{{}}]++|{_SOUND_STRING})*+(?:([\[{{])|([]}}])(?![ \t\r\n]*+:)|[\s\S]?)'.encode()
).finditer
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
LARGE_BYTES = 16 * 1024
_skip = msgspec.json.Decoder(msgspec.Raw).decode


def tidy(body: bytes) -> bytes | None:
    """The JSON value in an HTTP body as one line of strictly valid UTF-8 JSON that every common parser reads.

    None if it is not JSON to anybody. A value that is fine already keeps its bytes.
    """
    found = read(body)
    return found[0] if found else None


def read(body: bytes) -> tuple[bytes, Any] | None:
    """What `tidy` returns, and the value that it holds."""
    body = body.removeprefix(BOM_UTF8).strip(b" \t\r\n")
    found = _strict(body) or _mended(body)
    if found and not found[0].isascii():
        line, value = found
        for mark, escape in _SEPARATORS.items():
            line = line.replace(mark, escape)
        return line, value
    return found


def _strict(body: bytes) -> tuple[bytes, Any] | None:
    """The line and the value of a body that needs no mending."""
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
    """Sooner done than to count them all."""
    after = 0
    for _ in range(MAX_DEPTH // 2):
        after = body.find(bracket, after) + 1
        if not after:
            return False
    return True


def _mended(body: bytes) -> tuple[bytes, Any] | None:
    try:
        mended = bytearray()
        for token in _find_tokens(body.decode(errors="replace").encode()):
            mended += _mended_tokens(token)
        return _strict(bytes(mended)) or _strict(_flattened(bytes(mended)))
    except (ValueError, RecursionError):
        return None


def _mended_tokens(found: re.Match[bytes]) -> bytes:
    """Some tokens, in whatever order: the whole is read again. Raises: ValueError: it is no token."""
    sound, words, string, number = found.groups()
    if sound:
        return sound
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
    is_sound = len(number) <= LONGEST_INTEGER if is_integer else math.isfinite(float(number))
    return number if is_sound else b"null"


def _flattened(text: bytes) -> bytes:
    """What lies deeper than `MAX_DEPTH` as a string. No recursion: it may be any depth.

    It is read in chunks of so many levels, with null for what lies deeper. Raises: ValueError: malformed.
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
