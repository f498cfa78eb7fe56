"""When a batch counts as stuck, in seconds since its creation; its window has a day."""

import pytest
from msgspec.structs import replace

from nightlane.domain.batch import Batch, BatchRequest, BatchStatus, Outcome
from nightlane.domain.stuck import Sign, Stuck, sign_of

DAY = 86_400
NEW = Batch(
    id="batch_1",
    tenant="acme",
    request=BatchRequest(input_file_id="file_1", endpoint="/v1/embeddings", completion_window="24h"),
    status=BatchStatus.VALIDATING,
    listed="",
    created_at=0,
    expires_at=DAY,
)
PLANNED = replace(NEW, manifest_key="work/batch_1/manifest")
DRAINED = replace(
    PLANNED, status=BatchStatus.FINALIZING, in_progress_at=1, finalizing_at=1_000, outcome=Outcome.COMPLETED
)
CANCELLED = replace(PLANNED, status=BatchStatus.CANCELLING, in_progress_at=1, cancelling_at=2_000)
EXPIRED_UNPLANNED = replace(NEW, outcome=Outcome.EXPIRED)


@pytest.mark.parametrize(
    ("batch", "limit", "sign"),
    [
        (NEW, 600, Sign.NOT_PLANNED),
        (PLANNED, DAY + 600, Sign.OVERDUE),
        (DRAINED, 1_000 + 1_800, Sign.NOT_ASSEMBLED),
        (CANCELLED, 2_000 + 1_800, Sign.NOT_ASSEMBLED),
        (replace(DRAINED, cancelling_at=2_000), 2_000 + 1_800, Sign.NOT_ASSEMBLED),
        (EXPIRED_UNPLANNED, DAY + 600, Sign.OVERDUE),
    ],
)
def test_a_batch_is_stuck_when_its_next_step_is_late(batch: Batch, limit: int, sign: Sign) -> None:
    assert sign_of(batch, limit) is None
    assert sign_of(batch, limit + 1) is sign


def test_a_batch_counts_once_even_if_it_is_late_and_makes_no_progress() -> None:
    stuck = Stuck()
    stuck.check(PLANNED, DAY + 700)
    stuck.stalled(PLANNED)
    assert stuck.signs == {"batch_1": Sign.OVERDUE}
    assert (stuck.count(Sign.OVERDUE), stuck.count(Sign.STALLED)) == (1, 0)
