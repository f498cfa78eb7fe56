"""The errors of commands, which end with their messages."""


class CommandError(Exception):
    """The command failed; the message says why."""


class InvalidSettings(Exception):
    """The name or the value of a setting is invalid; the message says which."""
