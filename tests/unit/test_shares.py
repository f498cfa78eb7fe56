"""The lanes of all batches share an upstream's limit: fairly, and never more than it."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nightlane.domain.shares import Share, Shares, allot, claim, release

NOW = 1_800_000_000
LEASE = 100
USABLE = 80
LIMIT = 7
LANES = ("a-0", "a-1", "b-0", "c-0")


def wants(wanted: int, deadline: int = 0) -> Share:
    return Share(granted=0, wanted=wanted, until=NOW + LEASE, deadline=deadline, holder="run")


shares = st.dictionaries(
    st.sampled_from("abcdefgh"), st.builds(wants, st.integers(0, 20), st.integers(0, 3)), min_size=1
)


@given(shares=shares, limit=st.integers(0, 50))
def test_nothing_is_left_over_that_a_lane_wants(shares: dict[str, Share], limit: int) -> None:
    fair = allot(shares, limit)
    assert fair.keys() == shares.keys()
    assert all(0 <= fair[lane] <= shares[lane].wanted for lane in shares)
    assert sum(fair.values()) == min(limit, sum(each.wanted for each in shares.values()))


@given(shares=shares, limit=st.integers(0, 50))
def test_a_lane_that_gets_less_than_it_wants_has_no_less_than_any_other(
    shares: dict[str, Share], limit: int
) -> None:
    fair = allot(shares, limit)
    unsatisfied = [lane for lane in shares if fair[lane] < shares[lane].wanted]
    assert all(fair[lane] >= max(fair.values()) - 1 for lane in unsatisfied)


@given(shares=shares, limit=st.integers(0, 50))
def test_the_odd_requests_go_to_the_most_urgent_batches(shares: dict[str, Share], limit: int) -> None:
    fair = allot(shares, limit)
    unsatisfied = [lane for lane in shares if fair[lane] < shares[lane].wanted]
    for lane in unsatisfied:
        for other in shares:
            if shares[other].deadline > shares[lane].deadline:
                assert fair[other] <= fair[lane]


def test_what_one_lane_does_not_want_the_others_get() -> None:
    assert allot({"a": wants(1), "b": wants(9, 2), "c": wants(9, 1)}, 8) == {"a": 1, "b": 3, "c": 4}


def test_a_lane_keeps_what_it_uses_and_the_next_one_gets_only_what_is_free() -> None:
    first, _ = claim(Shares(), "a", wants(7), in_use=0, limit=LIMIT, now=NOW)
    second, fair = claim(first, "b", wants(7), in_use=0, limit=LIMIT, now=NOW)
    assert (second.lanes["b"].granted, fair) == (0, 3)
    third, fair = claim(second, "a", wants(7), in_use=6, limit=LIMIT, now=NOW)
    assert (third.lanes["a"].granted, fair) == (6, 4)
    fourth, _ = claim(third, "b", wants(7), in_use=0, limit=LIMIT, now=NOW)
    assert fourth.lanes["b"].granted == 1
    assert release(fourth, "a", NOW).lanes == {"b": fourth.lanes["b"]}


def test_a_share_that_has_expired_is_free() -> None:
    first, _ = claim(Shares(), "a", wants(7), in_use=0, limit=LIMIT, now=NOW)
    second, _ = claim(first, "b", wants(7), in_use=0, limit=LIMIT, now=NOW + LEASE)
    assert second.lanes.keys() == {"b"}
    assert second.lanes["b"].granted == LIMIT


@dataclass
class Run:
    """A worker's run of a lane, as in `fair_share.py`."""

    cap: int = 0
    in_flight: int = 0
    usable_until: int = 0
    read: Shares | None = None
    written: tuple[Shares, int] | None = None
    """What it is about to write, and what is fair."""


class Negotiation(RuleBasedStateMachine):
    """Lanes that read and write at any time, use what they have, crash, and start again."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.stored = Shares()
        self.runs = {lane: Run() for lane in LANES}

    def put(self, shares: Shares) -> bool:
        """A write is rejected if the shares have changed since they were read."""
        if shares.version != self.stored.version + 1:
            return False
        self.stored = shares
        return True

    @rule(lane=st.sampled_from(LANES))
    def read_shares(self, lane: str) -> None:
        self.runs[lane].read = self.stored

    @rule(lane=st.sampled_from(LANES), wanted=st.integers(0, 9))
    def decide(self, lane: str, wanted: int) -> None:
        run = self.runs[lane]
        if run.read is not None:
            share = Share(0, wanted, self.now + LEASE, LANES.index(lane), "run")
            run.written = claim(run.read, lane, share, in_use=run.in_flight, limit=LIMIT, now=self.now)
            run.cap, run.read = min(run.cap, run.written[1]), None

    @rule(lane=st.sampled_from(LANES), response_is_lost=st.booleans())
    def write(self, lane: str, response_is_lost: bool) -> None:
        run = self.runs[lane]
        if run.written is None:
            return
        (shares, fair), run.written = run.written, None
        if self.put(shares) and not response_is_lost:
            mine = shares.lanes[lane]
            run.cap = max(run.cap, min(mine.granted, fair))
            run.usable_until = mine.until - LEASE + USABLE

    @rule(lane=st.sampled_from(LANES))
    def negotiate(self, lane: str) -> None:
        """All three steps, with nothing in between."""
        self.read_shares(lane)
        self.decide(lane, 9)
        self.write(lane, False)

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 9))
    def start_requests(self, lane: str, count: int) -> None:
        run = self.runs[lane]
        run.in_flight = max(run.in_flight, min(run.cap, run.in_flight + count))

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 9))
    def end_requests(self, lane: str, count: int) -> None:
        run = self.runs[lane]
        run.in_flight = max(0, run.in_flight - count)

    @rule(lane=st.sampled_from(LANES))
    def crash(self, lane: str) -> None:
        self.runs[lane] = Run()

    @precondition(lambda self: self.stored.lanes)
    @rule(data=st.data())
    def end_in_order(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(sorted(self.stored.lanes)))
        self.runs[lane] = Run()
        assert self.put(release(self.stored, lane, self.now))

    @rule(seconds=st.sampled_from([1, 30, LEASE - USABLE, USABLE, 2 * LEASE]))
    def pass_time(self, seconds: int) -> None:
        """A run whose share is no longer usable gives up its requests."""
        self.now += seconds
        for lane, run in self.runs.items():
            if 0 < run.usable_until <= self.now:
                self.runs[lane] = Run()

    @invariant()
    def no_more_is_granted_than_the_limit(self) -> None:
        granted = [each.granted for each in self.stored.lanes.values() if each.until > self.now]
        assert sum(granted) <= LIMIT

    @invariant()
    def each_run_uses_only_what_it_was_granted(self) -> None:
        for lane, run in self.runs.items():
            share = self.stored.lanes.get(lane)
            assert run.in_flight <= (share.granted if share and share.until > self.now else 0)


TestNegotiation = Negotiation.TestCase
TestNegotiation.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
