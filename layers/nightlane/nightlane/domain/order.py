"""The order in which a batch's lines are sent, if it is not the input's.

It is stored as the numbers of the lines in the input, four bytes each, little-endian. It consists of runs of
ascending numbers, and no shard spans two of them.
"""

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

Result = TypeVar("Result")
Order = Sequence[int]
NUMBER_BYTES = 4


def encode_order(order: "array[int]") -> bytes:
    """Return an order as it is stored."""
    return _little_endian(array("I", order)).tobytes()


def decode_order(data: bytes) -> "array[int]":
    """Return an order that was stored."""
    return _little_endian(array("I", data))


def run_starts(order: Order) -> list[int]:
    """Return where the runs of ascending numbers begin."""
    return [0, *(at for at, (before, number) in enumerate(pairwise(order), 1) if number < before)]


def merge_runs(order: Order, open_run: Callable[[int, int], Iterator[Result]]) -> Iterator[Result]:
    """Yield what the runs yield, one result a line, in the input's order.

    `open_run` returns the results of the lines at two positions of the order and between them (the second is
    exclusive). A run is opened when its first line is due, and never read ahead.
    """
    starts = run_starts(order)
    run_of = array("I", bytes(NUMBER_BYTES * len(order)))
    for run, (start, end) in enumerate(pairwise([*starts, len(order)])):
        for number in order[start:end]:
            run_of[number] = run
    bounds = list(pairwise([*starts, len(order)]))
    opened: dict[int, Iterator[Result]] = {}
    for run in run_of:
        if run not in opened:
            opened[run] = open_run(*bounds[run])
        yield next(opened[run])


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
