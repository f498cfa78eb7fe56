"""The models of all upstreams, for clients and for validation."""

from collections.abc import Callable, Sequence
from typing import Any

from nightlane.domain.errors import NotFound, UpstreamError
from nightlane.domain.routing import find_route, literal_names
from nightlane.upstream.credentials import Credentials
from nightlane.upstream.model_server import DEFAULTS, Model, ModelServer
from nightlane.upstream_settings import UpstreamSettings


class HttpModels:
    """`domain.ports.UpstreamModels` and `/v1/models`. A model is known by the name that routing reads."""

    def __init__(
        self,
        upstreams: Sequence[UpstreamSettings],
        credentials_of: Callable[[UpstreamSettings], Credentials],
    ) -> None:
        self._upstreams = upstreams
        self._servers = {each.name: ModelServer(each, credentials_of(each)) for each in upstreams}

    def is_missing(self, model: str) -> bool:
        """Whether its upstream says that it has no such model; what it lists is no more than a hint."""
        route = find_route(self._upstreams, model)
        if route is None or not _is_possible(route.model):
            return False
        try:
            return self._servers[route.upstream].ask(route.model).says_model_not_found
        except UpstreamError:
            return False

    def list_models(self) -> dict[str, Any]:
        """OpenAI's list of the models that a batch may use.

        Raises:
            UpstreamError: upstreams did not answer, and no model of any other is known.
        """
        models: dict[str, Model] = {}
        failure: UpstreamError | None = None
        for upstream in self._upstreams:
            try:
                models |= self._listed(upstream)
            except UpstreamError as error:
                failure = error
            for name in literal_names(upstream):
                models.setdefault(name, DEFAULTS | {"id": name})
        if failure and not models:
            raise failure
        return {"object": "list", "data": list(models.values())}

    def retrieve_model(self, model: str) -> Model:
        """The upstream's own answer, or its entry in the list. Raises: UpstreamError, NotFound."""
        route = find_route(self._upstreams, model)
        if route is not None and _is_possible(route.model):
            answer = self._servers[route.upstream].ask(route.model)
            found = answer.model()
            if found is None and not answer.says_model_not_found:
                listed = self.list_models()["data"]
                found = next((each for each in listed if each["id"] == model), None)
            if found is not None:
                return found | {"id": model}
        raise NotFound(f"The model '{model}' does not exist", code="model_not_found", param="model")

    def _listed(self, upstream: UpstreamSettings) -> dict[str, Model]:
        """The listed models that requests for them would reach, by id. Raises: UpstreamError."""
        listed = self._servers[upstream.name].list()
        routes = ((each, find_route(self._upstreams, each["id"])) for each in listed)
        return {each["id"]: each for each, route in routes if route and route.upstream == upstream.name}


def _is_possible(model: str) -> bool:
    """Whether a model could have this name: some make a proxy send errors of its own."""
    return model.isprintable() and ";" not in model and bool(model.strip("."))
