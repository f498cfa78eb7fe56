"""The state of an upstream that all lanes share: a small record that expires by itself."""

from contextlib import suppress
from typing import TYPE_CHECKING

from nightlane.aws.table.connection import ConditionFailed, Connection, Item
from nightlane.aws.table.items import (
    rest_from_item,
    shares_key,
    trouble_from_map,
    trouble_to_map,
    upstream_key,
    use_key,
)
from nightlane.domain.learned import LEARNED_SECONDS, LearnedLimit
from nightlane.domain.shares import Share, Shares
from nightlane.domain.stores import UpstreamState
from nightlane.domain.trouble import REST_RETENTION_SECONDS, Rest
from nightlane.domain.upstream_use import UpstreamUse

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Sorts after every hour's key.
LAST_USE = "USE#~"


class DynamoUpstreams:
    """`domain.stores.UpstreamStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def get_rest(self, upstream: str) -> Rest | None:
        return self.get_state(upstream).rest

    def get_state(self, upstream: str) -> UpstreamState:
        item = self._table.get(upstream_key(upstream)) or {}
        return UpstreamState(
            rest_from_item(item) if "until" in item else None,
            LearnedLimit(int(item["requests"]), int(item["learned_at"])) if "requests" in item else None,
        )

    def note_limit(self, upstream: str, learned: LearnedLimit) -> None:
        # At most five minutes less than a rest needs, because none is longer.
        values: Item = {
            "requests": learned.requests,
            "learned_at": learned.at,
            "ttl": learned.at + LEARNED_SECONDS,
        }
        assignments = "#requests = :requests, #learned_at = :learned_at, #ttl = :ttl"
        unless_newer = "attribute_not_exists(#learned_at) OR #learned_at <= :learned_at"
        with suppress(ConditionFailed):
            self._table.update(upstream_key(upstream), f"SET {assignments}", values, unless_newer)

    def note_use(self, upstream: str, use: UpstreamUse) -> None:
        values: Item = {"requests": use.requests, "refusals": use.refusals, "ttl": use.forget_at}
        assignments = "#ttl = :ttl"
        if use.trouble is not None:
            values["trouble"] = trouble_to_map(use.trouble)
            assignments += ", #trouble = :trouble"
        expression = f"SET {assignments} ADD #requests :requests, #refusals :refusals"
        self._table.update(use_key(upstream, use.hour), expression, values)

    def uses(self, upstream: str, first_hour: int) -> list[UpstreamUse]:
        first = use_key(upstream, first_hour)
        values = {"pk": first.pk, "first": first.sk, "last": LAST_USE}
        found = self._table.query("#pk = :pk AND #sk BETWEEN :first AND :last", values)
        return [
            UpstreamUse(
                int(item["sk"].split("#")[1]),
                int(item["requests"]),
                int(item["refusals"]),
                trouble_from_map(item["trouble"]) if "trouble" in item else None,
            )
            for item in found
        ]

    def get_shares(self, upstream: str) -> Shares:
        item = self._table.get(shares_key(upstream)) or {}
        lanes = {name: _share_from_text(text) for name, text in item.get("lanes", {}).items()}
        return Shares(int(item.get("version", 0)), lanes)

    def put_shares(self, upstream: str, shares: Shares) -> bool:
        values: Item = {
            "version": shares.version,
            "before": shares.version - 1,
            "lanes": {name: _share_to_text(share) for name, share in shares.lanes.items()},
        }
        unchanged = "#version = :before" if shares.version > 1 else "attribute_not_exists(#version)"
        if shares.version == 1:
            del values["before"]
        return self._table.update_if(
            shares_key(upstream), "SET #version = :version, #lanes = :lanes", values, unchanged
        )

    def begin_rest(self, upstream: str, rest: Rest, previous: Rest | None) -> Rest:
        values: Item = {
            "until": rest.until,
            "count": rest.count,
            "trouble": trouble_to_map(rest.trouble),
            "ttl": rest.until + REST_RETENTION_SECONDS,
        }
        unchanged = "attribute_not_exists(#until)"
        if previous is not None:
            values["previous"] = previous.until
            unchanged = f"({unchanged} OR #until = :previous)"
        try:
            self._table.update(
                upstream_key(upstream),
                "SET #until = :until, #count = :count, #trouble = :trouble, #ttl = :ttl",
                values,
                unchanged,
            )
        except ConditionFailed as refusal:
            return rest_from_item(refusal.old) if refusal.old else rest
        return rest

    def end_rest(self, upstream: str) -> None:
        try:
            self._table.update(
                upstream_key(upstream),
                "REMOVE #until, #count, #trouble",
                {},
                "attribute_exists(#until)",
            )
        except ConditionFailed:
            return


def _share_to_text(share: Share) -> str:
    return f"{share.granted}:{share.wanted}:{share.until}:{share.deadline}:{share.holder}"


def _share_from_text(text: str) -> Share:
    granted, wanted, until, deadline, holder = text.split(":", 4)
    return Share(int(granted), int(wanted), int(until), int(deadline), holder)
