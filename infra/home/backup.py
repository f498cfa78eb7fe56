"""Copies a data folder while a server is using it.

The database refers to objects. An object is stored before the database refers to it, never changes, and is
deleted only once the database no longer refers to it. So every object that a snapshot of the database refers
to can be copied, as long as nothing is deleted between taking the snapshot and listing the objects. Deletions
are blocked only for that time: each object gets a hard link, which is quick, and the links are copied later.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .database import DATABASE, NoData
from .folders import flush_file, flush_folder, make_folder
from .lock import deletions_blocked, sole_backup


class TargetNotEmpty(Exception):
    """The target of a backup must be a new or empty folder."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup."""

    objects: int
    size: int
    """Of the objects and the database, in bytes."""


def back_up(folder: Path, target: Path) -> Backup:
    """Copy a data folder to a new or empty folder. The copy is durable once this returns.

    Raises:
        NoData: the folder has no database.
        TargetNotEmpty
        OSError, sqlite3.Error: the partial copy has no database, so it cannot be mistaken for a data folder.
    """
    if not (folder / DATABASE).exists():
        raise NoData(f"{folder} has no {DATABASE}")
    if target.exists() and any(target.iterdir()):
        raise TargetNotEmpty(f"{target} is not empty")
    make_folder(target)
    links, snapshot = folder / "backing-up", target / f"{DATABASE}.incomplete"
    with sole_backup(folder):
        # An earlier backup may have been killed.
        shutil.rmtree(links, ignore_errors=True)
        try:
            with deletions_blocked(folder):
                with closing(sqlite3.connect(folder / DATABASE)) as connection:
                    connection.execute("VACUUM INTO ?", (str(snapshot),))
                _link_all(folder / "objects", links)
            size = [_copy(path, target / "objects" / path.relative_to(links)) for path in _files(links)]
        finally:
            shutil.rmtree(links, ignore_errors=True)
    flush_file(snapshot)
    for path, _, _ in os.walk(target):
        flush_folder(Path(path))
    # Last, because a folder without a database is not taken for a data folder.
    snapshot.rename(target / DATABASE)
    flush_folder(target)
    return Backup(len(size), sum(size) + (target / DATABASE).stat().st_size)


def _link_all(objects: Path, links: Path) -> None:
    links.mkdir()
    for path in _files(objects):
        link = links / path.relative_to(objects)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, link)
        except OSError:
            # Some file systems do not support hard links.
            shutil.copyfile(path, link)


def _copy(path: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    flush_file(target)
    return target.stat().st_size


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
