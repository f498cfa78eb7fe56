"""Stories of batches on one machine. Run as a program, one of them is killed with kill -9 at a step.

`python -m tests.faults.home_stories STORY STEP FOLDER`
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.home.queues import Queue
from nightlane.domain.batch import BatchStatus
from nightlane.domain.file import FilePurpose
from tests.faults.home_faults import HomeFault, HomeFaults
from tests.faults.home_lab import RUN_SECONDS, HomeLab
from tests.upstream import only
from tests.world import requests


def completed(lab: HomeLab) -> None:
    """Two shards with several checkpoints, an error line and a retry."""
    file_id = lab.client.upload(4, "first")
    batch_id = lab.client.create(file_id, "first")
    while lab.round():
        pass
    lab.sweep()
    lab.settle()
    lab.purge()
    assert lab.client.create(file_id, "first") == batch_id
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.COMPLETED
    assert len(lab.upstream.committed) == 4


def grouped(lab: HomeLab) -> None:
    """A batch whose lines are sent in another order, cancelled while it runs."""
    batch_id = cancel_while_running(lab, prompts=2)
    # After a fault it may be cancelled before it is planned, or before its manifest is seen.
    if lab.faults.fault is None:
        assert lab.watch.manifest(lab.batch(batch_id)).order_key is not None


def cancelled(lab: HomeLab) -> None:
    """A batch that is cancelled while it runs."""
    cancel_while_running(lab)


def cancel_while_running(lab: HomeLab, prompts: int = 0) -> str:
    """Cancel a batch with one line that takes longer than a run; returns its id."""
    file_id = lab.client.upload(4, "first", prompts=prompts)
    lab.upstream.slow = {f"{file_id}/3": 2 * RUN_SECONDS}
    batch_id = lab.client.create(file_id, "first")
    lab.deliver(Queue.PLAN)
    lab.deliver(Queue.INFER)
    lab.client.cancel(batch_id)
    lab.upstream.slow = {}
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.CANCELLED
    return batch_id


def expired(lab: HomeLab) -> None:
    """A batch that expires while it runs, and one that expires while it waits."""
    files = {name: lab.client.upload(4, name) for name in ("first", "second")}
    # A fault may leave the first unplanned, and then it is the second that runs.
    lab.upstream.slow = {f"{file_id}/3": 2 * RUN_SECONDS for file_id in files.values()}
    ids = [lab.client.create(file_id, name) for name, file_id in files.items()]
    lab.deliver(Queue.PLAN)
    lab.deliver(Queue.PLAN)
    lab.deliver(Queue.INFER)
    lab.clock.pass_time(3_606)
    lab.sweep()
    lab.settle()
    lab.check_end()
    assert {lab.batch(each).status for each in ids} == {BatchStatus.EXPIRED}


def shared(lab: HomeLab) -> None:
    """Two batches at once that share the limit of their upstream."""
    ids = [lab.client.create(lab.client.upload(4, name), name) for name in ("first", "second")]
    while lab.round():
        pass
    lab.settle()
    lab.check_end()
    assert {lab.batch(each).status for each in ids} == {BatchStatus.COMPLETED}


def retried(lab: HomeLab) -> None:
    """A batch of requests without a file, cancelled before it runs, and the retry of its lines."""
    first = lab.client.create_inline(2, "first")
    lab.deliver(Queue.PLAN)
    lab.client.cancel(first)
    lab.settle()
    if lab.batch(first).error_file_id is None:
        # After a fault it may be cancelled before it is planned.
        assert lab.batch(first).total == 0
        assert lab.faults.fault is not None
    else:
        second = lab.client.retry(first, "second")
        lab.settle()
        assert lab.batch(second).status is BatchStatus.COMPLETED
        assert lab.client.retry(first, "second") == second
    assert lab.client.create_inline(2, "first") == first
    lab.check_end()
    inputs = [file.id for file in lab.stored.files() if file.purpose is FilePurpose.BATCH]
    assert inputs == [lab.batch(first).request.input_file_id]


def in_parts(lab: HomeLab) -> None:
    """An upload in parts, without a batch."""
    data = requests(4)
    file_id = lab.client.upload_in_parts(data, "first")
    assert lab.client.read(file_id) == data
    lab.check_end()


STORIES: dict[str, Callable[[HomeLab], None]] = {
    "completed": completed,
    "grouped": grouped,
    "cancelled": cancelled,
    "expired": expired,
    "shared": shared,
    "retried": retried,
    "in_parts": in_parts,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "shared": {
        "max_concurrent_batches": 2,
        "upstreams": only("http://127.0.0.1:9/v1", max_concurrent_requests=2),
    }
}


def main() -> None:
    story, step, folder = sys.argv[1:]
    random.seed(0)
    faults = HomeFaults(int(step), HomeFault.KILLED)
    with pytest.MonkeyPatch.context() as patch:
        lab = HomeLab(Path(folder), faults, patch, **SETTINGS.get(story, {}))
        faults.on_crash = lambda: os.kill(os.getpid(), signal.SIGKILL)
        STORIES[story](lab)


if __name__ == "__main__":
    main()
