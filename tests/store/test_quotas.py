"""The counters of the tenants' quotas, on every store: exact when requests race, given back exactly once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from nightlane.domain.batch import Batch, BatchError, Outcome
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.keys import ApiKey
from nightlane.domain.quotas import BatchSize, Quota, QuotaReached, QuotaStore, TenantUse, hour_of
from nightlane.domain.stores import Admission, BatchStore, FileStore, KeyStore
from tests.store.examples import NOW, assembling, file, look, new_batch

HOUR = hour_of(NOW)
SIZE = BatchSize(input_bytes=600, prompt_tokens=40, lanes=2, requests_in_flight=5)
RACERS = 8


def create(store: BatchStore, number: int, quota: Quota, **changes: Any) -> Batch | None:
    return store.create_batch(replace(new_batch(number), quota=quota, **changes), NOW + 60)


def begin_planning(store: BatchStore, number: int, quota: Quota) -> Batch:
    create(store, number, quota)
    batch = store.begin_planning(new_batch(number).id, NOW + 60)
    assert batch is not None
    return batch


def plan(store: BatchStore, batch: Batch, size: BatchSize = SIZE) -> bool:
    return store.record_plan(batch, manifest_key="work/m", shards=2, total=6, model="m", at=NOW, size=size)


def admit(store: BatchStore, batch: Batch) -> Admission:
    return store.admit_batch(look(store, batch), 100, NOW + 1, NOW + 61, recent=[batch.tenant])


def use(quotas: QuotaStore, **expected: int) -> bool:
    """Whether these counters, and no others, are above zero."""
    return replace(quotas.get_use("acme", HOUR), tokens_until=0) == TenantUse(**expected)


def race(attempt: Callable[[int], Any]) -> int:
    """Return how many of some attempts at the same time were allowed."""

    def is_allowed(number: int) -> bool:
        try:
            attempt(number)
        except QuotaReached:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as pool:
        return sum(pool.map(is_allowed, range(RACERS)))


def test_a_batch_keeps_its_quota_and_its_size(store: BatchStore) -> None:
    quota = Quota(enqueued_requests=10, stored_bytes=2**53 - 1)
    batch = begin_planning(store, 0, quota)
    assert plan(store, batch)
    assert (look(store, batch).quota, look(store, batch).size) == (quota, SIZE)


def test_no_more_batches_are_created_in_an_hour_than_allowed(store: BatchStore, quotas: QuotaStore) -> None:
    quota = Quota(batches_per_hour=5)
    assert race(lambda number: create(store, number, quota)) == 5
    assert len(store.list_batches("acme", None, 100)) == 5
    assert use(quotas, batches=5)
    # Other tenants and the next hour have counters of their own.
    assert create(store, 50, quota, tenant="other") is None
    assert create(store, 51, quota, created_at=NOW + 3_600) is None
    assert quotas.get_use("acme", HOUR + 1).batches == 1


def test_a_repeated_create_is_not_counted_and_never_refused(store: BatchStore, quotas: QuotaStore) -> None:
    quota = Quota(batches_per_hour=1)
    assert create(store, 0, quota) is None
    stored = create(store, 0, quota)
    assert stored is not None
    assert stored.id == new_batch(0).id
    assert use(quotas, batches=1)


def test_no_more_is_enqueued_than_allowed(store: BatchStore, quotas: QuotaStore) -> None:
    quota = Quota(enqueued_requests=25, enqueued_tokens=1_000)
    batches = [begin_planning(store, number, quota) for number in range(RACERS)]
    assert race(lambda number: plan(store, batches[number])) == 4
    assert use(quotas, requests=24, tokens=160)
    assert quotas.get_use("acme", HOUR).tokens_until == NOW + 86_400
    assert sum(look(store, batch).is_planned for batch in batches) == 4


@pytest.mark.parametrize("quota", [Quota(enqueued_requests=5), Quota(enqueued_tokens=39)])
def test_a_batch_larger_than_the_quota_is_not_planned(
    store: BatchStore, quotas: QuotaStore, quota: Quota
) -> None:
    batch = begin_planning(store, 0, quota)
    with pytest.raises(QuotaReached):
        plan(store, batch)
    assert not look(store, batch).is_planned
    assert use(quotas)
    # It holds nothing, so there is nothing to give back.
    assert store.fail_batch(batch, [BatchError("token_limit_exceeded", "no")], NOW)
    assert use(quotas)


def test_a_plan_that_is_repeated_or_too_late_counts_once(store: BatchStore, quotas: QuotaStore) -> None:
    earlier = begin_planning(store, 0, Quota(enqueued_tokens=79))
    later = store.begin_planning(earlier.id, NOW + 60)
    assert later is not None
    assert not plan(store, earlier)
    assert [plan(store, later), plan(store, later)] == [True, True]
    assert use(quotas, requests=6, tokens=40)


def test_no_more_requests_are_in_flight_than_allowed(store: BatchStore, quotas: QuotaStore) -> None:
    batches = [begin_planning(store, number, Quota(requests_in_flight=14)) for number in range(RACERS)]
    for batch in batches:
        assert plan(store, batch)
    with ThreadPoolExecutor(RACERS) as pool:
        admissions = list(pool.map(lambda batch: admit(store, batch), batches))
    assert admissions.count(Admission.ADMITTED) == 2
    assert admissions.count(Admission.TENANT_FULL) == RACERS - 2
    assert use(quotas, in_flight=10)
    running = next(batch for batch in batches if look(store, batch).in_progress_at)
    # A repeated admission takes nothing.
    assert admit(store, running) is Admission.NOT_WAITING
    closed = assembling(store, look(store, running))
    assert store.finish_batch(closed, Outcome.EXPIRED, NOW, None, None)
    assert use(quotas, in_flight=5)
    waiting = next(batch for batch in batches if not look(store, batch).in_progress_at)
    assert admit(store, waiting) is Admission.ADMITTED


@pytest.mark.parametrize("is_admitted", [True, False])
def test_a_batch_gives_back_what_it_holds_exactly_once(
    store: BatchStore, quotas: QuotaStore, is_admitted: bool
) -> None:
    quota = Quota(enqueued_requests=6, enqueued_tokens=40, requests_in_flight=5, stored_bytes=1)
    batch = begin_planning(store, 0, quota)
    assert plan(store, batch)
    if is_admitted:
        assert admit(store, batch) is Admission.ADMITTED
    assert use(quotas, requests=6, tokens=40, in_flight=5 if is_admitted else 0)
    earlier = assembling(store, look(store, batch))
    closed = store.begin_assembly(batch.id, NOW + 60)
    assert closed is not None
    output = replace(file(1, FilePurpose.BATCH_OUTPUT), is_counted=True)
    assert not store.finish_batch(earlier, Outcome.EXPIRED, NOW, output, None)
    for _ in range(2):
        assert store.finish_batch(closed, Outcome.EXPIRED, NOW, output, None)
    # The results are counted although they exceed the quota.
    assert use(quotas, stored_bytes=7)


def test_no_more_bytes_are_stored_than_allowed(files: FileStore, quotas: QuotaStore) -> None:
    def put(number: int) -> None:
        files.put_file(counted(number), 30)

    assert race(put) == 4
    assert use(quotas, stored_bytes=28)
    kept = [number for number in range(RACERS) if files.get_file(f"file-{number}")]
    assert len(kept) == 4
    stored = files.get_file(f"file-{kept[0]}")
    assert stored is not None
    assert stored.is_counted
    with ThreadPoolExecutor(RACERS) as pool:
        deletions = list(pool.map(lambda _: files.delete_file(stored, NOW), range(RACERS)))
    assert deletions.count(True) == 1
    assert use(quotas, stored_bytes=21)
    files.put_file(counted(99), 30)


def test_a_file_without_a_quota_is_not_counted(files: FileStore, quotas: QuotaStore) -> None:
    files.put_file(file(1))
    assert files.delete_file(file(1), NOW)
    assert use(quotas)
    # One that has an unlimited quota, such as a result file, is.
    files.put_file(counted(2))
    assert use(quotas, stored_bytes=7)


def test_a_file_larger_than_the_quota_is_not_stored(files: FileStore, quotas: QuotaStore) -> None:
    with pytest.raises(QuotaReached):
        files.put_file(counted(1), 6)
    assert files.get_file("file-1") is None
    assert use(quotas)


def test_a_key_keeps_the_quota_of_its_tenant(keys: KeyStore) -> None:
    plain = ApiKey.of("sk-1", "acme", 1)
    key = replace(ApiKey.of("sk-2", "acme", 2), quota=Quota(batches_per_hour=7))
    for each in (plain, key):
        keys.create_key(each)
    assert (keys.find_key("sk-1"), keys.find_key("sk-2"), keys.find_key("sk-3")) == (plain, key, None)
    assert list(keys.list_keys()) == [plain, key]


def counted(number: int) -> StoredFile:
    return replace(file(number), is_counted=True)
