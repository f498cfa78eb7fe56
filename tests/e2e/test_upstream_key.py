"""The upstream's key, from Secrets Manager to the upstream."""

from tests.e2e.conftest import living
from tests.world import requests

NAME = "acme/models"
KEY = "sk-upstream-0123456789"


def test_every_function_that_calls_the_upstream_brings_the_key() -> None:
    with living({"api_key": KEY}, upstream_key_secret=NAME) as place:
        place.rig.clients().secrets.create_secret(Name=NAME, SecretString=KEY)
        assert "mock-small" in [model.id for model in place.client.models.list()]
        # That a model is unknown is known only to whom the upstream lists its models.
        assert place.wait(place.create(requests(3, model="nonsense")).id).status == "failed"
        counts = place.wait(place.create(requests(3)).id).request_counts
        assert counts is not None
        assert counts.completed == 3


def test_a_wrong_key_fails_no_line_and_says_why_the_batch_waits() -> None:
    with living({"api_key": KEY}, upstream_key="sk-of-yesterday") as place:
        batch = place.create(requests(3))
        progress = place.wait_for_progress(batch.id, lambda each: each["waits_for"] == "endpoint")
        assert progress["last_refusal"]["status"] == 401
        assert "sk-of-yesterday" not in str(progress)
        assert progress["lines"] == {"total": 3, "completed": 0, "failed": 0, "unfinished": 3}
        place.client.batches.cancel(batch.id)
        assert place.wait(batch.id).status == "cancelled"
