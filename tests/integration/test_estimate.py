"""`nightlane estimate` finds the same errors as planning, and prices a batch as its receipt does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.cli.app import app
from nightlane.domain.batch import BatchStatus
from nightlane.settings import Settings
from tests.upstream import only
from tests.world import moto_world, requests


def estimate(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["estimate", str(path), *options], env={"COLUMNS": "100"})


def written(folder: Path, data: bytes) -> Path:
    path = folder / "in.jsonl"
    path.write_bytes(data)
    return path


def edited(number: int, **changes: Any) -> bytes:
    """Return ten requests, with the line of this number, counted from 1, changed."""
    lines = requests(10).splitlines(keepends=True)
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | changes).encode() + b"\n"
    return b"".join(lines)


def test_a_valid_file_has_a_duration_and_a_price(tmp_path: Path) -> None:
    result = estimate(written(tmp_path, requests(1_000)), "--limit", "50", "--seconds", "6")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert re.search(r"is valid: 1,000 requests, [\d,]+ bytes, about [\d,]+ prompt tokens", text)
    assert "about 2 min" in text
    assert "with 50 requests in flight of 6 s each (lanes: 1, shards: 1" in text
    assert re.search(r"total .* 1,000 lines .* 0\.0\d+", text)


def test_a_higher_limit_takes_less_time(tmp_path: Path) -> None:
    path = written(tmp_path, requests(1_000))
    texts = [estimate(path, "--limit", limit).stdout for limit in ("5", "100")]
    assert "16 min" in texts[0]
    assert re.search(r"about 5\d s", texts[1])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (requests(3) + b"{oops}\n", ":4: This line is not parseable as valid JSON. (invalid_json_line)"),
        (edited(7, custom_id="request-0"), ":7: The custom_id 'request-0' for this request is a duplicate"),
        (edited(2, url="/v1/embeddings"), ":2: The URL provided for this request does not match"),
        (edited(10, body={"model": "m"}), ":10: Messages parameter is required. (invalid_request)"),
        (b"", ": The input file is empty."),
        (edited(1, url="/v1/none"), ": Invalid endpoint: '/v1/none'."),
    ],
)
def test_an_invalid_file_exits_with_1_and_shows_the_line(tmp_path: Path, data: bytes, error: str) -> None:
    path = written(tmp_path, data)
    result = estimate(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}{error}" in result.stderr


def test_the_errors_are_those_of_planning(tmp_path: Path) -> None:
    data = edited(3, method="GET") + edited(5, body={"model": 7}) + b"[]\n"
    with moto_world(Settings(upstreams=only("http://127.0.0.1:9/v1"))) as world:
        batch_id = world.create(world.upload(data))
        world.deliver("plan")
        batch = world.batch(batch_id)
    assert batch.status is BatchStatus.FAILED
    path = written(tmp_path, data)
    shown = [f"{path}:{each.line}: {each.message} ({each.code})" for each in batch.errors]
    assert estimate(path).stderr.splitlines() == shown


def test_the_models_of_a_config_file_are_checked(tmp_path: Path) -> None:
    config = tmp_path / "nightlane.json"
    config.write_text(json.dumps({"upstreams": [{"url": "https://a.test/v1", "models": ["large-*"]}]}))
    result = estimate(written(tmp_path, requests(1)), "--config", str(config))
    assert result.exit_code == 1
    assert ":1: The provided model 'mock-small' is not supported" in result.stderr
