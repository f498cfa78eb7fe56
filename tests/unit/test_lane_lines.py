"""A worker reads its shards in pieces and gets every unfinished line."""

import asyncio
import threading
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.lane_lines import LaneLines
from nightlane.domain.inference.lines import READ_BYTES, Line, unfinished_lines
from nightlane.domain.inference.open_shards import OpenShard
from nightlane.domain.inference.quarantine import Quarantine
from nightlane.domain.shard import DoneLines, ShardSpec, Suspicion

BEFORE = b"of another shard\n"


class OneBlob:
    """`Blobs` with one object, which records the size of each read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_sizes: list[int] = []

    def stream(self, _key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        assert end is not None
        self.read_sizes.append(end - start)
        yield from (self.data[at : min(at + 100_000, end)] for at in range(start, end, 100_000))


def request(number: int, size: int) -> bytes:
    return b'{"custom_id":"%d","body":"%b"}' % (number, b"x" * size)


def open_shard(spec: ShardSpec, suspects: frozenset[int] = frozenset()) -> OpenShard:
    """A shard without a journal, because nothing is committed here."""
    quarantine = Quarantine(dict.fromkeys(suspects, Suspicion(failures=1)))
    return OpenShard(spec, range(spec.first_line, spec.first_line + spec.lines), None, quarantine)  # type: ignore[arg-type]


async def take_all(lines: LaneLines, slots: int) -> list[tuple[int, Line]]:
    found: list[tuple[int, Line]] = []

    async def slot() -> None:
        while await lines.read():
            if (taken := lines.take()) is not None:
                found.append((taken[0].spec.index, taken[1]))
            await asyncio.sleep(0)

    await asyncio.gather(*(slot() for _ in range(slots)))
    await lines.close()
    return found


@given(
    sizes=st.lists(
        st.lists(st.sampled_from([0, 100, READ_BYTES - 50, READ_BYTES, 3 * READ_BYTES]), max_size=5),
        max_size=4,
    ),
    blank=st.sampled_from([b"", b"\n", b"\r\n  \n"]),
    slots=st.integers(1, 5),
    data=st.data(),
)
def test_every_unfinished_line_of_every_shard_is_taken_once_and_in_order(
    sizes: list[list[int]], blank: bytes, slots: int, data: st.DataObject
) -> None:
    content, specs, done, left = BEFORE, [], [], []
    for index, lengths in enumerate(sizes):
        shard = b"".join(request(number, size) + b"\n" + blank for number, size in enumerate(lengths))
        specs.append(ShardSpec(index, 0, len(content), len(content) + len(shard), 7 * index, len(lengths)))
        content += shard + BEFORE
        finished = data.draw(st.sets(st.sampled_from(range(len(lengths))))) if lengths else set()
        done.append(DoneLines.of(len(lengths), finished))
        left += [(index, number) for number in range(len(lengths)) if number not in finished]
    blob, shards = OneBlob(content), iter([open_shard(spec) for spec in specs])

    def read(shard: OpenShard) -> Iterator[tuple[int, bytes]]:
        return unfinished_lines(blob, "input", shard.spec, done[shard.spec.index])  # type: ignore[arg-type]

    found = asyncio.run(take_all(LaneLines("batch_1", lambda: next(shards, None), read), slots))
    assert [(index, line.number) for index, line in found] == left
    assert [line.request.custom_id for _, line in found] == [str(line.number) for _, line in found]
    assert [len(bytes(line.request.body)) - 2 for _, line in found] == [sizes[i][n] for i, n in left]
    assert sum(blob.read_sizes) == sum(spec.end - spec.start for spec in specs)
    assert max(blob.read_sizes, default=0) <= READ_BYTES


def test_a_shard_that_is_being_begun_when_the_run_ends_is_still_handed_in() -> None:
    begun: list[ShardSpec] = []
    proceed = threading.Event()
    content = request(0, 0) + b"\n"

    def open_next() -> OpenShard | None:
        if begun:
            proceed.wait()
        begun.append(ShardSpec(len(begun), 0, 0, len(content), 0, 1))
        return open_shard(begun[-1])

    async def main() -> None:
        def read(shard: OpenShard) -> Iterator[tuple[int, bytes]]:
            return unfinished_lines(OneBlob(content), "input", shard.spec, DoneLines(1))  # type: ignore[arg-type]

        lines = LaneLines("batch_1", open_next, read)
        assert await lines.read()
        assert lines.take() is not None
        waiting = asyncio.create_task(lines.read())
        await asyncio.sleep(0.01)
        waiting.cancel()
        asyncio.get_running_loop().call_later(0.01, proceed.set)
        await lines.close()
        assert len(begun) == 2

    asyncio.run(main())
