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
