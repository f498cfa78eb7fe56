"""The body of a create has the id of a file or requests, and what is wrong with it is said clearly."""

import json
from typing import Any

import pytest

from nightlane.domain.errors import BadRequest
from nightlane.wire.create_batch import read_create_batch
from tests.world import ENDPOINT

PARAMETERS = {"endpoint": ENDPOINT, "completion_window": "24h"}
REQUEST = {"custom_id": "a"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"requests": [REQUEST], "input_file_id": "file-1"}, "mutually_exclusive_parameters", "requests"),
        ({"requests": []}, "empty_array", "requests"),
        ({"requests": None}, "invalid_type", "requests"),
        ({}, "missing_required_parameter", "input_file_id"),
        ({"requests": {}}, "invalid_type", "requests"),
        ({"requests": "all"}, "invalid_type", "requests"),
        ({"requests": [REQUEST, 7]}, "invalid_type", "requests.1"),
        ({"requests": [REQUEST], "endpoint": "/v1/no"}, "invalid_value", "endpoint"),
        ({"requests": [REQUEST], "more": 1}, "unknown_parameter", "more"),
        ({"input_file_id": None}, "invalid_type", "input_file_id"),
        ({"requests": [{"custom_id": "a", "body": {"n": float("nan")}}]}, None, None),
        (b'{"requests": [{}', None, None),
        (b'["requests"]', "invalid_type", None),
        (b'"requests"', "invalid_type", None),
    ],
)
def test_a_malformed_body_is_an_error(body: Any, code: str | None, param: str | None) -> None:
    data = body if isinstance(body, bytes) else json.dumps(PARAMETERS | body).encode()
    with pytest.raises(BadRequest) as refused:
        read_create_batch(data)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_the_word_requests_elsewhere_changes_nothing() -> None:
    body = PARAMETERS | {"input_file_id": "file-1", "metadata": {"requests": "three"}}
    request, lines = read_create_batch(json.dumps(body).encode())
    assert (request.metadata, request.input_file_id, lines) == ({"requests": "three"}, "file-1", None)
