"""Shards: epochs that fence off replaced workers, and the transaction of a checkpoint."""

from collections.abc import Iterator, Mapping

import msgspec

from nightlane.aws.table.connection import (
    ConditionFailed,
    Connection,
    Item,
    TransactionRefused,
    update,
)
from nightlane.aws.table.items import (
    batch_key,
    part_to_text,
    shard_from_item,
    shard_key,
    suspicions_to_text,
)
from nightlane.domain.batch import BatchStatus
from nightlane.domain.shard import Checkpoint, Shard, Suspicion
from nightlane.domain.stores import Fenced

SAME_WORKER = "#epoch = :epoch"
# Sorts after every shard's key.
LAST_SHARD = "SHARD#~"


class DynamoShards:
    """The shard methods of `domain.stores.BatchStore`."""

    def __init__(self, table: Connection) -> None:
        self._table = table

    def begin_shard(self, shard: Shard, lane: int, forget_at: int | None = None) -> Shard:
        values: Item = {"one": 1, "lane": lane}
        assignments, unchanged = "#lane = :lane", "attribute_not_exists(#epoch)"
        if shard.epoch:
            values["epoch"], unchanged = shard.epoch, SAME_WORKER
        if forget_at is not None:
            values["ttl"], assignments = forget_at, f"{assignments}, #ttl = :ttl"
        try:
            item = self._table.update(
                shard_key(shard.batch_id, shard.index),
                f"SET {assignments} ADD #epoch :one, #strikes :one",
                values,
                f"{unchanged} AND attribute_not_exists(#finished)",
            )
        except ConditionFailed as refusal:
            raise Fenced(f"shard {shard.index} of {shard.batch_id}") from refusal
        return shard_from_item(shard.batch_id, shard.index, item)

    def get_shard(self, batch_id: str, index: int) -> Shard:
        return shard_from_item(batch_id, index, self._table.get(shard_key(batch_id, index)) or {})

    def shards(self, batch_id: str, first: int = 0) -> Iterator[Shard]:
        found = self._table.query(
            "#pk = :pk AND #sk BETWEEN :first AND :last",
            {"pk": batch_key(batch_id).pk, "first": shard_key(batch_id, first).sk, "last": LAST_SHARD},
            page=25,
        )
        return (shard_from_item(batch_id, int(item["sk"].split("#")[1]), item) for item in found)

    def forget_shards(self, batch_id: str) -> None:
        for shard in self.shards(batch_id):
            self._table.delete(shard_key(batch_id, shard.index))

    def commit_checkpoint(self, shard: Shard, checkpoint: Checkpoint) -> Shard:
        actions = [
            ("Update", _shard_update(shard, checkpoint)),
            ("Update", _batch_update(shard.batch_id, checkpoint)),
        ]
        try:
            self._table.transact(actions)
        except TransactionRefused as refusal:
            # If the response was lost, the transaction may have succeeded: the stored shard shows it.
            stored = self.get_shard(shard.batch_id, shard.index)
            if (stored.epoch, stored.commits) != (shard.epoch, shard.commits + 1):
                raise Fenced(f"shard {shard.index} of {shard.batch_id}") from refusal
            return stored
        return Shard(
            batch_id=shard.batch_id,
            index=shard.index,
            lane=shard.lane,
            epoch=shard.epoch,
            commits=shard.commits + 1,
            done=checkpoint.done,
            parts=shard.parts + ((checkpoint.part,) if checkpoint.part else ()),
            suspicions=checkpoint.suspicions,
            finished=checkpoint.finished,
        )

    def mark_suspect(self, shard: Shard, line: int) -> Shard:
        strikes = shard.suspect_strikes + 1 if shard.suspect == line else 1
        try:
            item = self._table.update(
                shard_key(shard.batch_id, shard.index),
                "SET #suspect = :line, #suspect_strikes = :strikes",
                {"line": line, "strikes": strikes, "epoch": shard.epoch},
                SAME_WORKER,
            )
        except ConditionFailed as refusal:
            raise Fenced(f"shard {shard.index} of {shard.batch_id}") from refusal
        return shard_from_item(shard.batch_id, shard.index, item)

    def release_shard(self, shard: Shard, suspicions: Mapping[int, Suspicion]) -> None:
        try:
            self._table.update(
                shard_key(shard.batch_id, shard.index),
                "SET #strikes = :none, #suspicions = :suspicions REMOVE #suspect, #suspect_strikes",
                {"none": 0, "epoch": shard.epoch, "suspicions": suspicions_to_text(suspicions)},
                SAME_WORKER,
            )
        except ConditionFailed:
            return


def _shard_update(shard: Shard, checkpoint: Checkpoint) -> Item:
    values: Item = {
        "epoch": shard.epoch,
        "commits": shard.commits,
        "next": shard.commits + 1,
        "done": checkpoint.done,
        "none": 0,
        "suspicions": suspicions_to_text(checkpoint.suspicions),
    }
    assignments = "#commits = :next, #done = :done, #strikes = :none, #suspicions = :suspicions"
    if checkpoint.part is not None:
        text = part_to_text(shard.batch_id, shard.index, checkpoint.part)
        values |= {"part": [text], "empty": []}
        assignments += ", #parts = list_append(if_not_exists(#parts, :empty), :part)"
    if checkpoint.finished:
        values["finished"] = True
        assignments += ", #finished = :finished"
    # The commit count makes a repeated transaction fail instead of counting lines twice.
    same_commit = "#commits = :commits" if shard.commits else "attribute_not_exists(#commits)"
    if not shard.commits:
        del values["commits"]
    return update(
        shard_key(shard.batch_id, shard.index),
        f"SET {assignments} REMOVE #suspect, #suspect_strikes",
        values,
        f"{SAME_WORKER} AND {same_commit}",
    )


def _batch_update(batch_id: str, checkpoint: Checkpoint) -> Item:
    counts: Item = {"completed": checkpoint.completed, "failed": checkpoint.failed}
    counts |= msgspec.structs.asdict(checkpoint.usage) | msgspec.structs.asdict(checkpoint.tally)
    counts |= {"shards_done": int(checkpoint.finished)}
    counts = {name: count for name, count in counts.items() if count}
    values: Item = {
        **counts,
        "in_progress": BatchStatus.IN_PROGRESS.value,
        "cancelling": BatchStatus.CANCELLING.value,
    }
    clauses = []
    if checkpoint.model is not None:
        values["model"] = checkpoint.model
        clauses.append("SET #model = :model")
    if checkpoint.completed:
        clauses.append("REMOVE #trouble")
    if counts:
        clauses.append("ADD " + ", ".join(f"#{name} :{name}" for name in counts))
    if not clauses:
        values["none"] = 0
        clauses.append("ADD #completed :none")
    return update(
        batch_key(batch_id),
        " ".join(clauses),
        values,
        "#status IN (:in_progress, :cancelling) AND attribute_not_exists(#outcome)",
    )
