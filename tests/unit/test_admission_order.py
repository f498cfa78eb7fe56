"""The order of admission: fair between tenants, then by deadline, then by creation."""

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nightlane.domain.admission_order import MAX_RECENT_TENANTS, Slots, Waiting, next_batch

NAMES = "abcde"
many_waiting = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 5)), min_size=1, max_size=30).map(
    lambda pairs: [waiting(number, *pair) for number, pair in enumerate(pairs)]
)
some_slots = st.builds(
    Slots,
    st.dictionaries(st.integers(100, 120).map(str), st.sampled_from(NAMES), max_size=8),
    st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
)


def waiting(number: int, tenant: str, expires_at: int = 0) -> Waiting:
    return Waiting(f"batch_{number}", tenant, expires_at, f"{number:013d}#batch_{number}")


def admit(slots: Slots, batch: Waiting) -> Slots:
    return Slots({**slots.running, batch.batch_id: batch.tenant}, slots.recent_with(batch.tenant))


def end(slots: Slots, batch_id: str) -> Slots:
    left = {each: tenant for each, tenant in slots.running.items() if each != batch_id}
    return replace(slots, running=left)


def run(batches: list[Waiting], slots: Slots, ends: list[int], limit: int = 1) -> list[str]:
    """Return the tenants in the order of admission; `ends` chooses which batch ends when it is full."""
    order, left, turn = [], list(batches), 0
    while (chosen := next_batch(left, slots)) is not None:
        left.remove(chosen)
        slots = admit(slots, chosen)
        order.append(chosen.tenant)
        while len(slots.running) >= limit:
            slots = end(slots, sorted(slots.running)[ends[turn % len(ends)] % len(slots.running)])
            turn += 1
    return order


def test_nobody_is_admitted_if_nobody_waits() -> None:
    assert next_batch([], Slots({})) is None


@given(many_waiting, some_slots)
def test_no_waiting_tenant_has_fewer_running_batches_than_the_one_chosen(
    batches: list[Waiting], slots: Slots
) -> None:
    chosen = next_batch(batches, slots)
    assert chosen is not None
    running = Counter(slots.running.values())
    assert running[chosen.tenant] == min(running[each.tenant] for each in batches)


@given(many_waiting, some_slots)
def test_of_one_tenant_the_earliest_deadline_comes_first_then_the_oldest(
    batches: list[Waiting], slots: Slots
) -> None:
    chosen = next_batch(batches, slots)
    assert chosen is not None
    own = [each for each in batches if each.tenant == chosen.tenant]
    assert chosen == min(own, key=lambda each: (each.expires_at, each.listed))


@given(many_waiting)
def test_tenants_that_never_had_a_turn_are_in_order_of_deadline_and_creation(batches: list[Waiting]) -> None:
    assert next_batch(batches, Slots({})) == min(batches, key=lambda each: (each.expires_at, each.listed))


@given(many_waiting, some_slots, st.randoms(use_true_random=False))
def test_the_order_in_which_the_batches_are_read_does_not_matter(
    batches: list[Waiting], slots: Slots, random: Random
) -> None:
    shuffled = list(batches)
    random.shuffle(shuffled)
    assert next_batch(shuffled, slots) == next_batch(batches, slots)


@given(many_waiting, some_slots)
def test_with_one_slot_a_waiting_tenant_is_admitted_within_one_turn_of_every_other(
    batches: list[Waiting], slots: Slots
) -> None:
    order = run(batches, replace(slots, running={}), [0])
    for tenant in NAMES:
        turns = [-1, *(place for place, each in enumerate(order) if each == tenant)]
        assert all(after - before <= len(NAMES) for before, after in pairwise(turns))


@given(many_waiting, st.integers(1, 4), st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_every_batch_is_admitted_whatever_ends_first(
    batches: list[Waiting], limit: int, ends: list[int]
) -> None:
    assert Counter(run(batches, Slots({}), ends, limit)) == Counter(each.tenant for each in batches)


def test_a_hundred_batches_of_one_tenant_do_not_delay_the_only_one_of_another() -> None:
    greedy = [waiting(number, "a", expires_at=1) for number in range(100)]
    order = run([*greedy, waiting(100, "b", expires_at=9)], Slots({}), [0])
    assert order.index("b") == 1


def test_a_hundred_batches_each_of_more_tenants_than_are_remembered_do_not_either() -> None:
    tenants = [f"t{number}" for number in range(2 * MAX_RECENT_TENANTS)]
    greedy = [waiting(number, tenants[number % len(tenants)], expires_at=number) for number in range(400)]
    order = run([*greedy, waiting(400, "b", expires_at=100)], Slots({}), [0])
    # At most those with a deadline that is not later come before it: here 0 to 100.
    assert order.index("b") <= 101


@given(st.lists(st.sampled_from([f"t{number}" for number in range(30)])))
def test_the_recent_tenants_are_few_and_each_is_named_once(admitted: list[str]) -> None:
    slots = Slots({})
    for tenant in admitted:
        slots = Slots({}, slots.recent_with(tenant))
        assert slots.recent[0] == tenant
    assert len(slots.recent) == len(set(slots.recent)) <= MAX_RECENT_TENANTS
