"""The console's files: exact names only, with a strict policy, from the folder that is deployed."""

import json
from typing import Any

import pytest

from functions.api.console_files import FOLDER, PAGE, console_files
from infra.gateway import is_public
from infra.home.events import proxy_event
from tests.world import World


def get(nightlane: World, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Without a key, as API Gateway passes it."""
    event = proxy_event("GET", path, [], list(headers.items()), b"", {})
    response: Any = nightlane.invoke("api", event)
    found = {name.lower(): values[0] for name, values in response["multiValueHeaders"].items()}
    return response["statusCode"], found, response.get("body") or ""


def test_the_page_may_use_this_server_and_the_bucket_alone(shared_world: World) -> None:
    status, headers, body = get(shared_world, "/console")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body == (FOLDER / PAGE).read_text()
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy["connect-src"] == "'self' https://nightlane.s3.us-east-1.amazonaws.com"
    assert policy | {"connect-src": ""} == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_every_file_of_the_folder_is_served_with_its_type(shared_world: World) -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(console_files())
    for name in set(console_files()) - {PAGE}:
        status, headers, body = get(shared_world, f"/console/{name}")
        assert (status, body) == (200, (FOLDER / name).read_text())
        assert headers["content-type"].startswith(("text/css;", "text/javascript;", "image/svg+xml;"))


@pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"other", "{}"'])
def test_a_file_that_the_browser_has_is_not_sent_again(shared_world: World, known: str) -> None:
    etag = get(shared_world, "/console")[1]["etag"]
    status, headers, body = get(shared_world, "/console", **{"If-None-Match": known.format(etag.strip('"'))})
    assert (status, body, headers["etag"]) == (304, "", etag)
    assert headers["cache-control"] == "public, max-age=60"
    assert get(shared_world, "/console", **{"If-None-Match": '"other"'})[0] == 200


@pytest.mark.parametrize(
    "name", ["missing.js", PAGE, "..", "../handler.py", "..%2fhandler.py", "%2e%2e", "handler.py", "a/b"]
)
def test_any_other_name_is_a_404_in_the_envelope(shared_world: World, name: str) -> None:
    status, headers, body = get(shared_world, f"/console/{name}")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def test_only_one_segment_below_the_console_is_public() -> None:
    public = ["/openapi.json", "/docs", "/console", "/console/app.js"]
    private = [
        "/openapiXjson",
        "/console/",
        "/console/a/b",
        "/console/a/",
        "/batches",
        "/xconsole",
        "/docs/a",
    ]
    assert [path for path in public + private if is_public(path)] == public
