"""The limiter uses as much as the upstream takes, with few refusals, and never more than the maximum."""

from collections.abc import Callable
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simpy import Environment

from nightlane.domain.inference.limiter import Ended, Limiter
from tests.limiter_simulation import Bucket, Capacity, Client, Queue, Reply, SharedQueue, Upstream, simulate

TOKEN_SECONDS = 0.02


def capacity(requests: int, retry_after: float | None = None) -> Callable[[Environment], Upstream]:
    def make(env: Environment) -> Upstream:
        upstream = Capacity(env)
        upstream.capacity, upstream.retry_after = requests, retry_after
        return upstream

    return make


def bucket(rate: float, burst: float, seconds: float, *, asks: bool) -> Callable[[Environment], Upstream]:
    def make(env: Environment) -> Upstream:
        upstream = Bucket(env, seconds)
        upstream.rate, upstream.burst, upstream.asks = rate, burst, asks
        return upstream

    return make


def set_capacity(requests: int) -> Callable[[Upstream], None]:
    return lambda upstream: setattr(upstream, "capacity", requests)


@given(
    maximum=st.integers(1, 60),
    start=st.none() | st.floats(1, 100),
    target=st.none() | st.floats(1e-3, 10),
    probing=st.booleans(),
    events=st.lists(
        st.tuples(st.booleans(), st.floats(0, 5), st.integers(0, 59), st.integers(0, 500), st.booleans()),
        max_size=300,
    ),
)
def test_the_limit_is_between_one_and_the_maximum_whatever_happens(
    maximum: int,
    start: float | None,
    target: float | None,
    probing: bool,
    events: list[tuple[bool, float, int, int, bool]],
) -> None:
    limiter, now = Limiter(maximum, start=start, target=target, probing=probing), 0.0
    for refused, seconds, others, tokens, pause in events:
        now += seconds / 2
        limiter.on_outcome(Ended(now - seconds, now, min(others, maximum - 1), refused, tokens))
        if pause:
            limiter.pause(now, limiter.pause_after(1, None))
        assert 1 <= limiter.limit() <= maximum
        assert 1 <= limiter.good <= maximum


@given(maximum=st.integers(1, 900))
def test_without_refusals_the_maximum_is_used_from_the_start(maximum: int) -> None:
    limiter = Limiter(maximum)
    assert limiter.limit() == maximum
    for _ in range(100):
        limiter.on_outcome(Ended(0, 1, maximum - 1))
    assert limiter.limit() == limiter.good == maximum


@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize(("requests", "maximum"), [(1, 32), (3, 10), (4, 32), (16, 64), (100, 300)])
def test_a_capacity_is_used_with_few_refusals(requests: int, maximum: int, retry_after: float | None) -> None:
    client = simulate(Limiter(maximum), capacity(requests, retry_after), 120)
    assert client.rate(10, 120) >= 0.95 * requests / 0.5
    assert client.refused_share(10) <= 0.05
    assert client.limiter.good == requests


def test_capacity_that_halves_and_comes_back_is_used_throughout() -> None:
    client = simulate(Limiter(64), capacity(16), 120, (40, set_capacity(8)), (80, set_capacity(16)))
    assert client.rate(40, 80) >= 0.95 * 16
    assert client.rate(80, 120) >= 0.95 * 32
    assert client.refused_share(10) <= 0.05


def test_after_an_outage_the_former_capacity_is_soon_used_again() -> None:
    client = simulate(Limiter(64), capacity(16), 120, (40, set_capacity(0)), (45, set_capacity(16)))
    assert client.rate(50, 120) >= 0.95 * 32
    # Single requests, with pauses, while nothing is served.
    assert sum(41 < at < 45 for at in client.refused) <= 10


@pytest.mark.parametrize(
    ("rate", "seconds", "asks"),
    [(20, 0.5, False), (20, 0.5, True), (100, 0.2, False), (100, 0.2, True), (8, 3, False)],
)
def test_a_rate_limit_is_used(rate: float, seconds: float, asks: bool) -> None:
    client = simulate(Limiter(64), bucket(rate, rate, seconds, asks=asks), 600)
    assert client.rate(60, 600) >= 0.95 * rate
    assert client.refused_share(60) <= 0.2


def test_a_rate_that_a_single_request_at_a_time_exceeds_is_used_with_few_refusals() -> None:
    client = simulate(Limiter(64), bucket(10, 10, 0.05, asks=False), 300)
    assert client.rate(20, 300) >= 0.95 * 10
    assert client.refused_share(20) <= 0.1


class Flaky(Upstream):
    """Refuses this share of the requests at random."""

    share = 0.1

    def decide(self) -> Reply:
        return Reply(self._random.random() >= self.share)


@pytest.mark.parametrize(("share", "expected"), [(0.02, 0.95), (0.1, 0.4), (0.3, 0.3)])
def test_refusals_that_have_nothing_to_do_with_the_load_do_not_make_a_batch_slow(
    share: float, expected: float
) -> None:
    def make(env: Environment) -> Upstream:
        upstream = Flaky(env)
        upstream.share = share
        return upstream

    client = simulate(Limiter(32), make, 240)
    assert client.rate(20, 240) >= expected * 32 / 0.5


def queue(env: Environment) -> Upstream:
    return Queue(env, 16)


def mean_seconds_per_token(client: Client) -> float:
    late = [seconds for at, seconds in client.seconds_per_token if at > 20]
    return sum(late) / len(late)


def test_without_a_target_the_limit_is_used_in_full_before_a_queue() -> None:
    client = simulate(Limiter(64), queue, 60)
    assert client.mean_limit(0, 60) == 64
    assert mean_seconds_per_token(client) > 3 * TOKEN_SECONDS


@pytest.mark.parametrize("factor", [1.1, 1.3, 2])
def test_with_a_target_a_queue_stays_as_short_as_it_asks_and_the_server_busy(factor: float) -> None:
    target = factor * TOKEN_SECONDS
    client = simulate(Limiter(64, target=target), queue, 120)
    assert mean_seconds_per_token(client) == pytest.approx(target, rel=0.08)
    assert client.rate(20, 120) >= 0.95 * 16 / 0.5


def test_a_target_that_cannot_be_met_leaves_one_request_in_flight() -> None:
    assert simulate(Limiter(64, target=TOKEN_SECONDS / 2), queue, 120).mean_limit(60, 120) == 1


def test_with_long_prompts_and_answers_of_any_length_a_target_keeps_the_server_busy() -> None:
    def make(env: Environment) -> Upstream:
        upstream = Queue(env, 16, seconds=4.0, sigma=1.0)
        upstream.prompt_seconds = 0.5
        return upstream

    idle = TOKEN_SECONDS * 4.5 / 4.0
    client = simulate(Limiter(32, target=1.05 * idle), make, 1_200)
    assert client.rate(200, 1_200) >= 0.8 * 16 / 4.5


def test_chance_does_not_keep_the_limit_low_where_the_seconds_have_nothing_to_do_with_the_tokens() -> None:
    class SameLength(Queue):
        def tokens_of(self, seconds: float) -> int:  # noqa: ARG002 (the simulation's)
            return 25

    client = simulate(Limiter(32, target=1.15 * TOKEN_SECONDS), lambda env: SameLength(env, 16), 60)
    assert client.rate(10, 60) >= 0.95 * 16 / 0.5


def test_with_a_target_bursts_of_other_users_seldom_wait() -> None:
    def make(env: Environment) -> Upstream:
        return SharedQueue(env, 16, seconds=4.0, sigma=1.0)

    client = simulate(Limiter(32, target=1.15 * TOKEN_SECONDS), make, 1_200)
    assert isinstance(client.upstream, SharedQueue)
    waits = quantiles(client.upstream.waits, n=20)
    assert waits[9] == 0, "half of them"
    assert waits[-1] < 3
    # They leave three quarters of the slots.
    assert client.rate(0, 1_200) >= 0.6 * 0.75 * 16 / 4.0


def test_a_target_says_nothing_about_answers_without_tokens() -> None:
    limiter = Limiter(8, start=8, target=0.01)
    for _ in range(100):
        limiter.on_outcome(Ended(0, 100, 7))
    assert limiter.limit() == 8


@given(maximum=st.integers(1, 900))
def test_after_a_rest_the_limit_starts_at_one_and_soon_reaches_what_was_good(maximum: int) -> None:
    limiter = Limiter(maximum, probing=True)
    assert limiter.limit() == 1
    for answers in range(maximum):
        limiter.on_outcome(Ended(answers, answers + 1, limiter.limit() - 1))
    assert limiter.limit() == maximum


@given(maximum=st.integers(1, 900), start=st.integers(1, 900))
def test_the_limit_starts_at_what_was_good(maximum: int, start: int) -> None:
    assert Limiter(maximum, start=start).limit() == min(start, maximum)


def test_a_start_that_is_too_low_is_soon_left_behind() -> None:
    client = simulate(Limiter(64, start=2), capacity(16), 60)
    assert client.rate(10, 60) >= 0.95 * 32


@given(pauses=st.lists(st.floats(0, 1e6), min_size=1))
def test_the_longest_of_several_pauses_applies(pauses: list[float]) -> None:
    limiter = Limiter(3)
    assert limiter.pause_until == 0
    for seconds in pauses:
        limiter.pause(5, seconds)
    assert limiter.pause_until == 5 + max(pauses)
