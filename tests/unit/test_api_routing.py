"""Which route of the API a request takes."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from functions.api.handler import RARE, make_router
from functions.api.http import JSON, Request, Response
from functions.api.operation import Operation
from functions.api.routing import Route, Router, Routes
from infra.home.events import proxy_event
from nightlane.domain.errors import MethodNotAllowed, NotFound
from nightlane.settings import Settings


def request(method: str, path: str) -> Request:
    return Request.of(proxy_event(method, path, [], [], b"", {}))


def routes(*declared: tuple[str, str]) -> Routes:
    """Return routes that respond with their path and its parameters."""
    made = Routes()
    for method, path in declared:
        declare = {"GET": made.get, "POST": made.post, "DELETE": made.delete}[method]

        @declare(path, Operation(path, path))
        def handle(_: Request, path: str = path, **parameters: str) -> Response:
            return Response(200, JSON, str((path, parameters)))

    return made


@pytest.mark.parametrize(
    ("path", "given", "parameters"),
    [
        ("/batches", "/batches", {}),
        ("/batches", "/batches//", {}),
        ("/batches", "/batches/b", None),
        ("/batches", "/", None),
        ("/batches/{batch_id}", "/batches/b", {"batch_id": "b"}),
        ("/batches/{batch_id}", "/batches/b/", {"batch_id": "b"}),
        ("/batches/{batch_id}", "/batches/", None),
        ("/batches/{batch_id}", "/batches/caf%C3%A9", {"batch_id": "caf%C3%A9"}),
        ("/batches/{batch_id}", "/batches/a?b", None),
        ("/batches/{batch_id}/cancel", "/batches/b/cancel", {"batch_id": "b"}),
        ("/batches/{batch_id}/cancel", "/batches//cancel", None),
        ("/models/{model+}", "/models/org/m%2Fn", {"model": "org/m%2Fn"}),
        ("/models/{model+}", "/models/m/", {"model": "m/"}),
        ("/models/{model+}", "/models/", None),
        ("/models/{model+}", "/models", None),
    ],
)
def test_a_path_with_its_parameters(path: str, given: str, parameters: dict[str, str] | None) -> None:
    route = Route("GET", path, Operation("id", "summary"), lambda _: Response(200))
    assert route.match(given) == parameters


def test_a_fixed_path_comes_before_one_with_a_parameter_and_a_rare_module_is_loaded_once() -> None:
    loaded: list[str] = []

    def load(module: str) -> Routes:
        loaded.append(module)
        return routes(("GET", "/batches/limits"), ("POST", "/batches/{batch_id}/retry"))

    usual = routes(("GET", "/batches/{batch_id}"))
    router = Router([usual], {"limits": "rare", "retry": "rare"}, load)
    assert router.respond(request("GET", "/batches/b")).body == "('/batches/{batch_id}', {'batch_id': 'b'})"
    assert loaded == []
    assert router.respond(request("GET", "/v1/batches/limits")).body == "('/batches/limits', {})"
    assert router.respond(request("POST", "/batches/limits/retry")).status == 200
    assert loaded == ["rare"]
    with pytest.raises(MethodNotAllowed) as refused:
        router.respond(request("DELETE", "/batches/b/retry"))
    assert refused.value.allowed == ["POST"]
    with pytest.raises(NotFound):
        router.respond(request("GET", "/nothing"))


def test_every_route_of_a_rare_module_is_found_by_its_path() -> None:
    router = make_router(cast("Any", SimpleNamespace(settings=Settings())), cast("Any", None))
    usual = {each.path for each in router.usual_routes()}
    rare = [each.path for each in router.all_routes() if each.path not in usual]
    assert len(rare) >= len(RARE)
    assert [path for path in rare if not RARE.keys() & set(path.split("/"))] == []
