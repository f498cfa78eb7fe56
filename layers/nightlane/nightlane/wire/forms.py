"""The form of an upload. Every field that is not understood is refused by name, as OpenAI does.

Source: https://platform.openai.com/docs/api-reference/files/create
"""

from typing import Any

from nightlane.domain.errors import BadRequest
from nightlane.domain.ids import shorten
from nightlane.wire.multipart import HOW_TO_SEND_A_FILE, Form, FormFile
from nightlane.wire.requests import CreateFile, read

EXPIRY = {f"expires_after[{name}]": name for name in ("anchor", "seconds")}
FIELDS = ("file", "purpose", *EXPIRY)


def read_upload(form: Form) -> tuple[CreateFile, FormFile]:
    """Return the fields and the file of `POST /v1/files`. Raises: BadRequest."""
    for name in (*form.fields, *form.files):
        if name not in FIELDS and name != "expires_after":
            raise _unknown(name)
    for name in form.files:
        if name != "file":
            message = f"Invalid type for '{name}': expected a string, but got a file instead."
            raise BadRequest(message, code="invalid_type", param=name)
    fields = {name: value for name, value in form.fields.items() if name != "file"}
    request = read(CreateFile, _nested(fields))
    if "file" not in form.files:
        raise _missing_file(form)
    return request, form.files["file"]


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    """Combine `expires_after[anchor]` and `expires_after[seconds]` into one object."""
    expiry = {EXPIRY[name]: value for name, value in fields.items() if name in EXPIRY}
    others = {name: value for name, value in fields.items() if name not in EXPIRY}
    # One that is not an object stays, and is refused as such.
    return ({"expires_after": expiry} if expiry else {}) | others


def _unknown(name: str) -> BadRequest:
    known = ", ".join(f"'{each}'" for each in FIELDS)
    message = f"Unknown parameter: '{shorten(name)}'. This form may have the fields {known}."
    return BadRequest(message, code="unknown_parameter", param=shorten(name))


def _missing_file(form: Form) -> BadRequest:
    if "file" in form.fields:
        message = f"Invalid type for 'file': expected a file, but got a text field. {HOW_TO_SEND_A_FILE}"
        return BadRequest(message, code="invalid_type", param="file")
    message = "Missing required parameter: 'file'."
    return BadRequest(message, code="missing_required_parameter", param="file")
