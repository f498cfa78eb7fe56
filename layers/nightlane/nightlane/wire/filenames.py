"""The name of an uploaded file, from the Content-Disposition of its part of a form.

Source: RFC 7578, section 4.2. Clients in .NET and older versions of urllib3 write `filename*` (RFC 5987) for
names beyond ASCII, although RFC 7578 does not allow it.
"""

import re
from urllib.parse import unquote_to_bytes

from multipart import MultipartSegment

from nightlane.domain.errors import BadRequest

_PARAMETERS = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'((?:[^%\s]|%[0-9A-Fa-f]{2})*)", re.IGNORECASE)


def filename_of(part: MultipartSegment) -> str | None:
    """Return the name of the file, or None if the part is a text field.

    Raises:
        BadRequest: `filename*` is malformed, and there is no `filename`.
    """
    disposition = part.header("Content-Disposition", "")
    plain: str | None = part.filename
    values = {name.lower(): value.strip() for name, value in _PARAMETERS.findall(disposition)}
    if "filename*" not in values:
        return plain
    decoded = _decode(values["filename*"].strip('"'))
    if decoded is None and plain is None:
        raise BadRequest(
            f"The part '{part.name}' has a malformed filename*. Expected UTF-8 or ISO-8859-1, two "
            "apostrophes and the percent-encoded name, such as filename*=UTF-8''in%20put.jsonl.",
            param=part.name,
        )
    return plain if decoded is None else decoded


def _decode(value: str) -> str | None:
    """Decode `encoding'language'percent-encoded`; None if it is malformed."""
    match = _EXTENDED.fullmatch(value)
    try:
        return unquote_to_bytes(match[2]).decode(match[1]) if match else None
    except UnicodeDecodeError:
        return None
