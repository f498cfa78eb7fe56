"""The upstream's key, from Secrets Manager to the upstream."""

from tests.e2e.conftest import living
from tests.world import requests

NAME = "acme/models"
KEY = "sk-upstream-0123456789"


def test_every_function_that_calls_the_upstream_brings_the_key() -> None:
    with living({"api_key": KEY}, upstream_key_secret=NAME) as place:
        place.home.clients().secrets.create_secret(Name=NAME, SecretString=KEY)
        assert "mock-small" in [model.id for model in place.client.models.list()]
        # That a model is unknown is known only to whom the upstream lists its models.
        assert place.wait(place.create(requests(3, model="nonsense")).id).status == "failed"
        counts = place.wait(place.create(requests(3)).id).request_counts
        assert counts is not None
        assert counts.completed == 3


def test_a_wrong_key_is_the_upstreams_answer_to_every_line() -> None:
    with living({"api_key": KEY}, upstream_key="sk-of-yesterday") as place:
        batch = place.wait(place.create(requests(3)).id)
        assert batch.status == "completed"
        assert place.text(batch.error_file_id).count('"status_code":401') == 3
