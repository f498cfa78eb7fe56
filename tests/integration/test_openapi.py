"""The OpenAPI document and its page: complete, valid, in step with the models, and made only on demand."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.api.handler import make_router
from infra.gateway import PUBLIC_PATHS
from infra.home.events import proxy_event
from nightlane.domain.endpoints import ENDPOINTS
from nightlane.domain.window import parse_window
from nightlane.settings import Settings
from nightlane.wire.requests import WINDOW_PATTERN, CreateBatch, CreateFile, ListFiles
from tests.upstream import only
from tests.world import World, moto_world

SETTINGS = Settings(upstreams=only("http://127.0.0.1:9"), extra_endpoints=("/v1/rerank",))
MODULES = ("functions.api.openapi", "functions.api.document_page")


@pytest.fixture(scope="module")
def nightlane() -> Iterator[World]:
    with moto_world(SETTINGS) as world:
        yield world


@pytest.fixture(scope="module")
def document(nightlane: World) -> dict[str, Any]:
    return dict(nightlane.call("GET", "/openapi.json")[1])


class Tags(HTMLParser):
    """Collects the start tags of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    @classmethod
    def of(cls, page: str) -> list[tuple[str, dict[str, str | None]]]:
        parser = cls()
        parser.feed(page)
        return parser.found


def get(nightlane: World, path: str) -> Any:
    """Without a key, as API Gateway passes it."""
    return nightlane.invoke("api", proxy_event("GET", path, [], [], b"", {}))


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_of_the_app_is_in_the_document(nightlane: World, document: dict[str, Any]) -> None:
    routes = make_router(nightlane.ports, nightlane.models).all_routes()
    documented = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(documented) == len(set(documented)) == len(routes) >= 14


def test_bodies_queries_and_forms_come_from_the_models_that_read_them(document: dict[str, Any]) -> None:
    body = document["components"]["schemas"]["CreateBatch"]
    assert set(body["properties"]) == set(CreateBatch.model_fields)
    assert body["additionalProperties"] is False
    assert body["properties"]["endpoint"]["enum"] == [*ENDPOINTS, "/v1/rerank"]
    files = document["paths"]["/files"]
    assert {each["name"] for each in files["get"]["parameters"]} == set(ListFiles.model_fields)
    form = files["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {name.partition("[")[0] for name in form["properties"]} == {*CreateFile.model_fields, "file"}
    assert form["required"] == ["file", "purpose"]


@pytest.mark.parametrize("unit", ["h", "d"])
def test_the_pattern_of_windows_matches_what_is_accepted(unit: str) -> None:
    windows = [f"{number}{unit}" for number in range(1_100)] + ["", "h", "24", "24H", "01d", " 1d", "1d1h"]
    accepted = [window for window in windows if re.search(WINDOW_PATTERN, window)]
    assert accepted == [window for window in windows if parse_window(window) is not None]


def test_only_the_public_paths_need_no_key(document: dict[str, Any]) -> None:
    public = {
        path
        for path, methods in document["paths"].items()
        for method, each in methods.items()
        if each.get("security") == [] and method == "get"
    }
    assert public == set(PUBLIC_PATHS)
    assert document["security"] == [{"key": []}]


def test_the_page_is_served_without_a_key_and_loads_nothing(nightlane: World) -> None:
    response = get(nightlane, "/docs")
    headers = {name.lower(): values[0] for name, values in response["multiValueHeaders"].items()}
    assert (response["statusCode"], headers["content-type"]) == (200, "text/html; charset=utf-8")
    tags = Tags.of(response["body"])
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "img", "iframe", "object", "base", "form"})
    targets = {attributes["href"] for _, attributes in tags if "href" in attributes}
    assert {each for each in targets if not str(each).startswith("#")} == {"openapi.json"}
    assert {f"#{attributes['id']}" for _, attributes in tags if "id" in attributes} >= targets - {
        "openapi.json"
    }
    (style,) = re.findall(r"<style>(.*?)</style>", response["body"], re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = headers["content-security-policy"].split("; ")
    assert policy[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert not any(attribute.startswith(("on", "style")) for _, each in tags for attribute in each)


def test_every_operation_and_object_is_on_the_page(nightlane: World, document: dict[str, Any]) -> None:
    page = get(nightlane, "/docs")["body"]
    for methods in document["paths"].values():
        assert all(f"id='{each['operationId']}'" in page for each in methods.values())
    assert all(f"id='{name}'" in page for name in document["components"]["schemas"])


def test_the_modules_that_make_the_document_are_not_loaded_at_a_cold_start() -> None:
    script = (
        f"import functions.api.handler, json, sys; print(json.dumps([m in sys.modules for m in {MODULES}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False]
