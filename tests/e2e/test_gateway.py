"""Responses of API Gateway itself, and redirects."""

import openai
import pytest

from tests.e2e.conftest import Instance, running_rig
from tests.integration.test_front import error_of, send


def test_an_upload_above_the_limit_returns_413() -> None:
    with running_rig(max_upload_bytes=100_000) as instance:
        with pytest.raises(openai.APIStatusError) as caught:
            instance.client.files.create(file=b'{"a": 1}\n' * 100_000, purpose="batch")
        assert caught.value.status_code == 413
        assert caught.value.type == "invalid_request_error"


def test_the_error_for_an_unknown_key_shows_its_end(instance: Instance) -> None:
    with (
        openai.OpenAI(base_url=instance.base_url, api_key="sk-nobody-0123456789abcdef") as nobody,
        pytest.raises(openai.AuthenticationError, match=r"Incorrect API key provided: sk-\*\*\*\*cdef"),
    ):
        nobody.batches.list()


def test_a_key_beyond_ascii_is_a_401(instance: Instance) -> None:
    data = b"GET /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer caf\xe9\r\n\r\n"
    status, error = error_of(send(instance.base_url, data))
    assert (status, error["code"]) == (401, "invalid_api_key")


def test_the_client_does_not_send_its_key_to_another_origin() -> None:
    with running_rig() as instance:
        file = instance.client.files.create(file=b'{"a": 1}\n' * 480_000, purpose="batch")
        request = instance.client.files.content(file.id).response.request
        assert "X-Amz-Signature" in str(request.url)
        assert "authorization" not in request.headers
