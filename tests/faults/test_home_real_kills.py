"""Checks the simulation against processes that are really killed during a transaction or a write."""

import random
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tests.faults.home_faults import HomeFault, HomeFaults
from tests.faults.home_lab import HomeLab
from tests.faults.home_stories import completed
from tests.faults.stored import dump


def numbered(base: Path) -> list[str]:
    """The names of the steps of the story, in order."""
    random.seed(0)
    faults = HomeFaults()
    with pytest.MonkeyPatch.context() as patch:
        lab = HomeLab(base, faults, patch)
        completed(lab)
        lab.close()
    return [step.name for step in faults.steps]


@pytest.mark.parametrize(
    ("name", "nth"),
    [("file: write", 3), ("UPDATE shards SET", 1), ("return from COMMIT", 20), ("INSERT INTO files", 2)],
    ids=["half a part", "within a checkpoint", "before the answer of a commit", "within the end of a batch"],
)
def test_a_killed_process_leaves_what_the_simulation_leaves(place: Path, name: str, nth: int) -> None:
    folders = [place / each for each in ("counted", "simulated", "killed")]
    for folder in folders:
        folder.mkdir()
    counted, simulated, killed = folders
    steps = count(1)
    at = [step for step, each in zip(steps, numbered(counted), strict=False) if each == name][nth - 1]
    command = [sys.executable, "-m", "tests.faults.home_stories", "completed", str(at), str(killed)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert dump(killed / "0/data") == left_by_simulation(simulated, at)
    complete(killed)


def left_by_simulation(base: Path, at: int) -> tuple[list[str], dict[str, bytes]]:
    """The data folder right after a simulated crash."""
    random.seed(0)
    faults = HomeFaults(at, HomeFault.KILLED)
    left = []
    with pytest.MonkeyPatch.context() as patch:
        lab = HomeLab(base, faults, patch)
        copy = faults.on_crash

        def copy_and_note() -> None:
            copy()
            left.append(dump(base / "1/data"))

        faults.on_crash = copy_and_note
        completed(lab)
        lab.close()
    (found,) = left
    return found


def complete(base: Path) -> None:
    """Let new processes take over the folder and complete the batch."""
    with pytest.MonkeyPatch.context() as patch:
        lab = HomeLab(base, HomeFaults(), patch)
        for file in lab.stored.files():
            lab.watch.lines[file.id] = 4
        lab.watch.batches += [batch.id for batch in lab.stored.batches()]
        assert len(lab.watch.batches) == 1
        lab.clock.pass_time(100)
        lab.settle()
        lab.check_end()
        lab.close()
