"""Builds the handler of a Lambda function when its process needs it."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from nightlane.aws.clients import Clients
from nightlane.settings import Group

Handler = Callable[[dict[str, Any], Any], Any]
"""Takes an event and Lambda's context, returns the response."""


def on_aws(settings: type[Group], make: Callable[[Group, Clients], Handler]) -> Handler:
    """A handler that is built from the function's environment at the first event, and then reused.

    Importing the module of a function builds nothing, so the home and the tests can import it and build its
    handler from other ports.
    """

    @cache
    def made() -> Handler:
        return make(settings.from_environment(os.environ), Clients())

    def handler(event: dict[str, Any], context: Any) -> Any:
        return made()(event, context)

    return handler
