"""The table in terms of plain Python values. Expressions are built and conflicts are retried only here.

In an expression `#name` stands for the attribute `name` and `:name` for a value.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from botocore.exceptions import ClientError

from nightlane.aws.table.attributes import from_attribute, to_attribute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Result = TypeVar("Result")

# Lanes write to the same batch item, so conflicts are expected; throttling passes.
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
MAX_ATTEMPTS = 12
MAX_KEYS_PER_READ = 100
MAX_PAUSE_SECONDS = 2.0


class ConditionFailed(Exception):
    """The condition of a write did not hold; `old` is the stored item, if there is one."""

    def __init__(self, old: Item | None) -> None:
        super().__init__("condition failed")
        self.old = old


class TransactionRefused(Exception):
    """A transaction was cancelled; `failed` are the positions of the actions whose condition failed."""

    def __init__(self, failed: frozenset[int]) -> None:
        super().__init__(f"conditions failed: {sorted(failed)}")
        self.failed = failed


class Key(msgspec.Struct, frozen=True):
    """A primary key."""

    pk: str
    sk: str


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item in DynamoDB's typed form, without attributes that are None."""
    return {name: to_attribute(value) for name, value in values.items() if value is not None}


def decode(item: Mapping[str, Any]) -> Item:
    """Return an item as Python values."""
    return {name: from_attribute(value) for name, value in item.items()}


def update(key: Key, expression: str, values: Mapping[str, Any], condition: str | None = None) -> Item:
    """Return the parameters of an update, for UpdateItem or a transaction."""
    return _parameters(key, values, UpdateExpression=expression, ConditionExpression=condition)


def put(item: Item) -> Item:
    """Return the parameters of a put."""
    return {"Item": encode(item)}


def delete(key: Key) -> Item:
    """Return the parameters of a delete."""
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
    """One table, through one client."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: Key) -> Item | None:
        """Return an item, read consistently, or None."""
        response = _retry(
            lambda: self._client.get_item(
                TableName=self.name, Key=encode({"pk": key.pk, "sk": key.sk}), ConsistentRead=True
            )
        )
        return decode(response["Item"]) if "Item" in response else None

    def get_many(self, keys: Sequence[Key]) -> Iterator[Item]:
        """Yield the items that exist, in the order of `keys`. Eventually consistent."""
        for start in range(0, len(keys), MAX_KEYS_PER_READ):
            wanted = keys[start : start + MAX_KEYS_PER_READ]
            found = self._read_batch([encode({"pk": key.pk, "sk": key.sk}) for key in wanted])
            yield from (found[key] for key in wanted if key in found)

    def _read_batch(self, keys: Sequence[Any]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        requests: Any = {self.name: {"Keys": keys}}
        while requests:
            response = _retry(partial(self._client.batch_get_item, RequestItems=requests))
            for item in map(decode, response["Responses"].get(self.name, [])):
                found[Key(item["pk"], item["sk"])] = item
            requests = response["UnprocessedKeys"]
        return found

    def insert(self, item: Item) -> None:
        """Put an item that must not exist yet. Raises: ConditionFailed."""
        _retry(
            lambda: self._client.put_item(
                TableName=self.name,
                Item=encode(item),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        )

    def update(
        self, key: Key, expression: str, values: Mapping[str, Any], condition: str | None = None
    ) -> Item:
        """Update an item and return the updated item. Raises: ConditionFailed."""
        parameters = update(key, expression, values, condition)
        response = _retry(
            lambda: self._client.update_item(
                TableName=self.name,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **parameters,
            )
        )
        return decode(response["Attributes"])

    def update_if(self, key: Key, expression: str, values: Item, condition: str) -> bool:
        """Update an item; False if the condition does not hold."""
        try:
            self.update(key, expression, values, condition)
        except ConditionFailed:
            return False
        return True

    def delete(self, key: Key) -> None:
        """Delete an item, if it exists."""
        _retry(lambda: self._client.delete_item(TableName=self.name, **delete(key)))

    def transact(self, actions: Sequence[tuple[str, Item]]) -> None:
        """Apply all of the actions (Put, Update, Delete) or none. Raises: TransactionRefused."""
        items: Any = [{verb: {"TableName": self.name, **action}} for verb, action in actions]
        _retry(lambda: self._client.transact_write_items(TransactItems=items))

    def query(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        index: str | None = None,
        newest_first: bool = False,
        page: int | None = None,
    ) -> Iterator[Item]:
        """Yield the matching items in order, reading page by page."""
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
            response = _retry(lambda: self._client.query(**parameters))
            yield from map(decode, response["Items"])
            if "LastEvaluatedKey" not in response:
                return
            parameters["ExclusiveStartKey"] = response["LastEvaluatedKey"]


def _retry(call: Callable[[], Result]) -> Result:
    for attempt in range(MAX_ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            if not _is_retryable(error) or attempt == MAX_ATTEMPTS - 1:
                raise _translate(error) from error
        time.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.02 * 2**attempt)))
    raise AssertionError("unreachable")


def _is_retryable(error: ClientError) -> bool:
    reasons = _reasons(error)
    if any(reason == CONDITION_FAILED for reason in reasons):
        return False
    return error.response["Error"]["Code"] in RETRYABLE or any(reason in RETRYABLE for reason in reasons)


def _reasons(error: ClientError) -> list[str]:
    reasons: Any = error.response.get("CancellationReasons", [])
    return [reason.get("Code", "None") for reason in reasons]


def _translate(error: ClientError) -> Exception:
    if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
        old: Any = error.response.get("Item")
        return ConditionFailed(decode(old) if old else None)
    failed = frozenset(index for index, reason in enumerate(_reasons(error)) if reason == CONDITION_FAILED)
    return TransactionRefused(failed) if failed else error
