"""What is wrong with the text of an input file, which must be UTF-8.

Source: RFC 8259, section 8, and recorded answers of the live API ("Must be utf-8 encoded").
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder

from nightlane.api_settings import KIB
from nightlane.domain.errors import BadRequest

CHECKED_BYTES = 64 * KIB
"""An upload is checked up to here; the rest when its batch is validated, with the number of the line."""

_HEX = b"[0-9a-fA-F]"
# A pair of surrogates, half of one in the only group, or any other escape.
_find_escapes = re.compile(
    rb"\\(?:u[dD][89abAB]%b{2}\\u[dD][c-fC-F]%b{2}|(u[dD][89a-fA-F]%b{2})|.)" % (_HEX, _HEX, _HEX), re.DOTALL
).finditer


def check_utf8(beginning: bytes, *, is_whole: bool) -> None:
    """Refuse a batch file whose first 64 KiB are not UTF-8.

    Args:
        beginning: at least `CHECKED_BYTES` of the file, or all of it.
        is_whole: whether it is all of it, so that a character may not be cut off at its end.

    Raises:
        BadRequest
    """
    problem = _problem_of(beginning[:CHECKED_BYTES], is_whole=is_whole and len(beginning) <= CHECKED_BYTES)
    if problem is not None:
        at, what = problem
        line = beginning.count(b"\n", 0, at) + 1
        raise BadRequest(f"Invalid file format for Batch API. Must be utf-8 encoded: in line {line}, {what}.")


def explain_line(line: bytes) -> str | None:
    """Return what is wrong with the text of a line that is not JSON; None if it is the JSON itself."""
    if problem := _problem_of(line, is_whole=True):
        return f"Must be utf-8 encoded: {problem[1]}."
    return explain_surrogate(line)


def explain_surrogate(text: bytes) -> str | None:
    """Return which escape in JSON text is half of a pair of surrogates; None if there is none."""
    half = next((match[1] for match in _find_escapes(text) if match[1]), None)
    if half is None:
        return None
    return f"The escape \\{half.decode()} is half of a pair of surrogates, which is not a character."


def _problem_of(data: bytes, *, is_whole: bool) -> tuple[int, str] | None:
    """Return the offset of the first byte that is not UTF-8 text, and what is wrong."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return 0, "it begins with the byte order mark of UTF-16"
    # A null byte is UTF-8, but never in JSON, and every other byte of ASCII letters in UTF-16.
    text, null, _ = data.partition(b"\0")
    try:
        getincrementaldecoder("utf-8")().decode(text, is_whole and not null)
    except UnicodeDecodeError as error:
        return error.start, f"the byte 0x{data[error.start]:02X} is not UTF-8"
    return (len(text), "there is a byte 0x00, as in UTF-16") if null else None
