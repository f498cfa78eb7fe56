"""Every parameter of a batch that is mistyped gets OpenAI's code, the parameter and OpenAI's message."""

import json
from typing import Any

import pytest

from tests.integration.test_api import CREATE, error_of
from tests.world import World

EXPIRY = {"anchor": "created_at", "seconds": 3_600}
LONG_ID = "x" * 257


def expiry(**changes: Any) -> dict[str, Any]:
    return {"output_expires_after": EXPIRY | changes}


@pytest.mark.parametrize(
    ("changes", "code", "param", "message"),
    [
        (
            {"input_file_id": ...},
            "missing_required_parameter",
            "input_file_id",
            "Missing required parameter: 'input_file_id'.",
        ),
        (
            {"endpoint": ...},
            "missing_required_parameter",
            "endpoint",
            "Missing required parameter: 'endpoint'.",
        ),
        (
            {"completion_window": ...},
            "missing_required_parameter",
            "completion_window",
            "Missing required parameter: 'completion_window'.",
        ),
        (
            {"input_file_id": 7},
            "invalid_type",
            "input_file_id",
            "Invalid type for 'input_file_id': expected a string, but got an integer instead.",
        ),
        (
            {"input_file_id": LONG_ID},
            "string_above_max_length",
            "input_file_id",
            "Invalid 'input_file_id': string too long. Expected a string with maximum length 256, but got a "
            "string with length 257 instead.",
        ),
        (
            {"endpoint": None},
            "invalid_type",
            "endpoint",
            "Invalid type for 'endpoint': expected a string, but got null instead.",
        ),
        (
            {"endpoint": "/v1/invalid"},
            "invalid_value",
            "endpoint",
            "Invalid value: '/v1/invalid'. Supported values",
        ),
        (
            {"endpoint": "/chat/completions"},
            "invalid_value",
            "endpoint",
            "Invalid value: '/chat/completions'.",
        ),
        (
            {"endpoint": "/v1/videos"},
            "invalid_value",
            "endpoint",
            "Invalid value: '/v1/videos'. Supported values",
        ),
        (
            {"completion_window": "8d"},
            "invalid_value",
            "completion_window",
            "Invalid value: '8d'. Supported values are: '24h', and any number of hours or days from "
            "'1h' to '7d'",
        ),
        ({"completion_window": "30m"}, "invalid_value", "completion_window", "Invalid value: '30m'."),
        (
            {"completion_window": 24},
            "invalid_type",
            "completion_window",
            "Invalid type for 'completion_window': expected a string, but got an integer instead.",
        ),
        (
            {"metadata": "x"},
            "invalid_type",
            "metadata",
            "Invalid type for 'metadata': expected an object, but got a string instead.",
        ),
        (
            {"metadata": {"tags": ["a"]}},
            "invalid_type",
            "metadata.tags",
            "Invalid type for 'metadata.tags': expected a string, but got an array instead.",
        ),
        (
            {"metadata": {"a": None}},
            "invalid_type",
            "metadata.a",
            "Invalid type for 'metadata.a': expected a string, but got null instead.",
        ),
        (
            {"metadata": {str(n): "" for n in range(17)}},
            "object_above_max_properties",
            "metadata",
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
            "but got an "
            "object with 17 properties instead.",
        ),
        (
            {"metadata": {"k" * 65: ""}},
            "property_name_above_max_length",
            "metadata",
            "Invalid 'metadata': property name too long. Expected a property name with maximum "
            "length 64, but "
            "got one with length 65 instead.",
        ),
        (
            {"metadata": {"k": "v" * 600}},
            "string_above_max_length",
            "metadata.k",
            "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but "
            "got a string "
            "with length 600 instead.",
        ),
        (
            {"output_expires_after": 3_600},
            "invalid_type",
            "output_expires_after",
            "Invalid type for 'output_expires_after': expected an object, but got an integer instead.",
        ),
        (
            {"output_expires_after": {"seconds": 3_600}},
            "missing_required_parameter",
            "output_expires_after.anchor",
            "Missing required parameter: 'output_expires_after.anchor'.",
        ),
        (
            {"output_expires_after": {"anchor": "created_at"}},
            "missing_required_parameter",
            "output_expires_after.seconds",
            "Missing required parameter: 'output_expires_after.seconds'.",
        ),
        (
            expiry(anchor="now"),
            "invalid_value",
            "output_expires_after.anchor",
            "Invalid value: 'now'. Supported value is: 'created_at'.",
        ),
        (
            expiry(seconds=60),
            "integer_below_min_value",
            "output_expires_after.seconds",
            "Invalid 'output_expires_after.seconds': integer below minimum value. Expected a value "
            ">= 3600, but "
            "got 60 instead.",
        ),
        (
            expiry(seconds=2_592_001),
            "integer_above_max_value",
            "output_expires_after.seconds",
            "Invalid 'output_expires_after.seconds': integer above maximum value. Expected a value "
            "<= 2592000, "
            "but got 2592001 instead.",
        ),
        (
            expiry(seconds="3600"),
            "invalid_type",
            "output_expires_after.seconds",
            "Invalid type for 'output_expires_after.seconds': expected an integer, but got a string instead.",
        ),
        (
            expiry(second=1),
            "unknown_parameter",
            "output_expires_after.second",
            "Unknown parameter: 'output_expires_after.second'.",
        ),
        (
            {"idempotency_key": ""},
            "string_below_min_length",
            "idempotency_key",
            "Invalid 'idempotency_key': empty string. Expected a string with minimum length 1, but "
            "got an empty "
            "string instead.",
        ),
        (
            {"idem_tok": "t" * 513},
            "string_above_max_length",
            "idem_tok",
            "Invalid 'idem_tok': string too long.",
        ),
        ({"nonsense": 1}, "unknown_parameter", "nonsense", "Unknown parameter: 'nonsense'."),
        ({"n" * 5_000: 1}, "unknown_parameter", "n" * 100 + "…", f"Unknown parameter: '{'n' * 100}…'."),
    ],
)
def test_a_mistyped_parameter_of_a_batch(
    shared_world: World, changes: dict[str, Any], code: str, param: str, message: str
) -> None:
    body = {key: value for key, value in (CREATE | changes).items() if value is not ...}
    error = error_of(shared_world.call("POST", "/batches", json.dumps(body).encode()), 400)
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert error["message"].startswith(message)
