"""Attributes have the form that boto3 gives them, and are read back unchanged."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from nightlane.aws.table.attributes import from_attribute, to_attribute

SCALARS = st.none() | st.booleans() | st.integers(-(10**37), 10**37) | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS | st.sets(st.text(), min_size=1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_is_read_back_unchanged(value: Any) -> None:
    assert from_attribute(to_attribute(value)) == value


@given(VALUES)
def test_a_value_has_the_form_that_boto3_gives_it(value: Any) -> None:
    assert ordered(to_attribute(value)) == ordered(TypeSerializer().serialize(value))


def ordered(attribute: Any) -> Any:
    """An attribute whose sets are sorted: DynamoDB does not keep their order."""
    if isinstance(attribute, dict):
        return {
            name: sorted(each) if name == "SS" and isinstance(each, list) else ordered(each)
            for name, each in attribute.items()
        }
    return [ordered(each) for each in attribute] if isinstance(attribute, list) else attribute


@pytest.mark.parametrize("value", [1.5, Decimal("1.5"), {1, 2}, set(), object(), [2.5]])
def test_a_value_that_the_table_has_no_type_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="the table has no type for"):
        to_attribute(value)


def test_an_attribute_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="no attributes of type NS"):
        from_attribute({"NS": ["1"]})
    with pytest.raises(ValueError, match=r"1\.5"):
        from_attribute({"N": "1.5"})
