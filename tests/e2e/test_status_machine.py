"""Random walks through the status machine, over HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import openai
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from openai.types import Batch

from tests.e2e.conftest import ENDED, ON_HOME_AND_RIG, Instance
from tests.faults.watch import EDGES, TIMES
from tests.world import requests

# Between two calls a batch may have passed several edges.
REACHABLE: dict[str, set[str]] = {}
for start in {edge[0] for edge in EDGES}:
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        following = {after for before, after in EDGES if before == here} - seen
        seen |= following
        todo += following
    REACHABLE[start] = seen


class StatusMachine(RuleBasedStateMachine):
    """Creates, cancels and retrieves batches; each status must be reachable from the one seen before."""

    instance: Instance
    batches = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Batch] = {}

    @rule(
        target=batches,
        lines=st.integers(0, 30),
        latency=st.sampled_from([0.0, 0.05, 0.5]),
        good=st.booleans(),
    )
    def create(self, lines: int, latency: float, good: bool) -> str:
        data = requests(lines, mock={"latency": latency}) + (b"" if good else b"{}\n")
        batch = self.instance.create(data)
        assert batch.status == "validating"
        self.known[batch.id] = batch
        return batch.id

    @rule(batch_id=batches)
    def cancel(self, batch_id: str) -> None:
        refusal = ""
        try:
            self.see(self.instance.client.batches.cancel(batch_id))
        except openai.ConflictError as error:
            refusal = error.message
        if refusal:
            batch = self.instance.client.batches.retrieve(batch_id)
            assert batch.status in ("completed", "failed", "expired")
            assert refusal.endswith(f"Cannot cancel a batch with status '{batch.status}'.")

    @precondition(lambda self: self.known)
    @invariant()
    def statuses_follow_the_edges(self) -> None:
        for batch_id in self.known:
            self.see(self.instance.client.batches.retrieve(batch_id))

    def see(self, batch: Batch) -> None:
        before = self.known[batch.id]
        assert batch.status in REACHABLE.get(before.status, {before.status})
        for name in TIMES:
            assert getattr(before, name) in (None, getattr(batch, name))
        if before.status in ENDED:
            assert batch == before
        self.known[batch.id] = batch

    def teardown(self) -> None:
        for batch_id in self.known:
            batch = self.instance.wait(batch_id)
            self.see(batch)
            counts: Any = batch.request_counts
            output = self.instance.text(batch.output_file_id).splitlines()
            errors = self.instance.text(batch.error_file_id).splitlines()
            assert counts.completed == len(output)
            assert len(output) + len(errors) == counts.total


@ON_HOME_AND_RIG
def test_the_status_machine(start: Callable[..., AbstractContextManager[Instance]]) -> None:
    with start(max_concurrent_batches=2) as StatusMachine.instance:
        machine: Any = StatusMachine.TestCase
        machine.settings = settings(
            max_examples=6,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        machine("runTest").runTest()
