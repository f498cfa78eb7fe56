"""The console's files over HTTP, on one machine and behind the rig's gateway."""

from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.e2e.conftest import HomeInstance, Instance
from tests.world import requests


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes, str]:
    """Status, headers, body, and the URL after redirects; without a key."""
    try:
        with urlopen(Request(url, headers=headers)) as response:  # noqa: S310
            return response.status, _lower(response.headers), response.read(), response.url
    except HTTPError as error:
        return error.code, _lower(error.headers), error.read(), url


def _lower(headers: object) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}  # type: ignore[attr-defined]


def test_a_browser_opens_the_console_without_a_key(instance: Instance) -> None:
    status, headers, body, _ = get(f"{instance.base_url}/console")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
    again = get(f"{instance.base_url}/console", **{"If-None-Match": headers["etag"]})
    assert (again[0], again[2]) == (304, b"")


def test_its_policy_names_the_origin_of_direct_uploads(instance: Instance) -> None:
    (policy,) = [
        each
        for each in get(f"{instance.base_url}/console")[1]["content-security-policy"].split("; ")
        if each.startswith("connect-src ")
    ]
    pending = instance.client.post(
        "/files", body={"filename": "a.jsonl", "purpose": "batch", "bytes": 1}, cast_to=dict[str, object]
    )
    upload = pending["upload"]
    assert isinstance(upload, dict)
    origin = upload["url"].split("/v1/direct")[0] if "/v1/direct" in upload["url"] else upload["url"]
    own = instance.base_url.removesuffix("/v1")
    assert policy.split()[1] == "'self'"
    assert own == origin or origin.startswith(tuple(policy.split()[2:]))


@pytest.mark.parametrize("path", ["/console/missing.js", "/console/..%2fhandler.py", "/console/%2e%2e"])
def test_an_unknown_file_is_not_found(instance: Instance, path: str) -> None:
    status, headers, body, _ = get(f"{instance.base_url}{path}")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert b"Invalid URL" in body


@pytest.mark.parametrize("path", ["/", "/console", "/console/", "/v1/console/"])
def test_whatever_people_type_leads_to_the_console_on_one_machine_alone(
    instance: Instance, path: str
) -> None:
    status, _, _, url = get(instance.base_url.removesuffix("/v1") + path)
    if isinstance(instance, HomeInstance):
        assert (status, url) == (200, f"{instance.base_url}/console")
    else:
        assert status in {401, 404}


def test_a_batch_has_a_history_while_it_runs_and_afterwards(instance: Instance) -> None:
    batch = instance.create(requests(12))
    instance.wait(batch.id)
    history: Any = instance.client.get(f"/batches/{batch.id}/history", cast_to=object)
    assert history["object"] == "batch.history"
    assert sum(point["completed"] for point in history["points"]) == 12
    assert max(point["mean_latency_ms"] or 0 for point in history["points"]) > 0


def test_the_upstreams_are_listed_with_what_batches_used(instance: Instance) -> None:
    instance.wait(instance.create(requests(4)).id)
    listed: Any = instance.client.get("/upstreams", cast_to=object)
    (upstream,) = listed["data"]
    assert (upstream["name"], upstream["status"], upstream["models"]) == ("default", "ok", ["*"])
    assert upstream["requests"] >= 4
