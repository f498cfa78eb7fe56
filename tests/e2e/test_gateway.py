"""What API Gateway answers by itself, and where it sends the client."""

import openai
import pytest

from tests.e2e.conftest import Place, living


def test_an_upload_above_the_limit_is_told_so() -> None:
    with living(max_upload_bytes=100_000) as place:
        with pytest.raises(openai.APIStatusError) as caught:
            place.client.files.create(file=b'{"a": 1}\n' * 100_000, purpose="batch")
        assert caught.value.status_code == 413
        assert caught.value.type == "invalid_request_error"


def test_an_unknown_key_is_told_which_one_it_was(place: Place) -> None:
    with (
        openai.OpenAI(base_url=place.base_url, api_key="sk-nobody-0123456789abcdef") as nobody,
        pytest.raises(openai.AuthenticationError, match=r"Incorrect API key provided: sk-\*\*\*\*cdef"),
    ):
        nobody.batches.list()


def test_the_client_takes_its_key_to_no_other_origin() -> None:
    with living() as place:
        file = place.client.files.create(file=b'{"a": 1}\n' * 480_000, purpose="batch")
        request = place.client.files.content(file.id).response.request
        assert "X-Amz-Signature" in str(request.url)
        assert "authorization" not in request.headers
