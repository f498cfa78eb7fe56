"""Every field of an upload that is mistyped gets a code, the parameter and a message."""

import pytest

from tests.integration.test_api import error_of, upload
from tests.world import World, requests

ANCHOR = {"expires_after[anchor]": "created_at"}


@pytest.mark.parametrize(
    ("fields", "code", "param", "message"),
    [
        ({}, "missing_required_parameter", "purpose", "Missing required parameter: 'purpose'."),
        (
            {"purpose": "nonsense"},
            "invalid_value",
            "purpose",
            "Invalid value: 'nonsense'. Supported values are:",
        ),
        ({"purpose": ""}, "invalid_value", "purpose", "Invalid value: ''. Supported values are:"),
        (
            ANCHOR | {"expires_after[seconds]": "1"},
            "integer_below_min_value",
            "expires_after.seconds",
            "Invalid 'expires_after.seconds': integer below minimum value. Expected a value >= 3600",
        ),
        (
            ANCHOR | {"expires_after[seconds]": "2592001"},
            "integer_above_max_value",
            "expires_after.seconds",
            "Invalid 'expires_after.seconds': integer above maximum value. Expected a value <= 2592000",
        ),
        (
            ANCHOR | {"expires_after[seconds]": "an hour"},
            "invalid_type",
            "expires_after.seconds",
            "Invalid type for 'expires_after.seconds': expected an integer, but got a string instead.",
        ),
        (
            {"expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
            "invalid_value",
            "expires_after.anchor",
            "Invalid value: 'now'. Supported value is: 'created_at'.",
        ),
        (
            {"expires_after[seconds]": "3600"},
            "missing_required_parameter",
            "expires_after.anchor",
            "Missing required parameter: 'expires_after.anchor'.",
        ),
        (
            {"expires_after": "3600"},
            "invalid_type",
            "expires_after",
            "Invalid type for 'expires_after': expected an object, but got a string instead.",
        ),
        *(
            ({name: "3600"}, "unknown_parameter", name, f"Unknown parameter: '{name}'.")
            for name in (
                "expires_after.anchor",
                "expires_after.seconds",
                "expires_after[second]",
                "expires_atfer[anchor]",
                "expires_in",
                "filename",
                "target_model_names",
            )
        ),
    ],
)
def test_a_mistyped_field_of_an_upload(
    shared_world: World, fields: dict[str, str], code: str, param: str, message: str
) -> None:
    purpose = {"purpose": "batch"} if fields else {}
    error = error_of(upload(shared_world, requests(1), **(purpose | fields)), 400)
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"].startswith(message)


@pytest.mark.parametrize(
    ("part", "code", "param", "message"),
    [
        (b'name="file"\r\n\r\n{}', "invalid_type", "file", "Invalid type for 'file': expected a file"),
        (
            b'name="other"; filename="a"\r\n\r\n{}',
            "unknown_parameter",
            "other",
            "Unknown parameter: 'other'.",
        ),
        (b'name="other"\r\n\r\n{}', "unknown_parameter", "other", "Unknown parameter: 'other'."),
        (
            b'name="expires_after[seconds]"; filename="a"\r\n\r\n{}',
            "invalid_type",
            "expires_after[seconds]",
            "Invalid type for 'expires_after[seconds]': expected a string, but got a file instead.",
        ),
        (None, "missing_required_parameter", "file", "Missing required parameter: 'file'."),
    ],
)
def test_a_mistyped_file_of_an_upload(
    shared_world: World, part: bytes | None, code: str, param: str, message: str
) -> None:
    parts = [b'name="purpose"\r\n\r\nbatch', *([part] if part else [])]
    body = b"".join(b"--x\r\nContent-Disposition: form-data; " + each + b"\r\n" for each in parts) + b"--x--"
    response = shared_world.call("POST", "/files", body, content_type="multipart/form-data; boundary=x")
    error = error_of(response, 400)
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"].startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"just prose\n", "Invalid file format for Batch API. Must be .jsonl"),
        (
            b'{"a": "\\ud83d"}',
            "Invalid file format for Batch API. Must be .jsonl. The escape \\ud83d is half of",
        ),
        (
            requests(2) + b"\xff",
            "Invalid file format for Batch API. Must be utf-8 encoded: in line 3, the byte 0xFF is "
            "not UTF-8.",
        ),
        (
            requests(1).decode().encode("utf-16"),
            "Invalid file format for Batch API. Must be utf-8 encoded: in line 1, it begins with the "
            "byte order",
        ),
    ],
)
def test_a_batch_file_that_is_not_jsonl(shared_world: World, data: bytes, message: str) -> None:
    error = error_of(upload(shared_world, data, purpose="batch"), 400)
    assert (error["code"], error["param"]) == (None, None)
    assert error["message"].startswith(message)
