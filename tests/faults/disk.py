"""Simulates the disk below a folder: each operation is a step that can fail, and a power loss loses data.

File contents survive once the file is flushed, and names once their folder is. POSIX guarantees no more.
https://pubs.opengroup.org/onlinepubs/9799919799/functions/fsync.html
"""

import builtins
import errno
import io
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.home_faults import HomeFaults, Step, do_nothing

REAL_OPEN = io.open


@dataclass(eq=False)
class File:
    """A file; `flushed` is None if it was never flushed."""

    flushed: bytes | None = None


@dataclass(eq=False)
class Folder:
    """The current names, the flushed names, and the changes since the flush, in order."""

    names: "dict[str, File | Folder]" = field(default_factory=dict)
    flushed: "dict[str, File | Folder]" = field(default_factory=dict)
    changes: "list[tuple[str, File | Folder | None]]" = field(default_factory=list)

    def set(self, name: str, node: "File | Folder | None") -> None:
        if node is None:
            self.names.pop(name, None)
        else:
            self.names[name] = node
        self.changes.append((name, node))

    def flush(self) -> None:
        self.flushed, self.changes = dict(self.names), []

    def surviving(self, keeps: Callable[[], bool]) -> "dict[str, File | Folder]":
        """The names that survive a power loss; `keeps` decides for each change that was not flushed."""
        left = dict(self.flushed)
        for name, node in self.changes:
            if keeps():
                left.pop(name, None)
                if node is not None:
                    left[name] = node
        return left


class Disk:
    """Tracks the files below `root` while the functions of `os` are patched."""

    def __init__(self, faults: HomeFaults) -> None:
        self.faults = faults
        self.root = Path("/nowhere")
        self._tree = Folder()
        self._known: dict[tuple[int, int], File | Folder] = {}

    def attach(self, root: Path) -> None:
        """Switch to another folder, whose content counts as flushed."""
        self._known = {}
        self.root = root
        self._tree = self._read(root)

    def _read(self, path: Path) -> Folder:
        folder = Folder()
        self._know(path, folder)
        for entry in os.scandir(path):
            if entry.is_dir():
                folder.names[entry.name] = self._read(path / entry.name)
            elif not entry.name.startswith("nightlane.db"):
                file = File((path / entry.name).read_bytes())
                self._know(path / entry.name, file)
                folder.names[entry.name] = file
        folder.flush()
        return folder

    def survivors(self, target: Path, chance: random.Random, names_kept: float) -> None:
        """Write what survives a power loss to a new folder; unflushed names survive with this probability."""
        _write(self._tree, target, lambda: chance.random() < names_kept, chance, self._content)

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        """Patch the file functions of `os` and `io`. Paths that are not below the root are not affected."""
        for name in ("mkdir", "rmdir", "unlink", "link", "fsync", "open"):
            patch.setattr(os, name, getattr(self, f"_{name}")(getattr(os, name)))
        for name in ("rename", "replace"):
            patch.setattr(os, name, self._rename(getattr(os, name)))
        patch.setattr(io, "open", self._open_file)
        patch.setattr(builtins, "open", self._open_file)

    def _holds(self, path: Any) -> bool:
        return isinstance(path, str | Path) and Path(path).is_relative_to(self.root)

    def step(self, name: str, *, needs_room: bool = False, partly: Callable[[], None] = do_nothing) -> None:
        """Count a step before an operation. Raises: Crash, OSError."""
        if self.faults.before(Step(f"file: {name}", needs_room), partly):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _know(self, path: Path, node: File | Folder) -> None:
        self._known[_identity(path.stat())] = node

    def _folder(self, path: Any) -> Folder:
        """The parent folder of a path."""
        node: File | Folder = self._tree
        for part in Path(path).parent.relative_to(self.root).parts:
            assert isinstance(node, Folder)
            node = node.names[part]
        assert isinstance(node, Folder)
        return node

    def _content(self, node: File) -> bytes:
        """The current content of a file; empty if it has been removed."""
        found = (path for path, each in _walk(self._tree, self.root) if each is node)
        path = next(found, None)
        return path.read_bytes() if path else b""

    def _mkdir(self, real: Any) -> Any:
        def mkdir(path: Any, *rest: Any, **options: Any) -> None:
            makes = self._holds(path) and not Path(path).exists() and Path(path).parent.exists()
            if makes:
                self.step("mkdir", needs_room=True)
            real(path, *rest, **options)
            if makes:
                folder = Folder()
                self._folder(path).set(Path(path).name, folder)
                self._know(Path(path), folder)

        return mkdir

    def _rmdir(self, real: Any) -> Any:
        def rmdir(path: Any, **options: Any) -> None:
            if self._holds(path):
                self.step("rmdir")
            real(path, **options)
            if self._holds(path):
                self._folder(path).set(Path(path).name, None)

        return rmdir

    def _unlink(self, real: Any) -> Any:
        def unlink(path: Any, **options: Any) -> None:
            if self._holds(path) and Path(path).exists():
                self.step("unlink")
            real(path, **options)
            if self._holds(path):
                self._folder(path).set(Path(path).name, None)

        return unlink

    def _link(self, real: Any) -> Any:
        def link(source: Any, target: Any, **options: Any) -> None:
            if self._holds(target) and Path(source).exists():
                self.step("link", needs_room=True)
            real(source, target, **options)
            if self._holds(target):
                self._folder(target).set(Path(target).name, self._folder(source).names[Path(source).name])

        return link

    def _rename(self, real: Any) -> Any:
        def rename(source: Any, target: Any, **options: Any) -> None:
            if self._holds(target) and Path(source).exists() and Path(target).parent.exists():
                self.step("rename", needs_room=True)
            real(source, target, **options)
            if self._holds(target):
                self._folder(target).set(Path(target).name, self._folder(source).names[Path(source).name])
                self._folder(source).set(Path(source).name, None)

        return rename

    def _fsync(self, real: Any) -> Any:
        def fsync(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            node = self._known.get(_identity(os.fstat(number)))
            if isinstance(node, File):
                self.step("flush", needs_room=True)
                node.flushed = self._content(node)
            elif node is not None:
                self.step("flush a folder")
                node.flush()
            real(descriptor)

        return fsync

    def _open(self, real: Any) -> Any:
        def open_(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            makes = self._holds(path) and flags & os.O_CREAT and not Path(path).exists()
            if makes:
                self.step("create", needs_room=True)
            descriptor: int = real(path, flags, *rest, **options)
            if makes:
                self._made(Path(path))
            return descriptor

        return open_

    def _open_file(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        is_known = isinstance(file, int) and _identity(os.fstat(file)) in self._known
        if "b" not in mode or mode[0] == "r" or not (is_known or self._holds(file)):
            return REAL_OPEN(file, mode, buffering, *rest, **options)
        makes = not is_known and not Path(file).exists()
        if makes:
            self.step("create", needs_room=True)
        raw = _Written(self, file, mode.replace("b", ""))
        if makes:
            self._made(Path(file))
        return raw if buffering == 0 else io.BufferedWriter(raw, max(buffering, io.DEFAULT_BUFFER_SIZE))

    def _made(self, path: Path) -> None:
        file = File()
        self._folder(path).set(path.name, file)
        self._know(path, file)


class _Written(io.FileIO):
    """A file whose writes are steps."""

    def __init__(self, disk: Disk, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        half = memoryview(data)[: len(data) // 2]
        write = super().write
        try:
            self._disk.step("write", needs_room=True, partly=lambda: _ignore(write(half)))
        except OSError:
            write(half)
            raise
        return write(data)


def _ignore(_: int) -> None: ...


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _walk(folder: Folder, path: Path) -> Iterator[tuple[Path, File | Folder]]:
    for name, node in folder.names.items():
        yield path / name, node
        if isinstance(node, Folder):
            yield from _walk(node, path / name)


def _write(
    folder: Folder,
    target: Path,
    keeps: Callable[[], bool],
    chance: random.Random,
    content: Callable[[File], bytes],
) -> None:
    target.mkdir()
    for name, node in folder.surviving(keeps).items():
        if isinstance(node, Folder):
            _write(node, target / name, keeps, chance, content)
        elif node.flushed is not None:
            (target / name).write_bytes(node.flushed)
        else:
            data = content(node)
            (target / name).write_bytes(data[: chance.randrange(len(data) + 1)])
