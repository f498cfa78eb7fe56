"""What a home is told not to take."""

import openai
import pytest

from tests.e2e.conftest import living


def test_an_upload_above_the_limit_is_told_so() -> None:
    with living(max_upload_bytes=100_000) as place:
        with pytest.raises(openai.APIStatusError) as caught:
            place.client.files.create(file=b'{"a": 1}\n' * 100_000, purpose="batch")
        assert caught.value.status_code == 413
        assert caught.value.type == "invalid_request_error"
