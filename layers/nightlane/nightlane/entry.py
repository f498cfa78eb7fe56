"""Builds the handler of a Lambda function, on Lambda while it starts, and elsewhere on its first event."""

import gc
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from nightlane.aws.clients import Clients
from nightlane.settings_group import Group

Handler = Callable[[dict[str, Any], Any], Any]
"""Takes an event and Lambda's context, returns the response."""


def on_aws(settings: type[Group], make: Callable[[Group, Clients], Handler]) -> Handler:
    """Return a handler that is built from the function's environment once, then reused.

    Outside Lambda, importing a function's module builds nothing, so that the one-machine server and the tests
    can build its handler with other ports.
    """

    @cache
    def build() -> Handler:
        clients = Clients()
        # Every function reads the table.
        _ = clients.dynamodb.meta
        return make(settings.from_environment(os.environ), clients)

    def handler(event: dict[str, Any], context: Any) -> Any:
        return build()(event, context)

    # https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        build()
    # Imported objects are never freed, so the garbage collector does not need to scan them during each run.
    gc.freeze()
    gc.enable()
    return handler
