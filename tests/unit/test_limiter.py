"""As many requests in flight as the upstream was seen to take, never none and never too many."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.limiter import Limiter


@given(maximum=st.integers(1, 900), data=st.data())
def test_a_refusal_with_so_many_in_flight_lets_that_many_go_on(maximum: int, data: st.DataObject) -> None:
    held = data.draw(st.integers(1, maximum))
    limiter = Limiter(maximum)
    limiter.on_refused(held)
    assert limiter.limit() == held
    # What refuses in the same moment, while fewer are left, tells more.
    limiter.on_refused(max(0, held - 1))
    assert limiter.limit() == max(1, held - 1)
    limiter.on_refused(held)
    assert limiter.limit() == max(1, held - 1)


@given(maximum=st.integers(1, 900), refusals=st.integers(1, 50))
def test_after_an_outage_the_limit_is_what_it_was_after_as_many_answers(maximum: int, refusals: int) -> None:
    limiter = Limiter(maximum)
    for in_flight in itertools.chain(range(maximum - 1, -1, -1), itertools.repeat(0, refusals)):
        limiter.on_refused(in_flight)
    assert limiter.limit() == 1
    for answers in range(1, maximum):
        limiter.on_answered()
        assert limiter.limit() == 1 + answers
    assert limiter.limit() == maximum


def test_an_outage_does_not_make_forget_what_was_learned_of_the_capacity() -> None:
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
def test_a_probing_worker_begins_with_one_and_soon_has_them_all(maximum: int) -> None:
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
def test_the_limit_is_never_above_the_maximum_nor_below_one(
    maximum: int, probing: bool, events: list[int | None]
) -> None:
    limiter = Limiter(maximum, probing=probing)
    for event in events:
        if event is None:
            limiter.on_answered()
        else:
            limiter.on_refused(event)
        assert 1 <= limiter.limit() <= maximum


def test_before_a_capacity_of_four_a_limit_of_32_settles_at_four_or_five() -> None:
    limiter, capacity, limits = Limiter(32), 4, []
    held = refused = answered = 0
    for _ in range(2_000):
        while held < limiter.limit():
            if held == capacity:
                # The server refuses at once what it has no place for.
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
def test_of_several_pauses_the_longest_holds(untils: list[float]) -> None:
    limiter = Limiter(3)
    assert limiter.pause_until == 0
    for until in untils:
        limiter.pause(until)
    assert limiter.pause_until == max(untils)
