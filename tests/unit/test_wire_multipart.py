"""Multipart bodies as the official clients send them, and malformed ones."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.errors import ApiError, BadRequest
from nightlane.wire.multipart import MAX_FIELD_BYTES, Form, FormReader, read_form

BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def body(*parts: tuple[str, bytes], end: bytes = b"--b0undary--\r\n") -> bytes:
    return (
        b"".join(
            b"--b0undary\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (disposition.encode(), data)
            for disposition, data in parts
        )
        + end
    )


def content(form: Form) -> bytes:
    return b"".join(form.files["file"].content.chunks())


PURPOSE = ('name="purpose"', b"batch")


@pytest.mark.parametrize("filename", ["in.jsonl", "upload", "spaß 中.jsonl"])
def test_the_order_of_the_fields_is_free(filename: str) -> None:
    file = (f'name="file"; filename="{filename}"', b'{"a": 1}\n')
    for parts in ((PURPOSE, file), (file, PURPOSE)):
        form = read_form(TYPE, body(*parts))
        assert form.fields == {"purpose": "batch"}
        assert (form.files["file"].filename, content(form)) == (filename, b'{"a": 1}\n')


@given(
    data=st.binary(max_size=300)
    | st.lists(
        st.sampled_from([b"--b0undary", b"b0undary", b"\r\n", b"--", b"\n--b0undary", "é中".encode(), b"x"])
    ).map(b"".join)
)
def test_a_file_is_read_unchanged_unless_it_contains_the_delimiter(data: bytes) -> None:
    if b"\r\n--b0undary" in b"\r\n" + data + b"\r\n":
        return
    form = read_form(TYPE, body(('name="file"; filename="f"', data), PURPOSE))
    assert content(form) == data


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("", body(PURPOSE)),
        ("application/json", b"{}"),
        ("multipart/form-data", body(PURPOSE)),
        (TYPE, b""),
        (TYPE, body(PURPOSE)[:-20]),
        (TYPE, body(PURPOSE, end=b"")),
        (TYPE, body(PURPOSE, PURPOSE)),
        (TYPE, b"--b0undary\r\nno header\r\n\r\nx\r\n--b0undary--\r\n"),
        (TYPE, body(('name="purpose"', b"\xff\xfe"))),
    ],
)
def test_a_malformed_form_is_a_bad_request(content_type: str, data: bytes) -> None:
    with pytest.raises(BadRequest):
        read_form(content_type, data)


@given(content_type=st.text(max_size=40) | st.just(TYPE), data=st.binary(max_size=200))
def test_any_bytes_are_a_form_or_a_bad_request(content_type: str, data: bytes) -> None:
    try:
        form = read_form(content_type, data)
    except ApiError as error:
        assert error.status == 400  # noqa: PT017
    else:
        assert isinstance(form.fields, dict)


@given(
    data=st.binary(max_size=200) | st.just(b"\r\n--b0undary"),
    end=st.sampled_from([b"--b0undary--\r\n", b"--b0undary--", b"--b0undary--\r\nepilogue"]),
    cuts=st.sets(st.integers(0, 400)),
)
def test_a_form_is_parsed_the_same_however_it_is_split(data: bytes, end: bytes, cuts: set[int]) -> None:
    whole = body(('name="file"; filename="f"', data), PURPOSE, end=end)
    try:
        expected = read_form(TYPE, whole)
    except BadRequest:
        return
    places = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    reader = FormReader(TYPE)
    for start, stop in pairwise(places):
        if start < stop:
            reader.feed(whole[start:stop])
    form = reader.close()
    assert (form.fields, content(form)) == (expected.fields, content(expected))


def test_a_field_that_is_too_long_is_refused_before_all_of_it_has_come() -> None:
    reader = FormReader(TYPE)
    reader.feed(body(('name="purpose"', b""), end=b"")[:-2])
    with pytest.raises(BadRequest, match="too long"):
        reader.feed(b"x" * (MAX_FIELD_BYTES + 1))


JAPANESE = "報告.jsonl"
ENCODED = "%E5%A0%B1%E5%91%8A.jsonl"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (f"name=file; filename*=utf-8''{ENCODED}", JAPANESE),
        (f"name=file; filename=\"=?utf-8?B?5aCx?=\"; filename*=utf-8''{ENCODED}", JAPANESE),
        (f'name="file"; filename*=UTF-8\'ja\'{ENCODED}; filename="report.jsonl"', JAPANESE),
        (f'name="file"; FileName*="UTF-8\'\'{ENCODED}"', JAPANESE),
        ("name=file; filename* = iso-8859-1''caf%E9.jsonl", "café.jsonl"),
        ("name=file; filename*=utf-8''", ""),
        ("name=file; filename*=utf-8''caf%E9; filename=cafe.jsonl", "cafe.jsonl"),
        ("name=file; filename*=koi8-r''x; filename=plain.jsonl", "plain.jsonl"),
        ('name="file"; filename="a; filename*=utf-8\'\'b"', "a; filename*=utf-8''b"),
    ],
)
def test_a_filename_beyond_ascii_is_read(disposition: str, filename: str) -> None:
    form = read_form(TYPE, body((disposition, b"x"), PURPOSE))
    assert (form.files["file"].filename, content(form)) == (filename, b"x")


@pytest.mark.parametrize("value", ["in.jsonl", "utf-8''%E9", "utf-8''%zz", "utf-7''x", "''x", ""])
def test_a_malformed_filename_is_refused_if_there_is_no_other(value: str) -> None:
    with pytest.raises(BadRequest, match=r"The part 'file' has a malformed filename\*"):
        read_form(TYPE, body((f"name=file; filename*={value}", b"x"), PURPOSE))


@pytest.mark.parametrize("data", [b"x" * (MAX_FIELD_BYTES + 1), b"caf\xe9"])
def test_a_part_without_a_filename_that_is_no_text_says_what_is_missing(data: bytes) -> None:
    with pytest.raises(BadRequest, match=r"'file' is .*needs a filename"):
        read_form(TYPE, body(('name="file"', data), PURPOSE))


def test_a_filename_in_another_encoding_says_so() -> None:
    part = 'name="file"; filename="café"'
    data = body((part, b"x")).replace("é".encode(), b"\xe9")
    with pytest.raises(BadRequest, match="a header is not UTF-8"):
        read_form(TYPE, data)


@given(disposition=st.text(st.sampled_from("name=file;*\"'%\\utf-8 \t=E9é"), max_size=60))
def test_any_content_disposition_is_read_or_refused(disposition: str) -> None:
    try:
        read_form(TYPE, body((disposition, b"x")))
    except ApiError as error:
        assert error.status == 400  # noqa: PT017
