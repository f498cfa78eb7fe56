"""Ids that clients send: of files, batches and cursors."""

MAX_ID_CHARACTERS = 256
"""No id is longer. DynamoDB's limit for a partition key is 2,048 bytes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
MAX_SHOWN_CHARACTERS = 100


def is_possible(identifier: str) -> bool:
    """Whether something could have this id, so that a store may be asked for it."""
    return len(identifier) <= MAX_ID_CHARACTERS and identifier.isascii()


def shorten(text: str) -> str:
    """Return the beginning of what a client sent, for an error message."""
    # Half of a pair of surrogates cannot be encoded.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…"
