"""Objects in S3 and in a folder."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightlane.domain.ports import BlobMissing, Blobs


def test_the_last_content_put_is_returned(blobs: Blobs) -> None:
    blobs.put("work/a/1", b"first")
    blobs.put("work/a/1", b"second")
    blobs.put("work/a/empty", b"")
    assert blobs.get("work/a/1") == b"".join(blobs.stream("work/a/1")) == b"second"
    assert blobs.get("work/a/empty") == b""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, 12), length=st.integers(1, 12))
def test_a_part_of_an_object_can_be_read(blobs: Blobs, start: int, length: int) -> None:
    data = b"0123456789abcdefghijklmnopqrstuvwxyz"
    blobs.put("work/a", data)
    assert b"".join(blobs.stream("work/a", start, start + length)) == data[start : start + length]


def test_reading_or_copying_a_missing_object_raises_an_error(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        blobs.get("work/none")
    with pytest.raises(BlobMissing):
        next(blobs.stream("work/none"))
    with pytest.raises(BlobMissing):
        blobs.copy("work/none", "work/other")


def test_a_copy_outlives_its_source(blobs: Blobs) -> None:
    blobs.put("files/acme/1", b"content")
    assert blobs.copy("files/acme/1", "work/b/input") == 7
    blobs.delete(["files/acme/1", "files/acme/none"])
    assert blobs.get("work/b/input") == b"content"
    with pytest.raises(BlobMissing):
        blobs.get("files/acme/1")


def test_an_object_appears_only_once_it_is_complete(blobs: Blobs) -> None:
    data = bytes(range(256)) * 4_096
    with blobs.writer("work/large") as writer:
        for _ in range(11):
            writer.write(data)
        assert writer.size == 11 * len(data)
        with pytest.raises(BlobMissing):
            blobs.get("work/large")
    assert blobs.get("work/large") == data * 11


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_the_pieces_of_an_object_can_be_written_in_any_order(blobs: Blobs, size: int) -> None:
    pieces = [bytes([number]) * size for number in range(5)]
    with blobs.scatter_writer("work/pieces") as writer:
        for number in (3, 0, 4, 2, 1):
            writer.write_at(number * size, pieces[number])
        with pytest.raises(BlobMissing):
            blobs.get("work/pieces")
    assert blobs.get("work/pieces") == b"".join(pieces)


def test_an_aborted_scattered_write_leaves_no_object(blobs: Blobs) -> None:
    with suppress(KeyError), blobs.scatter_writer("work/broken") as writer:
        writer.write_at(5, b"half")
        raise KeyError
    with pytest.raises(BlobMissing):
        blobs.get("work/broken")


def test_an_empty_or_aborted_write_leaves_no_object(blobs: Blobs) -> None:
    with blobs.writer("work/empty"):
        pass
    with suppress(KeyError), blobs.writer("work/broken") as writer:
        writer.write(b"half")
        raise KeyError
    for key in ("work/empty", "work/broken"):
        with pytest.raises(BlobMissing):
            blobs.get(key)


def test_more_than_a_thousand_objects_can_be_deleted_at_once(blobs: Blobs) -> None:
    keys = [f"work/parts/{number:05d}" for number in range(1_200)]
    for key in keys[::100]:
        blobs.put(key, b"x")
    blobs.delete(keys)
    for key in keys[::100]:
        with pytest.raises(BlobMissing):
            blobs.get(key)
