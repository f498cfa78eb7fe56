"""Where `nightlane local` reads its settings from, and which source takes precedence."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.cli.configuration import InvalidSettings, read_settings
from nightlane.settings import Settings

CDK_JSON = Path(__file__).parents[2] / "cdk.json"
DEFAULTS = {"checkpoint_seconds": 1, "watch_seconds": 1}


def config(folder: Path, context: Any) -> Path:
    path = folder / "config.json"
    path.write_text(context if isinstance(context, str) else json.dumps(context))
    return path


def read(file: Path | None, environment: dict[str, str] | None = None, **chosen: str) -> Settings:
    return read_settings(DEFAULTS, file, environment or {}, chosen)


def test_the_context_in_cdk_json_is_a_valid_config_file(tmp_path: Path) -> None:
    context = json.loads(CDK_JSON.read_text())["context"]["nightlane"]
    settings = read(config(tmp_path, context))
    assert settings.upstream_url == context["upstreams"][0]["url"]
    assert settings.max_concurrent_batches == context["max_concurrent_batches"]
    # A setting that is not in the file has the home's default, not that of AWS.
    assert settings.checkpoint_seconds == 1


def test_later_sources_take_precedence(tmp_path: Path) -> None:
    file = config(tmp_path, {"checkpoint_seconds": 2, "watch_seconds": 2, "stall_seconds": 2})
    environment = {"NIGHTLANE_WATCH_SECONDS": "3", "NIGHTLANE_STALL_SECONDS": "3", "PATH": "/bin"}
    settings = read(file, environment, stall_seconds="4")
    assert (settings.checkpoint_seconds, settings.watch_seconds, settings.stall_seconds) == (2, 3, 4)
    assert settings.upstream_url == ""


def test_a_config_file_may_omit_the_upstream_and_may_contain_settings_of_a_stack(tmp_path: Path) -> None:
    upstream = {"url": "http://127.0.0.1:8000/v1"}
    file = config(tmp_path, {"upstreams": [upstream], "stack_name": "Mine", "log_retention_days": 90})
    assert read(file).upstream_url == upstream["url"]
    assert read(file, upstream_url="http://127.0.0.1:9000/v1").upstream_url == "http://127.0.0.1:9000/v1"
    assert read(config(tmp_path, {})).upstream_url == ""


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"nonsense": 1}, "nightlane.nonsense: Extra inputs are not permitted"),
        ({"checkpoint_seconds": "soon"}, "nightlane.checkpoint_seconds: Input should be a valid number"),
        ({"upstream_key": "sk-1"}, "nightlane.upstream_key: Extra inputs are not permitted"),
        ({"upstreams": [{"url": "nowhere"}]}, "nightlane.upstreams.0.url: Value error, an endpoint is a URL"),
        ([], "the file must contain a JSON object"),
        ("{", "Expecting property name"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "Expecting value"),
    ],
)
def test_an_invalid_name_or_value_is_named_in_the_error(tmp_path: Path, context: Any, message: str) -> None:
    file = config(tmp_path, context)
    with pytest.raises(InvalidSettings) as refused:
        read(file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)


def test_an_invalid_name_in_the_environment_is_named_in_the_error() -> None:
    with pytest.raises(InvalidSettings, match=r"nonsense .*NIGHTLANE_NONSENSE"):
        read(None, {"NIGHTLANE_NONSENSE": "1"})


def test_an_aws_secret_cannot_be_the_upstream_key(tmp_path: Path) -> None:
    upstream = {"url": "http://127.0.0.1:8000/v1", "key_secret": "inference/key"}
    file = config(tmp_path, {"upstreams": [upstream]})
    with pytest.raises(InvalidSettings, match="'inference/key': pass --upstream-key"):
        read(file)
    assert read(file, {"NIGHTLANE_UPSTREAM_KEY": "sk-1"}).upstream_key == "sk-1"
