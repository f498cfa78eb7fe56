"""The list of upstreams, an extension: status, limit and use; nothing that only operators may see."""

import json
from datetime import UTC, datetime
from typing import Any

from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.table import TABLE, Verdict
from nightlane.domain.trouble import Rest, Trouble
from nightlane.upstream_settings import UpstreamSettings
from nightlane.wire.upstreams import MESSAGES
from tests.upstream import Upstream, question, refusal
from tests.world import World, requests

SECRET = "the words of the endpoint about sk-123 at http://10.0.0.1"


def upstreams_of(world: World) -> Any:
    status, body = world.call("GET", "/upstreams")
    assert (status, body["object"]) == (200, "list")
    return body["data"]


def change(world: World, **fields: Any) -> None:
    """Change the settings of the only upstream."""
    values = world.ports.settings.upstreams[0].model_dump() | fields
    world.ports.settings.__dict__["upstreams"] = (UpstreamSettings.model_validate(values),)


def test_an_unused_upstream_has_all_keys(nightlane: World) -> None:
    change(nightlane, models=("mock-*",), rewrite={"small": "mock-small"}, max_concurrent_requests=7)
    (upstream,) = upstreams_of(nightlane)
    assert upstream.pop("counted_since") % 3_600 == 0
    assert upstream == {
        "object": "upstream",
        "name": "default",
        "models": ["small", "mock-*"],
        "status": "ok",
        "limit": {"now": None, "max": 7},
        "requests": 0,
        "refusals": 0,
        "resting_until": None,
        "active_hours": None,
        "last_error": None,
    }


def test_requests_and_refusals_of_all_batches_are_counted(nightlane: World, upstream: Upstream) -> None:
    upstream.script = lambda body, seen: refusal(429) if seen == 0 and "0?" in question(body) else None
    for _ in range(2):
        nightlane.create(nightlane.upload(requests(3)))
        nightlane.run()
    (shown,) = upstreams_of(nightlane)
    assert (shown["requests"], shown["refusals"]) == (len(upstream.raw), 1) == (7, 1)
    assert (shown["status"], shown["last_error"]["kind"], shown["last_error"]["status"]) == (
        "ok",
        "rate_limited",
        429,
    )
    assert abs(shown["last_error"]["since"] - nightlane.ports.now()) < 60
    nightlane.pass_time(86_400)
    (later,) = upstreams_of(nightlane)
    assert (later["requests"], later["last_error"]) == (0, None)


def test_counts_that_cannot_be_stored_do_not_disturb_a_batch(nightlane: World, upstream: Upstream) -> None:
    def fail(*_: object) -> None:
        raise OSError("the table is down")

    nightlane.ports.upstreams.note_use = fail  # type: ignore[assignment,method-assign]
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.run()
    assert nightlane.batch(batch_id).completed == 3
    assert len(upstream.raw) == 3


def test_a_rest_is_shown_with_its_end_and_in_our_words(nightlane: World) -> None:
    now = int(nightlane.ports.now())
    rest = Rest(now + 60, 1, Trouble("denied", 401, SECRET, now - 5))
    nightlane.ports.upstreams.begin_rest("default", rest, None)
    (shown,) = upstreams_of(nightlane)
    assert (shown["status"], shown["resting_until"]) == ("resting", now + 60)
    assert shown["last_error"] == {
        "kind": "denied",
        "status": 401,
        "message": MESSAGES[Kind.DENIED],
        "since": now - 5,
    }
    nightlane.pass_time(61)
    (over,) = upstreams_of(nightlane)
    assert (over["status"], over["resting_until"]) == ("ok", None)
    assert over["last_error"] == shown["last_error"]


def test_nothing_is_shown_that_only_operators_may_see(nightlane: World, upstream: Upstream) -> None:
    change(nightlane, headers={"X-Team": "hidden"}, query={"api-version": "hidden"}, auth={"key": "hidden"})
    now = int(nightlane.ports.now())
    nightlane.ports.upstreams.begin_rest("default", Rest(now, 1, Trouble("denied", 401, SECRET, now)), None)
    shown = json.dumps(upstreams_of(nightlane))
    assert "hidden" not in shown
    assert SECRET not in shown
    assert upstream.url not in shown


def test_an_upstream_is_closed_outside_its_active_hours(nightlane: World) -> None:
    now = nightlane.ports.now()
    hour = datetime.fromtimestamp(now, UTC).hour
    for first, status in ((hour, "ok"), ((hour + 2) % 24, "closed")):
        hours = f"{first:02d}:00-{(first + 1) % 24:02d}:00 UTC"
        change(nightlane, active=hours)
        (shown,) = upstreams_of(nightlane)
        assert (shown["status"], shown["active_hours"]["hours"]) == (status, hours)
        change_key = "closes_at" if status == "ok" else "opens_at"
        times = {name: shown["active_hours"][name] for name in ("opens_at", "closes_at")}
        assert times.pop(change_key) > now
        assert list(times.values()) == [None]


def test_every_refusal_and_failure_has_a_message() -> None:
    kinds = {row.kind for row in TABLE if row.verdict not in (Verdict.ANSWERED, Verdict.REJECTED)}
    assert kinds <= set(MESSAGES)
