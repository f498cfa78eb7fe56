"""Multipart bodies as the official clients send them, and broken ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.errors import ApiError, BadRequest
from nightlane.wire.multipart import read_form

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


PURPOSE = ('name="purpose"', b"batch")


@pytest.mark.parametrize("filename", ["in.jsonl", "upload", "spaß 中.jsonl"])
def test_the_order_of_the_fields_is_free(filename: str) -> None:
    file = (f'name="file"; filename="{filename}"', b'{"a": 1}\n')
    for parts in ((PURPOSE, file), (file, PURPOSE)):
        form = read_form(TYPE, body(*parts))
        assert form.fields == {"purpose": "batch"}
        assert (form.files["file"].filename, form.files["file"].data) == (filename, b'{"a": 1}\n')


@given(
    data=st.binary(max_size=300)
    | st.lists(
        st.sampled_from([b"--b0undary", b"b0undary", b"\r\n", b"--", b"\n--b0undary", "é中".encode(), b"x"])
    ).map(b"".join)
)
def test_a_file_comes_through_as_it_is_unless_it_holds_the_delimiter(data: bytes) -> None:
    if b"\r\n--b0undary" in b"\r\n" + data + b"\r\n":
        return
    form = read_form(TYPE, body(('name="file"; filename="f"', data), PURPOSE))
    assert form.files["file"].data == data


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
def test_a_broken_form_is_a_bad_request(content_type: str, data: bytes) -> None:
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
