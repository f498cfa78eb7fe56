"""The body of `POST /v1/batches`: with the id of an input file, or with the requests themselves.

The requests are an extension. They are not decoded, so that each becomes a line exactly as it was written.
"""

from collections.abc import Sequence

import msgspec

from nightlane.domain.errors import BadRequest
from nightlane.wire.requests import NO_JSON, CreateBatch, read, read_json

REQUESTS, INPUT_FILE_ID = "requests", "input_file_id"
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_create_batch(body: bytes, extra_endpoints: Sequence[str] = ()) -> tuple[CreateBatch, bytes | None]:
    """Return the parameters, and the lines if the body has requests. Raises: BadRequest."""
    rest, requests = _split(body)
    values = read_json(rest)
    given = isinstance(values, dict) and INPUT_FILE_ID in values
    if given and requests is not None:
        message = (
            f"Mutually exclusive parameters: '{INPUT_FILE_ID}' and '{REQUESTS}'. Ensure you are only "
            "providing one of them."
        )
        raise BadRequest(message, code="mutually_exclusive_parameters", param=REQUESTS)
    if isinstance(values, dict) and not given and requests is None:
        message = f"Missing required parameter: '{INPUT_FILE_ID}'."
        raise BadRequest(message, code="missing_required_parameter", param=INPUT_FILE_ID)
    return read(CreateBatch, values, extra_endpoints), None if requests is None else _lines(requests)


def _split(body: bytes) -> tuple[bytes, msgspec.Raw | None]:
    """Return the body without `requests`, and these if they are given."""
    if REQUESTS.encode() not in body:
        return body, None
    try:
        members = _decode_members(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        # Python's parser accepts more, such as NaN.
        if isinstance(values := read_json(body), dict) and REQUESTS in values:
            raise BadRequest(NO_JSON) from error
        return body, None
    requests = members.pop(REQUESTS, None)
    return msgspec.json.encode(members), requests


def _lines(requests: msgspec.Raw) -> bytes:
    try:
        found = [bytes(request).strip() for request in _decode_list(requests)]
    except msgspec.MsgspecError as error:
        raise _invalid(REQUESTS, "an array of objects") from error
    if not found:
        message = f"Invalid '{REQUESTS}': empty array. Expected an array with at least one request."
        raise BadRequest(message, code="empty_array", param=REQUESTS)
    for number, request in enumerate(found):
        if not request.startswith(b"{"):
            raise _invalid(f"{REQUESTS}.{number}", "an object")
    # In valid JSON, line breaks are only between tokens.
    return b"".join(b"%b\n" % request.replace(b"\n", b" ").replace(b"\r", b" ") for request in found)


def _invalid(name: str, expected: str) -> BadRequest:
    message = f"Invalid type for '{name}': expected {expected}."
    return BadRequest(message, code="invalid_type", param=name)
