"""Tenants are walls: no request shows another tenant's data, or that it exists. On DynamoDB and on SQLite.

The routes are the app's own. A new one fails `test_every_route_is_covered` until it is added here: for a new
kind of id, give `walls.Victim` objects in every state and name the parameter in `ids`; for a route without
an id in its path, say in `PLAIN` what a request to it may refer to.
"""

import json
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import functions.api.handler as api
from nightlane.domain.planning import plan_batch
from tests.integration.walls import ENGINES, MARK, SETTINGS, TOKEN, VICTIM, Engine, engine_on
from tests.store.machine import NoModels
from tests.world import ENDPOINT

# In one process, the module's moto ends before a test starts its own, which otherwise would not be empty.
pytestmark = pytest.mark.xdist_group("walls")
PARAMETER = re.compile(r"{(\w+)}")
Sent = tuple[bytes, dict[str, str], list[tuple[str, str]]]
"""The body, the query and the headers of a request."""


class Kind(Protocol):
    """What a request to a route without an id in its path may refer to."""

    def __call__(self, ids: Mapping[str, str]) -> Sent:
        """Return a request that refers to ids, by their parameter."""


def _list_after(parameter: str) -> Kind:
    return lambda ids: (b"", {"after": ids[parameter]}, [])


def _create_from_file(ids: Mapping[str, str]) -> Sent:
    body = {"input_file_id": ids["file_id"], "endpoint": ENDPOINT, "completion_window": "24h"}
    return json.dumps(body).encode(), {}, []


def _upload(ids: Mapping[str, str]) -> Sent:
    form = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"purpose": "batch", **ids}.items()
    )
    file = '--x\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n{}\r\n--x--\r\n'
    return (form + file).encode(), {}, FORM


def _begin_upload(ids: Mapping[str, str]) -> Sent:
    body = {"filename": ids["upload_id"], "purpose": "user_data", "bytes": 1, "mime_type": "text/plain"}
    return json.dumps(body).encode(), {}, []


def _begin_direct_upload(ids: Mapping[str, str]) -> Sent:
    body = {"filename": ids["file_id"], "purpose": "user_data", "bytes": 1}
    return json.dumps(body).encode(), {}, JSON


def _create_from_requests(ids: Mapping[str, str]) -> Sent:
    line = {
        "custom_id": ids["batch_id"],
        "method": "POST",
        "url": ENDPOINT,
        "body": {"model": "m", "prompt": ids["file_id"]},
    }
    body = {"requests": [line], "endpoint": ENDPOINT, "completion_window": "24h"}
    return json.dumps(body).encode(), {}, []


def _create_webhook_endpoint(ids: Mapping[str, str]) -> Sent:
    body = {
        "name": ids["endpoint_id"],
        "url": f"https://hooks.test/{ids['batch_id']}",
        "event_types": ["batch.failed"],
    }
    return json.dumps(body).encode(), {}, []


# Empty: the route shows nothing that belongs to a tenant.
PLAIN: dict[tuple[str, str], tuple[Kind, ...]] = {
    ("POST", "/files"): (_upload, _begin_direct_upload),
    ("GET", "/files"): (_list_after("file_id"),),
    ("POST", "/batches"): (_create_from_file, _create_from_requests),
    ("GET", "/batches"): (_list_after("batch_id"),),
    ("POST", "/uploads"): (_begin_upload,),
    ("POST", "/webhook_endpoints"): (_create_webhook_endpoint,),
    ("GET", "/webhook_endpoints"): (_list_after("endpoint_id"),),
    ("GET", "/webhook_event_types"): (),
    ("GET", "/batches/limits"): (),
    ("POST", "/batches/estimate"): (),
    ("GET", "/models"): (),
    ("GET", "/upstreams"): (),
    ("GET", "/models/{model+}"): (),
    ("GET", "/openapi.json"): (),
    ("GET", "/docs"): (),
    ("GET", "/console"): (),
    ("GET", "/console/{file}"): (),
}
# The bodies of requests to routes with an id in their path, if they need one to get as far as looking it up.
BODIES: dict[tuple[str, str], bytes] = {
    ("POST", "/uploads/{upload_id}/parts"): (
        b'--x\r\nContent-Disposition: form-data; name="data"; filename="upload"\r\n\r\n{}\r\n--x--\r\n'
    ),
    ("POST", "/uploads/{upload_id}/complete"): b'{"part_ids": ["part_of_nobody"]}',
    ("POST", "/webhook_endpoints/{endpoint_id}"): b'{"name": "mine"}',
    ("POST", "/webhook_endpoints/{endpoint_id}/test"): b'{"event_type": "batch.failed"}',
}
FORM = [("Content-Type", "multipart/form-data; boundary=x")]
JSON = [("Content-Type", "application/json")]


def _routes() -> list[tuple[str, str]]:
    router = api.make_router(cast("Any", SimpleNamespace(settings=SETTINGS)), NoModels())
    return [(route.method, route.path) for route in router.all_routes()]


ROUTES = _routes()
# Files of the console belong to nobody.
ROUTES_WITH_IDS = [each for each in ROUTES if PARAMETER.search(each[1]) and each not in PLAIN]
PLAIN_ROUTES = [each for each in ROUTES if each not in ROUTES_WITH_IDS]
LISTS = [path for method, path in PLAIN_ROUTES if method == "GET" and PLAIN.get((method, path))]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Shared by all requests of the thief: none of them may change anything."""
    with engine_on(request.param, tmp_path_factory.mktemp("walls")) as engine:
        before = engine.of_the_victim()
        assert sum(MARK in row for row in before) >= 15
        yield engine
        assert engine.of_the_victim() == before


def unknown_like(identifier: str) -> str:
    """Return an id of the same form that nobody has."""
    prefix = re.match(r"[a-z]+[-_]", identifier)
    assert prefix is not None
    return prefix[0] + "f" * (len(identifier) - len(prefix[0]))


def normalized(answer: tuple[int, str], identifier: str) -> tuple[int, str]:
    """Return an answer without what differs between two requests: the id that was sent, new ids and times."""
    status, body = answer
    body = body.replace(identifier, "SENT")
    body = re.sub(r"(batch_|file-|upload_|part_|req_|we_)[0-9a-f]{24,}", "NEW", body)
    body = re.sub(r"whsec_[^\"]+", "SECRET", body)
    body = re.sub(r"(Signature|signature)=[0-9a-f]+", "SIGNATURE", body)
    return status, re.sub(r"\b1[78]\d{8}\b", "TIME", body)


anything = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=40)
queries = st.dictionaries(
    st.sampled_from(["limit", "order", "purpose", "after"]),
    st.sampled_from(["1", "100", "asc", "desc", "batch", "batch_output", "x"]),
    max_size=2,
)
requests_of_a_thief = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_every_route_is_covered(engine: Engine) -> None:
    parameters = {name for _, path in ROUTES_WITH_IDS for name in PARAMETER.findall(path)}
    assert parameters <= set(engine.victim.ids), "a new kind of id: give the victim some, see above"
    assert set(PLAIN_ROUTES) == set(PLAIN), "a route without an id: say what it refers to, see above"
    assert set(BODIES) <= set(ROUTES_WITH_IDS)
    assert len(ROUTES_WITH_IDS) >= 6


def ask(
    engine: Engine, route: tuple[str, str], identifier: str, query: Mapping[str, str] | None = None
) -> list[tuple[int, str]]:
    """Return the answers about the id of another tenant, and about an unknown id in its place."""
    (method, path), answers = route, []
    for each in (identifier, unknown_like(identifier)):
        answer = engine.call(method, PARAMETER.sub(each, path), BODIES.get(route, b""), query, _headers(path))
        assert MARK not in answer[1]
        answers.append(normalized(answer, each))
    return answers


@pytest.mark.parametrize("route", ROUTES_WITH_IDS, ids=" ".join)
def test_every_route_says_that_another_tenants_id_is_not_found(
    engine: Engine, route: tuple[str, str]
) -> None:
    name, *_ = PARAMETER.findall(route[1])
    for identifier in engine.victim.ids[name]:
        victims, unknown = ask(engine, route, identifier)
        assert victims == unknown
        assert victims[0] == 404


@requests_of_a_thief
@given(st.data())
def test_ids_of_another_tenant_look_like_unknown_ones_in_place_of_other_kinds(
    engine: Engine, data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from(ROUTES_WITH_IDS))
    query, kind = data.draw(queries), data.draw(st.sampled_from([*engine.victim.ids]))
    identifier = data.draw(st.sampled_from(engine.victim.ids[kind]))
    victims, unknown = ask(engine, route, identifier, query)
    assert victims == unknown
    assert victims[0] in (400, 404)


@requests_of_a_thief
@given(st.data())
def test_what_a_request_refers_to_looks_unknown_too(engine: Engine, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([each for each in PLAIN_ROUTES if PLAIN[each]]))
    kind = data.draw(st.sampled_from(PLAIN[route]))
    chosen = {name: data.draw(st.sampled_from(ids)) for name, ids in engine.victim.ids.items()}
    unknown = {name: unknown_like(each) for name, each in chosen.items()}
    extra, answers = data.draw(queries), []
    for ids in (chosen, unknown):
        body, query, headers = kind(ids)
        status, text = engine.call(*route, body, extra | query if query else {}, headers)
        for each in ids.values():
            text = text.replace(each, "SENT")
        answers.append(normalized((status, text), "SENT"))
        assert status == 404 or not query or (status == 400 and extra)
    assert answers[0] == answers[1]
    assert MARK not in answers[0][1]


@requests_of_a_thief
@given(st.data(), queries)
def test_a_list_shows_nothing_of_another_tenant(
    engine: Engine, data: st.DataObject, query: dict[str, str]
) -> None:
    query.pop("after", None)
    status, body = engine.call("GET", data.draw(st.sampled_from(LISTS)), b"", query)
    assert status in (200, 400)
    assert MARK not in body
    # Its own batches show the ids of files that it has sent itself.
    listed = {each["id"] for each in json.loads(body).get("data", ())}
    assert listed.isdisjoint(each for ids in engine.victim.ids.values() for each in ids)


def test_a_batch_from_another_tenants_file_fails_as_from_an_unknown_one(engine: Engine) -> None:
    found = []
    for file_id in (engine.victim.input.id, unknown_like(engine.victim.input.id)):
        _, created = engine.call("POST", "/batches", _create_from_file({"file_id": file_id})[0])
        batch_id = json.loads(created)["id"]
        plan_batch(engine.ports, NoModels(), batch_id)
        _, failed = engine.call("GET", f"/batches/{batch_id}")
        found.append(normalized((200, failed), file_id))
    assert found[0] == found[1]
    assert "Cannot find file SENT" in found[0][1]


@settings(requests_of_a_thief, max_examples=10)
@given(st.just(TOKEN) | anything)
def test_an_idempotency_key_of_another_tenant_is_free(engine: Engine, token: str) -> None:
    body = _create_from_file({"file_id": "file-of-my-own"})[0]
    headers = [("Idempotency-Key", token)]
    status, created = engine.call("POST", "/batches", body, headers=headers)
    assert status == 200
    assert json.loads(created)["id"] not in engine.victim.ids["batch_id"]
    assert engine.call("POST", "/batches", body, headers=headers)[0] == 200


@pytest.mark.parametrize("kind", ENGINES)
def test_the_owner_gets_in_by_every_route(kind: str, tmp_path: Path) -> None:
    with engine_on(kind, tmp_path) as engine:
        for path in LISTS:
            assert MARK in engine.call("GET", path, tenant=VICTIM)[1]
        # What deletes comes last.
        for method, path in sorted(ROUTES_WITH_IDS, key=lambda route: route[0] == "DELETE"):
            (name, *_) = PARAMETER.findall(path)
            body, headers = BODIES.get((method, path), b""), _headers(path)
            found = [
                engine.call(method, path.replace(f"{{{name}}}", each), body, headers=headers, tenant=VICTIM)
                for each in engine.victim.ids[name]
            ]
            # Some routes refuse what is in the wrong state, and say so.
            assert any(status != 404 for status, _ in found), f"{method} {path}: {found}"


def _headers(path: str) -> list[tuple[str, str]]:
    return FORM if path.endswith("/parts") else []
