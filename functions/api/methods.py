"""The routes of the app: which methods a path has, for the response to any other."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.api_gateway import Route

from nightlane.domain.errors import ApiError, MethodNotAllowed, NotFound


def no_route(app: APIGatewayRestResolver) -> ApiError:
    """Return the error for a request that no route matches: NotFound or MethodNotAllowed."""
    event = app.current_event
    method, path = event.http_method, event.request_context.path
    allowed = _methods_of(app, event.path.removeprefix("/v1"))
    if not allowed:
        return NotFound(f"Invalid URL ({method} {path})")
    message = f"Not allowed to {method} on {path}. Allowed methods: {', '.join(allowed)}."
    return MethodNotAllowed(message, allowed)


def _methods_of(app: APIGatewayRestResolver, path: str) -> list[str]:
    return sorted({str(route.method) for route in routes_of(app) if route.rule.match(path)})


def routes_of(app: APIGatewayRestResolver) -> list[Route]:
    """Return all routes."""
    # Powertools has no public list of them.
    routes: list[Route] = app._static_routes + app._dynamic_routes
    return routes
