"""Objects as files of a folder: written aside, flushed to disk, then renamed into place."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import urlencode

from infra.home.lock import deleting
from nightlane.domain.ports import BlobMissing
from nightlane.domain.received import Received
from nightlane.settings import KIB

# On macOS fsync leaves data in the drive's own cache; this does not.
# https://developer.apple.com/library/archive/documentation/System/Conceptual/ManPages_iPhoneOS/man2/fsync.2.html
FULL_FLUSH: int | None = getattr(fcntl, "F_FULLFSYNC", None)
CHUNK_BYTES = 256 * KIB


class FolderBlobs:
    """`domain.ports.Blobs` in a folder. Objects never change, so a copy is another link to the same file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = root / "objects"
        self._aside = root / "incomplete"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._aside.mkdir(exist_ok=True)

    def put(self, key: str, data: bytes) -> None:
        with self._new_file(key) as file:
            file.write(data)

    def put_received(self, key: str, content: Received) -> None:
        if content.path is None:
            self.put(key, b"".join(content.chunks()))
            return
        flush_file(content.path)
        self._move(content.path, key)

    @contextmanager
    def spool(self) -> Iterator[Callable[[], "SpooledFile"]]:
        """Makes files for what is received; those that were not put are removed at the end."""
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
        with _missing(source):
            try:
                os.link(path, aside)
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    raise
                # Some file systems have no links.
                shutil.copyfile(path, aside)
                flush_file(aside)
        self._move(aside, target)
        return self.path(target).stat().st_size

    @contextmanager
    def writer(self, key: str) -> Iterator["FileWriter"]:
        with self._new_file(key, keep_empty=False) as file:
            yield file

    def delete(self, keys: Iterable[str]) -> None:
        with deleting(self._root):
            self._delete(keys)

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self.path(key)
            path.unlink(missing_ok=True)
            # Folders go with the last object in them.
            with suppress(OSError):
                while (path := path.parent) != self._objects:
                    path.rmdir()

    def presigned_get(self, key: str, filename: str, seconds: int) -> str:  # noqa: ARG002 (the port's)
        """The file itself: the server that gets this from a handler sends its content."""
        return f"{self.path(key).as_uri()}?{urlencode({'filename': filename})}"

    def path(self, key: str) -> Path:
        """Where an object is. Raises: ValueError, if that is outside of the folder."""
        path = self._objects / key
        if ".." in path.parts or not path.is_relative_to(self._objects) or path == self._objects:
            raise ValueError(f"invalid object key: {key!r}")
        return path

    def remove_older(self, folder: str, time: float) -> None:
        """Remove what has been left alone since then (seconds since 1970) of the folders in this one."""
        with deleting(self._root), suppress(FileNotFoundError):
            for path in (self._objects / folder).iterdir():
                if path.stat().st_mtime < time:
                    shutil.rmtree(path, ignore_errors=True)

    def remove_incomplete(self) -> None:
        """Delete what a server that was killed left behind. Nobody else may be using the folder."""
        for path in self._aside.iterdir():
            path.unlink()

    @contextmanager
    def _new_file(self, key: str, *, keep_empty: bool = True) -> Iterator["FileWriter"]:
        descriptor, name = tempfile.mkstemp(dir=self._aside)
        aside = Path(name)
        try:
            with os.fdopen(descriptor, "wb", buffering=CHUNK_BYTES) as file:
                writer = FileWriter(file)
                yield writer
                file.flush()
                _flush(file.fileno())
            if writer.size or keep_empty:
                self._move(aside, key)
        finally:
            aside.unlink(missing_ok=True)

    def _move(self, aside: Path, key: str) -> None:
        """Make it visible; once this returns, it stays so through a power loss."""
        path = self.path(key)
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                aside.replace(path)
                break
            except FileNotFoundError:
                # The folder may have been removed just now, with the last object in it.
                if not aside.exists():
                    raise
        while (path := path.parent) != self._objects.parent:
            flush_folder(path)


class FileWriter:
    """`domain.ports.BlobWriter` on a file that is not in place yet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)


class SpooledFile:
    """`domain.received.Received` in a file, for as long as the context is open or until a store takes it."""

    def __init__(self, folder: Path) -> None:
        self.size = 0
        descriptor, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        # Unbuffered: it may be taken before it is closed.
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.size += len(data)

    def chunks(self) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def flush_file(path: Path) -> None:
    """Bring a closed file to the disk."""
    with path.open("rb") as file:
        _flush(file.fileno())


def _flush(descriptor: int) -> None:
    if FULL_FLUSH is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, FULL_FLUSH)


def flush_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _flush(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _missing(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing(key) from error
