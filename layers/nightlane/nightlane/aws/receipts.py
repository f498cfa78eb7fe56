"""The bill of a batch that has run, from what was counted while it ran."""

from nightlane.aws.bill import FUNCTION_SECONDS, Cost, LaneRun, Run, ShardRun, bill, calls_of
from nightlane.domain.receipts import Receipt
from nightlane.settings import Settings
from nightlane.worker_memory import worker_memory


def calls_and_costs(receipt: Receipt) -> tuple[dict[str, int], list[Cost]]:
    """Return the calls to AWS, by name, and what each service costs by list price.

    A batch that ended before it ran has no lanes: only what every batch costs.
    """
    run = run_of(receipt)
    memory = worker_memory(run.settings.requests_in_flight_per_worker)
    calls = {name: number for name, number in sorted(calls_of(run).items()) if number}
    return calls, list(bill(run, memory))


def run_of(receipt: Receipt) -> Run:
    """Return the run of a batch, as if all of its shards had been alike."""
    batch = receipt.batch
    size, tally, answered = batch.size, batch.tally, batch.completed + batch.failed
    has_run = batch.in_progress_at is not None
    # The other settings only decide how often a worker reads its batch and renews its lease.
    settings = Settings(requests_in_flight_per_worker=size.requests_per_worker or 1)
    return Run(
        lines=batch.total,
        input_bytes=size.input_bytes // max(1, batch.total),
        output_bytes=tally.output_bytes // max(1, answered),
        settings=settings,
        lanes=_lanes(receipt, settings) if has_run else (),
    )


def _lanes(receipt: Receipt, settings: Settings) -> tuple[LaneRun, ...]:
    batch, tally = receipt.batch, receipt.batch.tally
    lanes, seconds = max(1, batch.size.lanes), tally.worker_ms / 1_000
    invocations, commits = tally.invocations, tally.checkpoints
    if receipt.is_estimate:
        # One machine commits every second, and its runs have no deadline.
        by_time = int(seconds / settings.checkpoint_seconds)
        by_bytes = tally.output_bytes // settings.checkpoint_bytes
        commits = min(commits, batch.shards_total + by_time + by_bytes)
        invocations = lanes * (1 + int(seconds / lanes / FUNCTION_SECONDS))
    shards = [
        ShardRun(lines, number)
        for lines, number in zip(
            _spread(batch.total, batch.shards_total), _spread(commits, batch.shards_total), strict=True
        )
    ]
    return tuple(
        LaneRun(tuple(shards[lane::lanes]), seconds / lanes, max(1, number))
        for lane, number in enumerate(_spread(invocations, lanes))
    )


def _spread(number: int, places: int) -> list[int]:
    """Return whole numbers that add up to `number`, as equal as possible."""
    each, more = divmod(number, places) if places else (0, 0)
    return [each + (place < more) for place in range(places)]
