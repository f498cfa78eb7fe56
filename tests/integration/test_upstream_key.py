"""The upstream's key, from Secrets Manager to the upstream."""

import pytest

from infra.local.mock_process import MockUpstream
from nightlane.domain.batch import BatchStatus
from nightlane.settings import Settings
from tests.world import requests, world

NAME = "acme/models"
KEY = "sk-upstream-0123456789"


def test_every_function_that_calls_the_upstream_brings_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream(api_key=KEY) as upstream:
        settings = Settings(upstream_url=upstream.url, upstream_key_secret=NAME)
        with world(settings, monkeypatch) as nightlane:
            nightlane.clients.secrets.create_secret(Name=NAME, SecretString=KEY)
            status, models = nightlane.call("GET", "/models")
            assert (status, models["object"]) == (200, "list")
            batch_id = nightlane.create(nightlane.upload(requests(3, model="nonsense")))
            nightlane.run()
            # That a model is unknown is known only to whom the upstream lists its models.
            assert nightlane.batch(batch_id).status is BatchStatus.FAILED
            batch_id = nightlane.create(nightlane.upload(requests(3)))
            nightlane.run()
            assert nightlane.batch(batch_id).completed == 3


def test_a_wrong_key_is_the_upstreams_answer_to_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream(api_key=KEY) as upstream:
        settings = Settings(upstream_url=upstream.url, upstream_key="sk-of-yesterday")
        with world(settings, monkeypatch) as nightlane:
            batch_id = nightlane.create(nightlane.upload(requests(3)))
            nightlane.run()
            batch = nightlane.batch(batch_id)
            assert (batch.status, batch.failed) == (BatchStatus.COMPLETED, 3)
            errors = nightlane.lines(batch.error_file_id)
            assert {line["response"]["status_code"] for line in errors} == {401}
