"""infer's memory follows from the requests that a worker has in flight."""

import pytest

from bench.result import RESULTS, load
from bench.tls import IN_FLIGHT
from infra.resources import functions
from nightlane.settings import Settings
from nightlane.worker_memory import worker_memory

# Lambda's own processes, which the rig does not have.
RUNTIME_MB = 40


@pytest.mark.parametrize(
    ("in_flight", "memory"), [(1, 384), (100, 384), (101, 448), (300, 576), (900, 1_024)]
)
def test_infer_has_memory_for_its_requests_in_flight(in_flight: int, memory: int) -> None:
    settings = Settings(requests_in_flight_per_worker=in_flight)
    assert next(each.memory for each in functions(settings) if each.name == "infer") == memory


@pytest.mark.parametrize("in_flight", IN_FLIGHT)
def test_what_a_worker_was_measured_to_use_fits_beside_the_runtime(in_flight: int) -> None:
    figures = load(RESULTS / "tls.json").figures
    peaks = [each.value for each in figures if each.name.startswith(f"{in_flight} ") and each.unit == "MiB"]
    assert peaks
    assert max(peaks) + RUNTIME_MB <= worker_memory(in_flight)
