"""Values in DynamoDB's typed form: those types that the table has.

boto3 can do the same, and more, but takes its transfer manager and its resources along into every cold start.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from collections.abc import Mapping, Set
from typing import Any


def to_attribute(value: Any) -> dict[str, Any]:
    """Return a value in typed form. Raises: TypeError, for one of another type, such as 1.5."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": str(value)}
        case bytes() | bytearray():
            return {"B": bytes(value)}
        case list() | tuple():
            return {"L": [to_attribute(each) for each in value]}
        case Mapping():
            return {"M": {name: to_attribute(each) for name, each in value.items()}}
        case Set() if value and all(isinstance(each, str) for each in value):
            return {"SS": sorted(value)}
    raise TypeError(f"the table has no type for {value!r}")


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """Return the value of an attribute. Raises: TypeError, ValueError, if `to_attribute` makes no such."""
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "BOOL" | "S" | "B":
            return value
        case "N":
            return int(value)
        case "L":
            return [from_attribute(each) for each in value]
        case "M":
            return {name: from_attribute(each) for name, each in value.items()}
        case "SS":
            return set(value)
    raise TypeError(f"the table has no attributes of type {kind}")
