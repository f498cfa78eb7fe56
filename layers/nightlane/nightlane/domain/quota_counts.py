"""What a batch or a file adds to the counters of its tenant, by the counter's name, at each of its steps."""

from collections.abc import Iterable, Mapping

import msgspec

from nightlane.domain.batch import Batch
from nightlane.domain.file import StoredFile
from nightlane.domain.quotas import BatchSize


class Counts(msgspec.Struct, frozen=True):
    """What is added, and how much the counters may reach. It is empty if nothing is counted."""

    added: Mapping[str, int] = msgspec.field(default_factory=dict)
    limits: Mapping[str, int] = msgspec.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added)

    @classmethod
    def of(cls, added: Mapping[str, int], limits: Mapping[str, int | None] | None = None) -> "Counts":
        """Return the counts without what is zero or unlimited."""
        return cls(
            {name: number for name, number in added.items() if number},
            {name: limit for name, limit in (limits or {}).items() if limit is not None and added[name]},
        )


def planned(batch: Batch, total: int, size: BatchSize) -> Counts:
    """Return what a batch counts from its planning on."""
    quota = batch.quota
    if not quota.limits_enqueued:
        return Counts()
    added = {"requests": total, "tokens": size.prompt_tokens}
    return Counts.of(added, {"requests": quota.enqueued_requests, "tokens": quota.enqueued_tokens})


def admitted(batch: Batch) -> Counts:
    """Return what a batch counts from its admission on."""
    limit = batch.quota.requests_in_flight
    return Counts() if limit is None else Counts.of(_in_flight(batch), {"in_flight": limit})


def ended(batch: Batch, results: Iterable[StoredFile | None]) -> Counts:
    """Return what an ending batch gives back, and its result files count."""
    added = {"bytes": sum(file.size for file in results if file is not None and file.is_counted)}
    if batch.is_planned:
        added |= {name: -number for name, number in planned(batch, batch.total, batch.size).added.items()}
    if batch.in_progress_at is not None:
        added |= {name: -number for name, number in admitted(batch).added.items()}
    return Counts.of(added)


def stored(file: StoredFile, limit: int | None) -> Counts:
    """Return what a new file counts."""
    return Counts.of({"bytes": file.size}, {"bytes": limit}) if file.is_counted else Counts()


def deleted(file: StoredFile) -> Counts:
    """Return what a deleted file gives back."""
    return Counts.of({"bytes": -file.size}) if file.is_counted else Counts()


def _in_flight(batch: Batch) -> dict[str, int]:
    return {"in_flight": batch.size.requests_in_flight}
