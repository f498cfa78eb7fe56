"""Runs a small batch on one machine, with a fault at each of its steps in turn.

The steps are not listed anywhere: a run without faults counts them, so a new statement or file operation in
the code is covered automatically.
"""

import os
import random
from dataclasses import dataclass
from functools import cache
from itertools import count, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.faults.home_faults import HomeFault, HomeFaults, Step
from tests.faults.home_lab import HomeLab
from tests.faults.home_stories import SETTINGS, STORIES

# `make test` injects each fault at one step in this many; `make crash-points` at every step.
ONE_IN = {"completed": 30, "shared": 120}
USUALLY_ONE_IN = 60
EVERY_STEP = "NIGHTLANE_EVERY_CALL" in os.environ


_runs = count()


@dataclass(frozen=True, slots=True)
class Outcome:
    steps: list[Step]
    failure: str | None = None


def run_story(place: Path, name: str, at: int = 0, fault: HomeFault | None = None) -> Outcome:
    """Run a story with one fault."""
    random.seed(at)
    faults = HomeFaults(at, fault)
    base = place / str(next(_runs))
    base.mkdir()
    lab: Any = None
    with pytest.MonkeyPatch.context() as patch:
        try:
            lab = HomeLab(base, faults, patch, seed=at, **SETTINGS.get(name, {}))
            STORIES[name](lab)
        except Exception as error:
            if fault is None:
                raise
            return Outcome(faults.steps, f"{fault.name} at step {at}, {faults.steps[at - 1].name}: {error!r}")
        finally:
            if lab is not None:
                lab.close()
    return Outcome(faults.steps)


@cache
def count_steps(name: str) -> list[Step]:
    """The steps of a story without a fault."""
    with TemporaryDirectory() as folder:
        return run_story(Path(folder), name).steps


def chosen(steps: list[Step], fault: HomeFault) -> list[int]:
    """The steps at which a fault can occur."""
    return [
        at
        for at, step in enumerate(steps, start=1)
        if fault.is_crash or (step.needs_room and (step.is_on_file or fault is not HomeFault.FOLDER_FULL))
    ]


def shared_steps(name: str, steps: list[Step], first: list[Step]) -> int:
    """How many steps at its beginning a story shares with the first one, which already covers them."""
    if name == "completed":
        return 0
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(steps, first, strict=False)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", HomeFault)
@pytest.mark.parametrize("name", STORIES)
def test_a_batch_survives_a_fault_at_every_step(
    place: Path, name: str, fault: HomeFault, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = count_steps(name)
    shared = shared_steps(name, steps, count_steps("completed"))
    points = [at for at in chosen(steps, fault) if at > shared]
    if not EVERY_STEP:
        points = points[list(HomeFault).index(fault) :: ONE_IN.get(name, USUALLY_ONE_IN)]
    failures = [failure for at in points if (failure := run_story(place, name, at, fault).failure)]
    with capsys.disabled():
        print(f"\n{name}, {fault.name}: survived {len(points) - len(failures)}/{len(points)}", end=" ")
    assert failures == []
    assert points
