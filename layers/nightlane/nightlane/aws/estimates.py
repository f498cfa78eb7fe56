"""The bill and the duration of a batch that has not run."""

from collections.abc import Container
from dataclasses import dataclass

from nightlane.api_settings import EstimateSettings
from nightlane.aws.bill import Cost, Run, bill
from nightlane.aws.runs import observed_run
from nightlane.domain.cutting import lanes_to
from nightlane.settings import Settings
from nightlane.worker_memory import worker_memory


@dataclass(frozen=True, slots=True)
class Expected:
    """The run that a valid input would take, with all of its slots in use."""

    requests_in_flight: int
    run: Run

    @property
    def costs(self) -> list[Cost]:
        """What each service would cost, by list price."""
        return list(bill(self.run, worker_memory(self.run.settings.requests_in_flight_per_worker)))


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of an input, and what is assumed: the seconds of one, and the bytes of its answer."""

    count: int
    input_bytes: int
    seconds: float
    answer_bytes: int


def expect(
    settings: EstimateSettings,
    upstreams: Container[str],
    requests: Requests,
    max_in_flight: int | None = None,
) -> Expected:
    """Return the run of an input with at most `max_in_flight` requests at each of its upstreams."""
    in_flight = sum(lane.capacity for lane in lanes_to(settings, upstreams, max_in_flight))
    took = max(requests.seconds, requests.count * requests.seconds / in_flight)
    # The upstreams no longer matter: their limits are in this one.
    values = {name: getattr(settings, name) for name in EstimateSettings.model_fields}
    changes = {"max_concurrent_requests_per_batch": in_flight, "upstreams": ()}
    run_settings = Settings(**(values | changes))
    size = max(1, requests.input_bytes // requests.count)
    return Expected(in_flight, observed_run(requests.count, size, requests.answer_bytes, run_settings, took))
