"""The table as plain Python values: expressions spelled once, conflicts retried once, here.

In an expression `#name` stands for the attribute `name` and `:name` for a value.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Result = TypeVar("Result")

# Lanes meet on the batch item: a conflict is no fault, and a throttle passes.
RETRYABLE = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingError",
        "ThrottlingException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
    }
)
CONDITION_FAILED = "ConditionalCheckFailed"
ATTEMPTS = 12
KEYS_A_READ = 100
LONGEST_PAUSE_SECONDS = 2.0

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class ConditionFailed(Exception):
    """The condition of a write did not hold; `old` is the item as it stands, if there is one."""

    def __init__(self, old: Item | None) -> None:
        super().__init__("condition failed")
        self.old = old


class TransactionRefused(Exception):
    """A transaction was cancelled; `failed` are the positions of the actions whose condition failed."""

    def __init__(self, failed: frozenset[int]) -> None:
        super().__init__(f"conditions failed: {sorted(failed)}")
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key."""

    pk: str
    sk: str


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """DynamoDB's typed form of an item; None is left out."""
    return {name: _serialize(value) for name, value in values.items() if value is not None}


def decode(item: Mapping[str, Any]) -> Item:
    """An item as Python values."""
    return {name: _deserialize(value) for name, value in item.items()}


def update(key: Key, expression: str, values: Mapping[str, Any], condition: str | None = None) -> Item:
    """The parameters of one update, for UpdateItem and for a transaction alike."""
    return _parameters(key, values, UpdateExpression=expression, ConditionExpression=condition)


def put(item: Item) -> Item:
    """The parameters of one put."""
    return {"Item": encode(item)}


def delete(key: Key) -> Item:
    """The parameters of one delete."""
    return _parameters(key, {})


def _parameters(key: Key, values: Mapping[str, Any], **expressions: str | None) -> Item:
    text = " ".join(expression for expression in expressions.values() if expression)
    parameters: Item = {"Key": encode({"pk": key.pk, "sk": key.sk})}
    parameters |= {name: expression for name, expression in expressions.items() if expression}
    if names := set(re.findall(r"#(\w+)", text)):
        parameters["ExpressionAttributeNames"] = {f"#{name}": name for name in names}
    if values:
        parameters["ExpressionAttributeValues"] = encode(
            {f":{name}": value for name, value in values.items()}
        )
    return parameters


class Connection:
    """One table of one client."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: Key) -> Item | None:
        """Read consistently."""
        answer = _retrying(
            lambda: self._client.get_item(
                TableName=self.name, Key=encode({"pk": key.pk, "sk": key.sk}), ConsistentRead=True
            )
        )
        return decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key]) -> Iterator[Item]:
        """The items that exist, in the order of their keys; a read may lag behind a write."""
        for at in range(0, len(keys), KEYS_A_READ):
            wanted = keys[at : at + KEYS_A_READ]
            found = self._read_batch([encode({"pk": key.pk, "sk": key.sk}) for key in wanted])
            yield from (found[key] for key in wanted if key in found)

    def _read_batch(self, keys: Sequence[Any]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        requests: Any = {self.name: {"Keys": keys}}
        while requests:
            answer = _retrying(partial(self._client.batch_get_item, RequestItems=requests))
            for item in map(decode, answer["Responses"].get(self.name, [])):
                found[Key(item["pk"], item["sk"])] = item
            requests = answer["UnprocessedKeys"]
        return found

    def insert(self, item: Item) -> None:
        """Put an item that must not exist. Raises: ConditionFailed."""
        _retrying(
            lambda: self._client.put_item(
                TableName=self.name,
                Item=encode(item),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        )

    def update(self, key: Key, expression: str, values: Mapping[str, Any], condition: str) -> Item:
        """Update an item; answers it as it now is. Raises: ConditionFailed."""
        parameters = update(key, expression, values, condition)
        answer = _retrying(
            lambda: self._client.update_item(
                TableName=self.name,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **parameters,
            )
        )
        return decode(answer["Attributes"])

    def delete(self, key: Key) -> None:
        """Delete an item; one that does not exist is no error."""
        _retrying(lambda: self._client.delete_item(TableName=self.name, **delete(key)))

    def transact(self, actions: Sequence[tuple[str, Item]]) -> None:
        """All of the actions (Put, Update, Delete) or none. Raises: TransactionRefused."""
        items: Any = [{verb: {"TableName": self.name, **action}} for verb, action in actions]
        _retrying(lambda: self._client.transact_write_items(TransactItems=items))

    def query(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        index: str | None = None,
        newest_first: bool = False,
        page: int | None = None,
    ) -> Iterator[Item]:
        """The matching items in order, read page by page as they are consumed."""
        parameters: Any = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in re.findall(r"#(\w+)", condition)},
            "ExpressionAttributeValues": encode({f":{name}": value for name, value in values.items()}),
            "ScanIndexForward": not newest_first,
        }
        parameters |= {"IndexName": index} if index else {"ConsistentRead": True}
        parameters |= {"Limit": page} if page else {}
        while True:
            answer = _retrying(lambda: self._client.query(**parameters))
            yield from map(decode, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _retrying(call: Callable[[], Result]) -> Result:
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            if not _is_passing(error) or attempt == ATTEMPTS - 1:
                raise _translated(error) from error
        time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.02 * 2**attempt)))
    raise AssertionError("unreachable")


def _is_passing(error: ClientError) -> bool:
    reasons = _reasons(error)
    if any(reason == CONDITION_FAILED for reason in reasons):
        return False
    return error.response["Error"]["Code"] in RETRYABLE or any(reason in RETRYABLE for reason in reasons)


def _reasons(error: ClientError) -> list[str]:
    reasons: Any = error.response.get("CancellationReasons", [])
    return [reason.get("Code", "None") for reason in reasons]


def _translated(error: ClientError) -> Exception:
    if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
        old: Any = error.response.get("Item")
        return ConditionFailed(decode(old) if old else None)
    failed = frozenset(at for at, reason in enumerate(_reasons(error)) if reason == CONDITION_FAILED)
    return TransactionRefused(failed) if failed else error
