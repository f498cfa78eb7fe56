"""Random schedules of everything at once, each identified by its seed.

`python -m tests.faults.test_interleavings SEED` replays one and prints its steps if it fails;
`make faults` runs five thousand.
"""

import random
import sys
from collections.abc import Iterator

import pytest

from tests.faults.faults import Fault
from tests.faults.hostile import DENIALS, FAILURES, REFUSALS, SHAPES, Outage
from tests.faults.lab import Bench, Lab, laboratory

SEEDS = 16
CHUNKS = 8
STEPS = 30


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as shared:
        yield shared


class Schedule:
    """The steps of one seed."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.random = random.Random(seed)
        self.steps: list[str] = []
        self.files: list[tuple[str, str]] = []
        self._moves = {
            self.create: 3,
            self.create_again: 1,
            self.cancel: 2,
            self.delete_input: 1,
            self.list: 1,
            self.deliver: 20,
            self.deliver_twice: 3,
            self.strike: 6,
            self.break_upstream: 2,
            self.spoil_line: 1,
            self.fail_once: 1,
            self.shrink_upstream: 1,
            self.pass_time: 4,
            self.sweep: 3,
        }

    def play(self) -> None:
        self.create()
        for _ in range(STEPS):
            move = self.random.choices(list(self._moves), list(self._moves.values()))[0]
            self.steps.append(move.__name__)
            move()
            assert self.lab.upstream.violations == []
        self.lab.faults.arm()
        self.lab.settle()
        self.lab.check_end()

    def create(self) -> None:
        if len(self.files) < 3:
            token = f"file{len(self.files)}"
            file_id = self.lab.upload(self.random.randint(1, 4), token, self.random.choice([0, 2]))
            self.files.append((file_id, token))
            self.lab.create(file_id, token)

    def create_again(self) -> None:
        before = list(self.lab.batches)
        self.lab.create(*self.random.choice(self.files))
        assert self.lab.batches == before

    def cancel(self) -> None:
        self.lab.cancel(self.random.choice(self.lab.batches))

    def delete_input(self) -> None:
        self.lab.call("DELETE", f"/files/{self.random.choice(self.files)[0]}")

    def list(self) -> None:
        answer = self.lab.call("GET", "/batches")
        if answer is not None and answer[0] == 200:
            assert {each["id"] for each in answer[1]["data"]} == set(self.lab.batches)

    def deliver(self) -> None:
        self.lab.deliver(self.random.choice(self.lab.queue_names()))

    def deliver_twice(self) -> None:
        self.lab.deliver(self.random.choice(self.lab.queue_names()), 2)

    def strike(self) -> None:
        fault = self.random.choice(list(Fault))
        self.steps[-1] += f" {fault.name}"
        self.lab.faults.strike_in(self.random.randint(1, 15), fault)

    def break_upstream(self) -> None:
        shape = self.random.choice(list(SHAPES))
        seconds = self.random.choice((5, 60, 600))
        self.steps[-1] += f" {shape} {seconds}"
        # If every line fails while the models are listed, an outage cannot be distinguished from bad lines.
        listed = shape in (*REFUSALS, *DENIALS) and self.random.random() < 0.5
        self.lab.upstream.outage = Outage(SHAPES[shape], self.lab.clock.now() + seconds, listed)

    def spoil_line(self) -> None:
        """Make a line fail always, if it has not been sent yet."""
        key = self._any_line()
        if key not in self.lab.upstream.asked:
            self.lab.upstream.bad[key] = FAILURES[self.random.choice(list(FAILURES))]
            self.lab.watch.culprits.add(key)

    def fail_once(self) -> None:
        self.lab.upstream.at_first[self._any_line()] = FAILURES[self.random.choice(list(FAILURES))]

    def shrink_upstream(self) -> None:
        self.lab.upstream.capacity = self.random.choice((1, 2, None))

    def _any_line(self) -> str:
        file_id = self.random.choice(self.files)[0]
        return f"{file_id}/{self.random.randrange(self.lab.watch.lines[file_id])}"

    def pass_time(self) -> None:
        self.lab.pass_time(self.random.choice((1, 31, 31, 61, 61, 3_700)))

    def sweep(self) -> None:
        self.lab.sweep()


def play(bench: Bench, seed: int, **settings: int) -> None:
    """Run the schedule of a seed; a failure names the seed and its steps."""
    bench.faults.arm()
    schedule = Schedule(Lab(bench, **settings), seed)
    try:
        schedule.play()
    except AssertionError as error:
        steps = ", ".join(schedule.steps)
        raise AssertionError(f"seed {seed}: {error}\nsteps: {steps}") from error


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_schedule_breaks_an_invariant(bench: Bench, chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        play(bench, seed)


def main() -> None:
    first = int(sys.argv[1])
    last = int(sys.argv[2]) if len(sys.argv) > 2 else first + 1
    failed = 0
    with laboratory() as bench:
        for seed in range(first, last):
            try:
                play(bench, seed)
            except AssertionError as error:
                failed += 1
                print(error, flush=True)
    print(f"survived {last - first - failed}/{last - first} seeds")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
