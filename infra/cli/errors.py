"""The error that ends a command with a message."""


class CommandError(Exception):
    """The command failed; the message says why."""
