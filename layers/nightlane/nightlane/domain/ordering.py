"""Arranges the lines of a batch in groups, and writes its input in that order."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightlane.domain.grouping import Group
from nightlane.domain.lines import Lines, request_lines
from nightlane.domain.order import Order
from nightlane.domain.ports import Blobs
from nightlane.domain.steps import Hold


@dataclass(frozen=True, slots=True)
class Arrangement:
    """In which order a batch's lines are sent."""

    order: "array[int] | None"
    """Their numbers in the input; None if it is the input's order."""
    routes: Mapping[int, str]
    """The positions at which a shard must begin, and the upstream of the lines from there on."""


def arrange(groups: Sequence[Group]) -> Arrangement:
    """Put the groups one after another. Only a change of the route divides lines that keep their order."""
    order, routes, changes = array("I"), {}, {}
    for position, group in enumerate(groups):
        if not position or group.route != groups[position - 1].route:
            changes[len(order)] = group.route
        routes[len(order)] = group.route
        order.extend(group.numbers)
    if all(position == number for position, number in enumerate(order)):
        return Arrangement(None, changes)
    return Arrangement(order, routes)


def write_ordered(blobs: Blobs, source: str, target: str, lines: Lines, order: Order, hold: Hold) -> Lines:
    """Write the lines of `source` in another order, and return where they are in `target`.

    Raises: BlobMissing, Fenced.
    """
    ordered, places = Lines(), array("Q", bytes(8 * len(order)))
    place = 0
    for number in order:
        length = lines.ends[number] - lines.starts[number]
        ordered.add(place, length)
        places[number] = place
        place += length + 1
    chunks = hold.during(blobs.stream(source, lines.starts[0], lines.ends[-1]))
    with blobs.scatter_writer(target) as writer:
        for place, line in zip(places, request_lines(chunks), strict=True):
            writer.write_at(place, line + b"\n")
    return ordered
