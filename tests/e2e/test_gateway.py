"""Responses of API Gateway itself, and redirects."""

import openai
import pytest
from openai.types import Upload

from nightlane.settings import Settings
from tests.e2e.conftest import Instance, running_rig
from tests.integration.test_front import error_of, send


def test_what_is_above_the_limit_of_a_request_is_accepted_in_parts() -> None:
    data = b'{"a": 1}\n' * 600_000
    with running_rig(max_upload_bytes=Settings().max_upload_bytes) as instance:
        for send in (
            lambda: instance.client.files.create(file=data, purpose="batch"),
            lambda: upload_in_parts(instance, data, 5_000_000),
        ):
            with pytest.raises(openai.APIStatusError, match=r"part_size=4 \* 1024 \* 1024.*s3://") as caught:
                send()
            assert (caught.value.status_code, caught.value.type) == (413, "invalid_request_error")
        upload = upload_in_parts(instance, data, 4 * 1024 * 1024)
        assert upload.file is not None
        assert instance.client.files.content(upload.file.id).read() == data


def upload_in_parts(instance: Instance, data: bytes, part_size: int) -> Upload:
    return instance.client.uploads.upload_file_chunked(
        file=data,
        filename="in.jsonl",
        bytes=len(data),
        mime_type="application/jsonl",
        purpose="batch",
        part_size=part_size,
    )


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
