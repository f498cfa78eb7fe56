"""The rig's functions behave like Lambda's: warm processes, timeouts, crashes, concurrency."""

import asyncio
import os
from dataclasses import replace

import pytest

from infra.home.front import FunctionFailed, FunctionTimedOut
from infra.resources import FunctionSpec
from tests.rig.functions import Function
from tests.rig.ledger import FunctionUse

PROBE = FunctionSpec(name="probe", timeout=5, memory=256, concurrency=2, package="tests.handlers")


def run(spec: FunctionSpec, *events: str) -> tuple[list[object], FunctionUse]:
    """The outcomes of events that are handled one after the other."""

    async def calls() -> list[object]:
        function = Function(spec, dict(os.environ), use)
        results: list[object] = []
        for event in events:
            try:
                results.append(await function.call({"do": event}))
            except (FunctionFailed, FunctionTimedOut) as error:
                results.append(error)
        await function.stop()
        return results

    use = FunctionUse(spec.memory)
    return asyncio.run(calls()), use


def test_a_warm_process_is_reused_and_gets_lambdas_context() -> None:
    (first, second), use = run(PROBE, "one", "two")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["pid"] == second["pid"]
    assert (first["name"], first["memory"], second["echo"]) == ("nightlane-probe", 256, "two")
    assert 4_000 < first["remaining"] <= 5_000
    assert (use.invocations, use.errors) == (2, 0)
    assert use.peak_rss_kib > 1_000


def test_a_timeout_kills_the_process_and_the_next_invocation_gets_a_new_one() -> None:
    (pid, timed_out, after), use = run(replace(PROBE, timeout=1), "one", "sleep 30", "two")
    assert isinstance(timed_out, FunctionTimedOut)
    assert isinstance(pid, dict)
    assert isinstance(after, dict)
    assert pid["pid"] != after["pid"]
    assert (use.invocations, use.errors) == (3, 1)
    assert use.milliseconds >= 1_000


def test_a_crash_fails_only_its_own_invocation() -> None:
    (died, raised, after), use = run(PROBE, "die", "raise", "two")
    assert isinstance(died, FunctionFailed)
    assert str(raised) == "as asked"
    assert isinstance(after, dict)
    assert use.errors == 2


def test_no_more_invocations_run_at_once_than_the_concurrency_allows() -> None:
    async def calls() -> tuple[set[int], int]:
        function = Function(PROBE, dict(os.environ), FunctionUse(256))
        results = await asyncio.gather(*(function.call({"do": "sleep 0.1"}) for _ in range(6)))
        processes = len(function.pids)
        await function.stop()
        return {result["pid"] for result in results}, processes

    pids, processes = asyncio.run(calls())
    assert len(pids) == processes == 2


# With ids, as pytest passes the name of the test to the function in an environment variable.
@pytest.mark.parametrize("text", ["x" * 3_000_000, "é中🙂\n"], ids=["large", "any script"])
def test_events_of_any_size_and_in_any_script_are_delivered(text: str) -> None:
    ((result,), _) = run(PROBE, text)
    assert isinstance(result, dict)
    assert result["echo"] == text
