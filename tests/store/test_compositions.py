"""Composing objects from others, in S3 and in a folder."""

from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from infra.home.blobs import FolderBlobs
from infra.home.uploads import FolderCompositions
from nightlane.api_settings import MIB
from nightlane.aws.blobs import S3Blobs
from nightlane.aws.clients import Clients
from nightlane.aws.compositions import S3Compositions, pieces_of
from nightlane.domain.compositions import Composed, Compositions, Source
from nightlane.domain.ports import BlobMissing, Blobs
from tests.store.conftest import BUCKET, SESSION

TARGET = "files/acme/file-1"


class Place:
    """Blobs, compositions of them, and the sources of a composition."""

    def __init__(self, blobs: Blobs, compositions: Compositions) -> None:
        self.blobs, self.compositions = blobs, compositions
        self.sources: list[Source] = []
        self.content = b""

    def add(self, *sizes: int) -> None:
        for size in sizes:
            source = Source(f"uploads/acme/u/{len(self.sources)}", size)
            data = bytes([len(self.sources)]) * size
            self.blobs.put(source.key, data)
            self.sources.append(source)
            self.content += data

    def compose(self, composition: str, *, md5: bool = False) -> Composed | None:
        return self.compositions.compose(composition, TARGET, self.sources, md5=md5)


@pytest.fixture
def s3() -> Iterator[Callable[..., Place]]:
    with mock_aws():
        clients = Clients(SESSION)
        clients.s3.create_bucket(Bucket=BUCKET)

        def make(seconds: float = 20) -> Place:
            compositions = S3Compositions(clients.s3, BUCKET, seconds=seconds)
            return Place(S3Blobs(clients.s3, BUCKET), compositions)

        yield make


@pytest.fixture(params=["S3", "folder"])
def place(request: pytest.FixtureRequest, s3: Callable[..., Place], tmp_path: Path) -> Place:
    if request.param == "S3":
        return s3()
    blobs = FolderBlobs(tmp_path)
    return Place(blobs, FolderCompositions(blobs))


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=20), piece_bytes=st.integers(1, 40))
def test_pieces_cover_the_content_once_and_in_order(sizes: list[int], piece_bytes: int) -> None:
    pieces = list(pieces_of([Source(str(n), size) for n, size in enumerate(sizes)], piece_bytes))
    assert [piece.number for piece in pieces] == list(range(1, len(pieces) + 1))
    assert all(piece.size == piece_bytes for piece in pieces[:-1])
    covered = [(key, at) for piece in pieces for key, start, end in piece.ranges for at in range(start, end)]
    assert covered == [(str(n), at) for n, size in enumerate(sizes) for at in range(size)]


def test_sources_of_any_size_become_one_object(place: Place) -> None:
    place.add(1, 4 * MIB, 7, 12 * MIB, 3)
    composition = place.compositions.begin(TARGET)
    with pytest.raises(BlobMissing):
        place.blobs.get(TARGET)
    expected = Composed(md5(place.content, usedforsecurity=False).hexdigest())
    assert place.compose(composition, md5=True) == expected
    assert place.blobs.get(TARGET) == place.content
    assert place.compose(composition, md5=True) == expected
    assert place.compose(composition) == Composed(None)


def test_a_discarded_composition_leaves_nothing_and_cannot_be_continued(place: Place) -> None:
    place.add(10)
    composition = place.compositions.begin(TARGET)
    assert place.compose(composition) is not None
    place.compositions.discard(composition, TARGET)
    place.compositions.discard(composition, TARGET)
    with pytest.raises(BlobMissing):
        place.blobs.get(TARGET)


def test_a_missing_source_is_an_error(place: Place) -> None:
    place.add(10, 10)
    place.blobs.delete([place.sources[1].key])
    with pytest.raises(BlobMissing):
        place.compose(place.compositions.begin(TARGET))
    with pytest.raises(BlobMissing):
        place.blobs.get(TARGET)


def test_a_call_that_takes_too_long_is_continued_by_the_next(s3: Callable[..., Place]) -> None:
    place = s3(seconds=0)
    place.add(*[9 * MIB] * 4)
    composition = place.compositions.begin(TARGET)
    calls = 1
    while place.compose(composition) is None:
        calls += 1
        with pytest.raises(BlobMissing):
            place.blobs.get(TARGET)
    assert calls == 2
    assert place.blobs.get(TARGET) == place.content


def test_a_composition_that_another_call_discarded_is_gone(s3: Callable[..., Place]) -> None:
    place = s3()
    place.add(10)
    composition = place.compositions.begin(TARGET)
    place.compositions.discard(composition, TARGET)
    with pytest.raises(BlobMissing):
        place.compose(composition)
