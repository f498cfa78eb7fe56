"""The limiter allows as many requests as the upstream can handle: at least one, at most the maximum."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.limiter import Limiter


@given(maximum=st.integers(1, 900), data=st.data())
def test_a_refusal_lowers_the_limit_to_the_requests_in_flight(maximum: int, data: st.DataObject) -> None:
    held = data.draw(st.integers(1, maximum))
    limiter = Limiter(maximum)
    limiter.on_refused(held)
    assert limiter.limit() == held
    # A later refusal of the same storm, with fewer in flight, lowers it further.
    limiter.on_refused(max(0, held - 1))
    assert limiter.limit() == max(1, held - 1)
    limiter.on_refused(held)
    assert limiter.limit() == max(1, held - 1)


@given(maximum=st.integers(1, 900), refusals=st.integers(1, 50))
def test_after_an_outage_each_answer_raises_the_limit_until_it_is_restored(
    maximum: int, refusals: int
) -> None:
    limiter = Limiter(maximum)
    for in_flight in itertools.chain(range(maximum - 1, -1, -1), itertools.repeat(0, refusals)):
        limiter.on_refused(in_flight)
    assert limiter.limit() == 1
    for answers in range(1, maximum):
        limiter.on_answered()
        assert limiter.limit() == 1 + answers
    assert limiter.limit() == maximum


def test_what_was_learned_about_the_capacity_survives_an_outage() -> None:
    limiter = Limiter(100)
    limiter.on_refused(8)
    limiter.on_answered()
    for in_flight in range(7, -1, -1):
        limiter.on_refused(in_flight)
    for _ in range(7):
        limiter.on_answered()
    assert limiter.limit() == 8
    limiter.on_answered()
    assert limiter.limit() == 8


@given(maximum=st.integers(1, 900))
def test_after_a_rest_the_limit_starts_at_one_and_soon_reaches_the_maximum(maximum: int) -> None:
    limiter = Limiter(maximum, probing=True)
    assert limiter.limit() == 1
    for _ in range(maximum):
        limiter.on_answered()
    assert limiter.limit() == maximum


@given(
    maximum=st.integers(1, 50),
    probing=st.booleans(),
    events=st.lists(st.none() | st.integers(0, 60), max_size=200),
)
def test_the_limit_is_between_one_and_the_maximum(
    maximum: int, probing: bool, events: list[int | None]
) -> None:
    limiter = Limiter(maximum, probing=probing)
    for event in events:
        if event is None:
            limiter.on_answered()
        else:
            limiter.on_refused(event)
        assert 1 <= limiter.limit() <= maximum


def test_with_a_capacity_of_four_a_limit_of_32_settles_at_four_or_five() -> None:
    limiter, capacity, limits = Limiter(32), 4, []
    held = refused = answered = 0
    for _ in range(2_000):
        while held < limiter.limit():
            if held == capacity:
                # The server immediately refuses requests above its capacity.
                limiter.on_refused(held)
                refused += 1
                break
            held += 1
        limits.append(limiter.limit())
        held -= 1
        answered += 1
        limiter.on_answered()
    assert set(limits[100:]) <= {4, 5}
    assert refused < answered / 3


@given(untils=st.lists(st.floats(0, 1e9), min_size=1))
def test_the_longest_of_several_pauses_applies(untils: list[float]) -> None:
    limiter = Limiter(3)
    assert limiter.pause_until == 0
    for until in untils:
        limiter.pause(until)
    assert limiter.pause_until == max(untils)
