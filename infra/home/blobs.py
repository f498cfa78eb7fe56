"""Objects as files in a folder: written to a temporary file, flushed to disk, then renamed into place."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import urlencode

from nightlane.api_settings import KIB
from nightlane.domain.ports import BlobMissing, PresignedPut
from nightlane.domain.received import Received

from .folders import flush, flush_file, flush_folder, make_folder
from .full_disk import reporting_full_disk
from .lock import deleting
from .put_urls import PutUrls

CHUNK_BYTES = 256 * KIB


class FolderBlobs:
    """`domain.ports.Blobs` in a folder. Objects never change, so a copy is a hard link to the same file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = root / "objects"
        self._aside = root / "incomplete"
        self._putting_once = threading.Lock()
        self.put_urls = PutUrls()
        make_folder(self._objects)
        make_folder(self._aside)

    def put(self, key: str, data: bytes) -> None:
        with self._new_file(key) as file:
            file.write(data)

    def put_received(self, key: str, content: Received) -> None:
        if content.path is None:
            self.put(key, b"".join(content.chunks()))
            return
        with reporting_full_disk():
            flush_file(content.path)
            self._move(content.path, key)

    @contextmanager
    def spool(self) -> Iterator[Callable[[], "SpooledFile"]]:
        """Yields a function that makes files for received content; files that were not put are removed."""
        with ExitStack() as stack:
            yield lambda: stack.enter_context(SpooledFile(self._aside))

    def get(self, key: str) -> bytes:
        with _missing(key):
            return self.path(key).read_bytes()

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with _missing(key):
            file = self.path(key).open("rb", buffering=0)
        with file:
            file.seek(start)
            left = None if end is None else end - start
            while chunk := file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
                yield chunk
                left = None if left is None else left - len(chunk)

    def copy(self, source: str, target: str) -> int:
        path, aside = self.path(source), self._aside / os.urandom(8).hex()
        with reporting_full_disk(), _removed(aside):
            with _missing(source):
                _copy(path, aside)
            self._move(aside, target)
        return self.size(target)

    def size(self, key: str) -> int:
        with _missing(key):
            return self.path(key).stat().st_size

    @contextmanager
    def writer(self, key: str) -> Iterator["FileWriter"]:
        with self._new_file(key, keep_empty=False) as file:
            yield file

    @contextmanager
    def scatter_writer(self, key: str) -> Iterator["FileWriter"]:
        with self._new_file(key) as file:
            yield file

    def delete(self, keys: Iterable[str]) -> None:
        with deleting(self._root):
            self._delete(keys)

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self.path(key)
            path.unlink(missing_ok=True)
            # A folder is removed with its last object.
            with suppress(OSError):
                while (path := path.parent) != self._objects:
                    path.rmdir()

    def presigned_get(self, key: str, filename: str, seconds: int) -> str:  # noqa: ARG002 (the port's)
        """The file's URI. The server sends the content when a handler redirects to it."""
        return f"{self.path(key).as_uri()}?{urlencode({'filename': filename})}"

    def presigned_put(self, key: str, size: int, seconds: int) -> PresignedPut:
        return self.put_urls.sign(key, size, seconds)

    def put_once(self, key: str, content: Received) -> bool:
        """Store received content. Returns False if the object exists."""
        assert content.path is not None
        with reporting_full_disk(), self._putting_once:
            if self.path(key).exists():
                return False
            flush_file(content.path)
            self._move(content.path, key)
        return True

    def path(self, key: str) -> Path:
        """Where an object is stored. Raises: ValueError, if the key points outside the folder."""
        path = self._objects / key
        if ".." in path.parts or not path.is_relative_to(self._objects) or path == self._objects:
            raise ValueError(f"invalid object key: {key!r}")
        return path

    def keys(self, prefix: str, before: float) -> Iterator[str]:
        """The keys below a prefix whose objects were put before a time, in seconds since 1970."""
        for path in (self._objects / prefix).rglob("*"):
            with suppress(FileNotFoundError):
                # Not mtime: an upload may have been written long before it was put.
                if path.is_file() and path.stat().st_ctime < before:
                    yield str(path.relative_to(self._objects))

    def remove_incomplete(self) -> None:
        """Delete the files that a killed server left behind. No other process may be using the folder."""
        for path in self._aside.iterdir():
            path.unlink()

    @contextmanager
    def _new_file(self, key: str, *, keep_empty: bool = True) -> Iterator["FileWriter"]:
        with reporting_full_disk():
            descriptor, name = tempfile.mkstemp(dir=self._aside)
            aside = Path(name)
            with _removed(aside):
                with os.fdopen(descriptor, "wb", buffering=CHUNK_BYTES) as file:
                    writer = FileWriter(file)
                    yield writer
                    file.flush()
                    flush(file.fileno())
                if writer.size or keep_empty:
                    self._move(aside, key)

    def _move(self, aside: Path, key: str) -> None:
        """Move a file into place. Once this returns, it survives a power loss."""
        path = self.path(key)
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                aside.replace(path)
                break
            except FileNotFoundError:
                # The folder may just have been removed with its last object.
                if not aside.exists():
                    raise
        while (path := path.parent) != self._objects.parent:
            flush_folder(path)


class FileWriter:
    """`domain.ports.BlobWriter` and `ScatterWriter` on a file that has not been moved into place yet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def write_at(self, start: int, data: bytes) -> None:
        self._file.seek(start)
        self.write(data)


class SpooledFile:
    """`domain.received.Received` in a file, until the context is closed or a store moves the file away."""

    def __init__(self, folder: Path) -> None:
        self.size = 0
        with reporting_full_disk():
            descriptor, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        # Unbuffered, because the file may be moved before it is closed.
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            with reporting_full_disk():
                left = left[self._file.write(left) :]
        self.size += len(data)

    def chunks(self) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def _copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        # Some file systems do not support hard links.
        shutil.copyfile(source, target)
        flush_file(target)


@contextmanager
def _removed(aside: Path) -> Iterator[None]:
    """Remove the file at the end, unless it was moved away."""
    try:
        yield
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _missing(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing(key) from error
