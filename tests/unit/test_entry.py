"""When a function's handler is built, and what its import leaves behind."""

import gc
from typing import Any

import pytest

from nightlane.aws.clients import Clients
from nightlane.entry import Handler, on_aws
from nightlane.resource_settings import TableSettings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NIGHTLANE_TABLE_NAME", "table")


def recording(built: list[str]) -> Any:
    def make(settings: TableSettings, clients: Clients) -> Handler:
        built.append(settings.table_name)
        return lambda event, _: event

    return make


def test_on_lambda_a_handler_is_built_while_the_function_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "authorize")
    built: list[str] = []
    handler = on_aws(TableSettings, recording(built))
    assert built == ["table"]
    assert [handler({"number": number}, None) for number in range(2)] == [{"number": 0}, {"number": 1}]
    assert built == ["table"]


def test_elsewhere_a_handler_is_built_on_the_first_event() -> None:
    built: list[str] = []
    handler = on_aws(TableSettings, recording(built))
    assert built == []
    handler({}, None)
    handler({}, None)
    assert built == ["table"]


def test_garbage_is_collected_again_once_a_handler_has_been_imported() -> None:
    gc.disable()
    try:
        on_aws(TableSettings, recording([]))
        assert gc.isenabled()
    finally:
        gc.enable()
