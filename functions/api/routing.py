"""Which route a request takes. The modules of most routes are imported when a request first asks for one.

Powertools' router would need a fifth of a cold start, see docs/decisions/0022-cold-start.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from functions.api.http import Request, Response
from functions.api.operation import Operation
from nightlane.domain.errors import MethodNotAllowed, NotFound

Handle = Callable[..., Response]
"""Takes the request, and the parameters of the path by name, percent-encoded."""
# What a segment of a path may have: RFC 3986's characters, and others that clients do not encode.
SEGMENT = re.compile(r"[-._~()'!*:@,;=+&$%<> \[\]{}|^\w]+")


class Route:
    """A method and a path, such as `/batches/{batch_id}/cancel`; `{name+}` is the whole rest of a path."""

    def __init__(self, method: str, path: str, operation: Operation, handle: Handle) -> None:
        self.method = method
        self.path = path
        self.operation = operation
        self.handle = handle
        self._segments = path.split("/")

    @property
    def is_fixed(self) -> bool:
        """Whether the path has no parameter."""
        return "{" not in self.path

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the parameters in a path; None if it is not the path of this route."""
        *segments, last = self._segments
        if last.endswith("+}"):
            given = path.split("/", len(segments))
            return {last[1:-2]: given[-1]} if given[:-1] == segments and given[-1] else None
        given = path.rstrip("/").split("/")
        if len(given) != len(self._segments):
            return None
        parameters = {}
        for segment, value in zip(self._segments, given, strict=True):
            if segment[:1] == "{" and SEGMENT.fullmatch(value):
                parameters[segment[1:-1]] = value
            elif segment != value:
                return None
        return parameters


class Routes:
    """Routes, each declared by a decorator of the function that handles it."""

    def __init__(self) -> None:
        self.declared: list[Route] = []

    def get(self, path: str, operation: Operation) -> Callable[[Handle], Handle]:
        return self._declare("GET", path, operation)

    def post(self, path: str, operation: Operation) -> Callable[[Handle], Handle]:
        return self._declare("POST", path, operation)

    def delete(self, path: str, operation: Operation) -> Callable[[Handle], Handle]:
        return self._declare("DELETE", path, operation)

    def _declare(self, method: str, path: str, operation: Operation) -> Callable[[Handle], Handle]:
        def declare(handle: Handle) -> Handle:
            self.declared.append(Route(method, path, operation, handle))
            return handle

        return declare


class Router:
    """Calls the route of a request.

    Args:
        rare: the module of routes that few requests need, by each of the fixed segments that tell them apart.
        load: returns the routes of such a module.
    """

    def __init__(
        self, routes: Iterable[Routes], rare: Mapping[str, str], load: Callable[[str], Routes]
    ) -> None:
        self._routes = [route for each in routes for route in each.declared]
        self._rare = rare
        self._load = cache(load)

    def usual_routes(self) -> Sequence[Route]:
        """Return the routes that are imported at once."""
        return self._routes

    def all_routes(self) -> Sequence[Route]:
        """Return all routes, rare ones, too."""
        return self._with(self._rare.values())

    def respond(self, request: Request) -> Response:
        """Call the route of a request. Raises: NotFound, MethodNotAllowed and what the route raises."""
        matching = list(self._matching(request.path))
        for route, parameters in matching:
            if route.method == request.method.upper():
                return route.handle(request, **parameters)
        method, path = request.method, request.shown_path
        if not matching:
            raise NotFound(f"Invalid URL ({method} {path})")
        allowed = sorted({route.method for route, _ in matching})
        message = f"Not allowed to {method} on {path}. Allowed methods: {', '.join(allowed)}."
        raise MethodNotAllowed(message, allowed)

    def _matching(self, path: str) -> Iterator[tuple[Route, Mapping[str, str]]]:
        """Routes of a path with its parameters; those without a parameter come first."""
        routes = self._with(self._rare[segment] for segment in path.split("/") if segment in self._rare)
        for route in sorted(routes, key=lambda each: not each.is_fixed):
            parameters = route.match(path)
            if parameters is not None:
                yield route, parameters

    def _with(self, rare: Iterable[str]) -> list[Route]:
        loaded = (self._load(module) for module in dict.fromkeys(rare))
        return [*self._routes, *(route for each in loaded for route in each.declared)]
