"""How a command says that it cannot do what it was asked for."""


class Refused(Exception):
    """The command cannot do it; the message says why."""
