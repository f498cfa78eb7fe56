"""A scripted upstream, and a Nightlane that uses it."""

from collections.abc import Iterator

import pytest

from nightlane.settings import Settings
from tests.upstream import Upstream, only, serving
from tests.world import World, moto_world


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving(Upstream()) as serving_upstream:
        yield serving_upstream


@pytest.fixture
def nightlane(upstream: Upstream) -> Iterator[World]:
    settings = Settings(upstreams=only(upstream.url), shard_max_lines=4, worker_lease_seconds=5)
    with moto_world(settings) as world:
        yield world


@pytest.fixture(scope="module")
def shared_world() -> Iterator[World]:
    """One world for all tests of a module that need nothing of their own, without an upstream."""
    with moto_world(Settings(upstreams=only("http://127.0.0.1:9"))) as world:
        yield world
