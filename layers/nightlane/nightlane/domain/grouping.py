"""Which lines of a batch are sent one after another: those of one upstream that share a prefix."""

import heapq
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass

from nightlane.domain.prefixes import Prefix

# Assembly reads from all groups at once: about 300 KiB each.
MAX_GROUPS = 24
# A group costs a shard, and the first a copy of the input. 16 KiB are about 4,000 tokens.
MIN_SAVED_BYTES = 16_384
MIN_SAVED_SHARE = 1 / 1_000
BUCKETS = 65_536
_NONE = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that are sent one after another, by their ascending numbers among the batch's requests."""

    route: str
    numbers: "array[int]"


class Grouping:
    """Collects the routes and prefixes of a batch's lines, in order: 14 bytes a line."""

    def __init__(self) -> None:
        self._routes: dict[str, int] = {}
        self._route_of = array("H")
        self._keys = array("Q")
        self._sizes = array("I")
        self._bytes = 0

    def add(self, length: int, route: str, prefix: Prefix | None) -> None:
        """Add the next line, of `length` bytes. `route` names the upstream that it is sent to."""
        number = self._routes.setdefault(route, len(self._routes))
        self._route_of.append(number)
        # Upstreams share no cache.
        self._keys.append(prefix.key ^ number << 48 if prefix else _NONE)
        self._sizes.append(prefix.size if prefix else 0)
        self._bytes += length

    def groups(self) -> list[Group]:
        """Return the groups in order of their first lines: one for each prefix that is worth it, and for the
        other lines of each route.
        """
        worthwhile = self._worthwhile_keys()
        numbers: dict[tuple[int, int], array[int]] = defaultdict(lambda: array("I"))
        for number, (route, key) in enumerate(zip(self._route_of, self._keys, strict=True)):
            numbers[route, key if key in worthwhile else _NONE].append(number)
        names = list(self._routes)
        return [Group(names[route], lines) for (route, _), lines in numbers.items()]

    def _worthwhile_keys(self) -> frozenset[int]:
        """Return the keys of the prefixes that save most if they are computed once. One alone stays cached
        in any order.
        """
        least = max(MIN_SAVED_BYTES, self._bytes * MIN_SAVED_SHARE)
        # All keys may differ: only the few in buckets with enough bytes are counted one by one.
        buckets = array("Q", bytes(8 * BUCKETS))
        for key, size in zip(self._keys, self._sizes, strict=True):
            buckets[key % BUCKETS] += size
        saved: Counter[int] = Counter()
        for key, size in zip(self._keys, self._sizes, strict=True):
            if buckets[key % BUCKETS] >= least:
                # The first line of each saves nothing.
                saved[key] += size if key in saved else 0
        candidates = [(total, key) for key, total in saved.items() if total >= least]
        best = heapq.nlargest(MAX_GROUPS - len(self._routes), candidates)
        return frozenset(key for _, key in best) if len(best) > 1 else frozenset()
