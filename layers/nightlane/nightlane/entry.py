"""Builds the handler of a Lambda function on its first event."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from nightlane.aws.clients import Clients
from nightlane.settings_group import Group

Handler = Callable[[dict[str, Any], Any], Any]
"""Takes an event and Lambda's context, returns the response."""


def on_aws(settings: type[Group], make: Callable[[Group, Clients], Handler]) -> Handler:
    """Return a handler that is built from the function's environment on the first event, then reused.

    Importing a function's module builds nothing, so that the one-machine server and the tests can build its
    handler with other ports.
    """

    @cache
    def build() -> Handler:
        return make(settings.from_environment(os.environ), Clients())

    def handler(event: dict[str, Any], context: Any) -> Any:
        return build()(event, context)

    return handler
