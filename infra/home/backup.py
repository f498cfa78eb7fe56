"""A copy of a data folder, made while its server works on it.

The database names objects; an object is there before it is named, never changes, and is deleted only when
it is named no more. So everything that a snapshot of the database names can be copied, if nothing is deleted
between the snapshot and the look at the objects. Deletions wait for just that time: a second name is given to
each object, which takes no copying, and what is copied from then on are those.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from infra.home.database import DATABASE, NoData
from infra.home.folders import flush_file, flush_folder, make_folder
from infra.home.lock import nothing_deleted, one_backup


class TargetNotEmpty(Exception):
    """A backup is a folder of its own."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied."""

    objects: int
    size: int
    """Of objects and database, in bytes."""


def back_up(folder: Path, target: Path) -> Backup:
    """Copy a data folder to one that is new or empty; durable once this returns.

    Raises:
        NoData: there is nothing to copy.
        TargetNotEmpty
        OSError, sqlite3.Error: what was copied by then has no database and is no data folder.
    """
    if not (folder / DATABASE).exists():
        raise NoData(f"{folder} has no {DATABASE}")
    if target.exists() and any(target.iterdir()):
        raise TargetNotEmpty(f"{target} is not empty")
    make_folder(target)
    named, snapshot = folder / "backing-up", target / f"{DATABASE}.incomplete"
    with one_backup(folder):
        # An earlier one may have been killed.
        shutil.rmtree(named, ignore_errors=True)
        try:
            with nothing_deleted(folder):
                with closing(sqlite3.connect(folder / DATABASE)) as connection:
                    connection.execute("VACUUM INTO ?", (str(snapshot),))
                _name_again(folder / "objects", named)
            size = [_copy(path, target / "objects" / path.relative_to(named)) for path in _files(named)]
        finally:
            shutil.rmtree(named, ignore_errors=True)
    flush_file(snapshot)
    for path, _, _ in os.walk(target):
        flush_folder(Path(path))
    # Last: without a database it is no data folder.
    snapshot.rename(target / DATABASE)
    flush_folder(target)
    return Backup(len(size), sum(size) + (target / DATABASE).stat().st_size)


def _name_again(objects: Path, named: Path) -> None:
    named.mkdir()
    for path in _files(objects):
        again = named / path.relative_to(objects)
        again.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, again)
        except OSError:
            # Some file systems have no links.
            shutil.copyfile(path, again)


def _copy(path: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    flush_file(target)
    return target.stat().st_size


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
