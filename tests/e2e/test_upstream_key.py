"""The upstream's key, from Secrets Manager to the upstream."""

from tests.e2e.conftest import running_rig
from tests.world import requests

NAME = "acme/models"
KEY = "sk-upstream-0123456789"


def test_every_function_that_calls_the_upstream_sends_the_key() -> None:
    with running_rig({"api_key": KEY}, {"secret": NAME}) as instance:
        instance.rig.clients().secrets.create_secret(Name=NAME, SecretString=KEY)
        assert "mock-small" in [model.id for model in instance.client.models.list()]
        # The batch can only fail if planning could list the models, which requires the key.
        assert instance.wait(instance.create(requests(3, model="nonsense")).id).status == "failed"
        counts = instance.wait(instance.create(requests(3)).id).request_counts
        assert counts is not None
        assert counts.completed == 3


def test_a_wrong_key_fails_no_line_and_progress_shows_the_reason() -> None:
    with running_rig({"api_key": KEY}, {"key": "sk-of-yesterday"}) as instance:
        batch = instance.create(requests(3))
        progress = instance.wait_for_progress(batch.id, lambda each: each["waits_for"] == "endpoint")
        assert progress["last_refusal"]["status"] == 401
        assert "sk-of-yesterday" not in str(progress)
        assert progress["lines"] == {"total": 3, "completed": 0, "failed": 0, "unfinished": 3}
        instance.client.batches.cancel(batch.id)
        assert instance.wait(batch.id).status == "cancelled"
