"""multipart/form-data, strictly: what the official clients send, and no guesses at what they do not.

Source: RFC 7578; a field's order is free, a file's bytes may hold anything but the delimiter.
"""

from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from nightlane.domain.errors import BadRequest

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FormFile:
    """An uploaded file."""

    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """Text fields and the one file, by name."""

    fields: dict[str, str]
    files: dict[str, FormFile]


def read_form(content_type: str, body: bytes) -> Form:
    """The form in a request body.

    Raises:
        BadRequest: it is no form, or a broken one.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() != "multipart/form-data":
        raise BadRequest("Expected a body of the type multipart/form-data.")
    if not (boundary := options.get("boundary")):
        raise BadRequest("The Content-Type has no boundary.")
    form = Form({}, {})
    try:
        with PushMultipartParser(boundary, strict=True, max_segment_count=MAX_FIELDS) as parser:
            _collect(parser, body, form)
    except (MultipartError, UnicodeError, ValueError) as error:
        raise BadRequest(f"The multipart body is broken: {error}") from error
    return form


def _collect(parser: PushMultipartParser, body: bytes, form: Form) -> None:
    segment: MultipartSegment | None = None
    data = bytearray()
    for event in parser.parse(body):
        if isinstance(event, MultipartSegment):
            segment, data = event, bytearray()
        elif event:
            data += event
        elif segment is not None:
            _add(form, segment, bytes(data))
            segment = None
    parser.close()


def _add(form: Form, segment: MultipartSegment, data: bytes) -> None:
    name = segment.name
    if name in form.fields or name in form.files:
        raise BadRequest(f"Duplicate parameter: '{name}'.", param=name)
    if segment.filename is not None:
        form.files[name] = FormFile(segment.filename, data)
    elif len(data) > MAX_FIELD_BYTES:
        raise BadRequest(f"The field '{name}' is too long.", param=name)
    else:
        form.fields[name] = data.decode()
