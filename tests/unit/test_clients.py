"""AWS clients are created when they are first called, and once each."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import UnknownServiceError

from nightlane.aws.clients import Clients, OnFirstCall


@pytest.fixture
def session() -> boto3.Session:
    return boto3.Session("testing", "testing", region_name="us-east-1")


@pytest.fixture
def created(session: boto3.Session) -> list[str]:
    names: list[str] = []

    def remember(event_name: str, **_: Any) -> None:
        names.append(event_name)

    session.events.register("creating-client-class.*", remember)
    return names


def test_a_client_is_created_on_its_first_call_and_once(session: boto3.Session, created: list[str]) -> None:
    clients = Clients(session)
    dynamodb, s3 = clients.dynamodb, clients.s3
    assert created == []
    assert dynamodb.meta.region_name == "us-east-1"
    assert dynamodb.get_item == clients.dynamodb.get_item
    assert created == ["creating-client-class.dynamodb"]
    assert s3.meta.service_model.service_name == "s3"
    assert len(created) == 2


def test_threads_that_call_a_new_client_at_once_create_one(
    session: boto3.Session, created: list[str]
) -> None:
    sqs = Clients(session).sqs
    with ThreadPoolExecutor(8) as pool:
        assert len({pool.submit(lambda: sqs.meta).result() for _ in range(8)}) == 1
    assert created == ["creating-client-class.sqs"]


def test_an_attribute_that_a_client_does_not_have_is_missing(session: boto3.Session) -> None:
    with pytest.raises(AttributeError, match="no_such_operation"):
        Clients(session).sqs.no_such_operation  # type: ignore[attr-defined]  # noqa: B018


def test_a_client_that_cannot_be_created_is_tried_again(session: boto3.Session) -> None:
    client = OnFirstCall(lambda: session.client("no-such-service"))  # type: ignore[call-overload]
    for _ in range(2):
        with pytest.raises(UnknownServiceError):
            client.meta  # noqa: B018
