"""The one-line batch that `nightlane deploy` ends with, through a running Nightlane."""

import pytest

from infra.cli.deploying.one_line import answer_one_line
from infra.cli.errors import CommandError
from tests.e2e.conftest import ACME, Instance, running_home

PATIENCE_SECONDS = 60.0


def test_the_line_is_answered_and_its_files_are_deleted(instance: Instance) -> None:
    reported: list[str] = []
    assert answer_one_line(instance.base_url, ACME, None, PATIENCE_SECONDS, reported.append)
    # The first of the mock's models.
    assert reported[0] == "a batch of one line for the model mock-small"
    assert [each for each in instance.client.files.list() if each.filename == "hello.jsonl"] == []


def test_a_batch_that_fails_says_why(instance: Instance) -> None:
    with pytest.raises(CommandError, match="is failed: The provided model 'no-such-model' is not supported"):
        answer_one_line(instance.base_url, ACME, "no-such-model", PATIENCE_SECONDS, print)


def test_a_batch_that_takes_too_long_is_cancelled() -> None:
    with running_home(mock={"latency_mean": 60}) as home:
        with pytest.raises(CommandError, match="did not end within 0 s"):
            answer_one_line(home.base_url, ACME, None, 0, print)
        (batch,) = home.client.batches.list()
        assert batch.status in ("cancelling", "cancelled")


def test_a_key_that_is_refused_is_reported(instance: Instance) -> None:
    with pytest.raises(CommandError, match="returned 401"):
        answer_one_line(instance.base_url, "sk-wrong-key-of-nobody", None, PATIENCE_SECONDS, print)
