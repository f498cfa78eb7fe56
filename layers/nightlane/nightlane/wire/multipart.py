"""Parses multipart/form-data as the official clients send it. Anything malformed is refused.

Source: RFC 7578. Fields may be in any order; a file may contain any bytes except the delimiter.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from nightlane.domain.errors import BadRequest
from nightlane.domain.received import InMemory, Received
from nightlane.wire.filenames import filename_of

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024
HOW_TO_SEND_A_FILE = "A file needs a filename in the Content-Disposition of its part."


class FormFile(msgspec.Struct, frozen=True):
    """An uploaded file."""

    filename: str
    content: Received


class Form(msgspec.Struct, frozen=True):
    """Text fields and files, by name."""

    fields: dict[str, str]
    files: dict[str, FormFile]


def read_form(content_type: str, body: bytes) -> Form:
    """Parse the form in a request body. Raises: BadRequest, if it is not a form or malformed."""
    reader = FormReader(content_type)
    reader.feed(body)
    return reader.close()


class FormReader:
    """Parses a form as its bytes arrive, keeping only the text fields in memory.

    Args:
        content_type: the Content-Type of the request, with the boundary.
        new_file: returns an object that the content of a file is written to.

    Raises:
        BadRequest: from any method, if the body is not a form or malformed.
    """

    def __init__(self, content_type: str, new_file: Callable[[], Received] = InMemory) -> None:
        kind, options = parse_options_header(content_type)
        if kind.lower() != "multipart/form-data":
            raise BadRequest("Expected a body of the type multipart/form-data.")
        if not (boundary := options.get("boundary")):
            raise BadRequest("The Content-Type has no boundary.")
        with _refuse_malformed():
            # Not in strict mode, which would refuse a newline after the end that arrives separately.
            self._parser = PushMultipartParser(boundary, max_segment_count=MAX_FIELDS)
        self._new_file = new_file
        self._form = Form({}, {})
        self._segment: MultipartSegment | None = None
        self._filename: str | None = None
        self._content: Received = InMemory()

    def feed(self, data: bytes) -> None:
        """Parse the next chunk of the body."""
        with _refuse_malformed():
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event:
                    self._write(event)
                elif self._segment is not None:
                    self._add(self._segment)
                    self._segment = None

    def close(self) -> Form:
        """Return the form, once its whole body has been parsed."""
        with _refuse_malformed():
            self._parser.close()
        return self._form

    def _begin(self, segment: MultipartSegment) -> None:
        name = segment.name
        if not name:
            raise BadRequest("A part of the form has no name.")
        if name in self._form.fields or name in self._form.files:
            raise BadRequest(f"Duplicate parameter: '{name}'.", param=name)
        self._segment = segment
        self._filename = filename_of(segment)
        self._content = InMemory() if self._filename is None else self._new_file()

    def _write(self, data: bytes) -> None:
        assert self._segment is not None
        self._content.write(data)
        if self._filename is None and self._content.size > MAX_FIELD_BYTES:
            raise _not_text(self._segment.name, f"is too long: it may have {MAX_FIELD_BYTES} bytes")

    def _add(self, segment: MultipartSegment) -> None:
        if self._filename is not None:
            self._form.files[segment.name] = FormFile(self._filename, self._content)
            return
        try:
            self._form.fields[segment.name] = b"".join(self._content.chunks()).decode()
        except UnicodeDecodeError as error:
            raise _not_text(segment.name, "is not UTF-8") from error


def _not_text(name: str, problem: str) -> BadRequest:
    return BadRequest(f"The text field '{name}' {problem}. {HOW_TO_SEND_A_FILE}", param=name)


@contextmanager
def _refuse_malformed() -> Iterator[None]:
    try:
        yield
    except (MultipartError, UnicodeError, ValueError) as error:
        is_about_text = any(isinstance(each, UnicodeError) for each in (error, *error.args))
        reason = "a header is not UTF-8" if is_about_text else error.args[0]
        raise BadRequest(f"The multipart body is broken: {reason}") from error
