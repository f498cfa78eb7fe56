"""A worker reads its shard in pieces and gets every unfinished line."""

import asyncio
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.lines import READ_BYTES, Line, UnfinishedLines
from nightlane.domain.shard import DoneLines, ShardMessage, ShardSpec

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


async def take_all(lines: UnfinishedLines, slots: int) -> list[Line]:
    found: list[Line] = []

    async def slot() -> None:
        while await lines.read():
            if (line := lines.take()) is not None:
                found.append(line)
            await asyncio.sleep(0)

    await asyncio.gather(*(slot() for _ in range(slots)))
    return found


@given(
    sizes=st.lists(st.sampled_from([0, 100, READ_BYTES - 50, READ_BYTES, 3 * READ_BYTES]), max_size=8),
    blank=st.sampled_from([b"", b"\n", b"\r\n  \n"]),
    slots=st.integers(1, 5),
    data=st.data(),
)
def test_every_unfinished_line_is_taken_once_and_in_order(
    sizes: list[int], blank: bytes, slots: int, data: st.DataObject
) -> None:
    numbers = range(len(sizes))
    done = data.draw(st.sets(st.sampled_from(numbers))) if sizes else set()
    shard = b"".join(request(number, size) + b"\n" + blank for number, size in enumerate(sizes))
    blob = OneBlob(BEFORE + shard + BEFORE)
    spec = ShardSpec(0, 0, len(BEFORE), len(BEFORE) + len(shard), 7, len(sizes))
    message = ShardMessage("batch_1", spec, "input", slots)
    lines = UnfinishedLines(blob, message, DoneLines.of(len(sizes), done))  # type: ignore[arg-type]
    found = asyncio.run(take_all(lines, slots))
    assert [line.number for line in found] == sorted(set(numbers) - done)
    assert [line.request.custom_id for line in found] == [str(line.number) for line in found]
    assert [len(bytes(line.request.body)) - 2 for line in found] == [sizes[line.number] for line in found]
    assert len({line.result_id for line in found}) == len(found)
    assert sum(blob.read_sizes) == len(shard)
    assert max(blob.read_sizes, default=0) <= READ_BYTES
