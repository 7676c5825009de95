"""Copies the database away while a bot may be writing, and puts a copy back in its place."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from bot.adapters.store.migrate import known_schema, migrate, refuse_foreign, shipped_migrations
from bot.adapters.store.moves import end_job
from bot.adapters.store.sqlite import only_one
from bot.domain.errors import StartFailed
from bot.domain.job import Ending, JobState
from bot.domain.store import End

_PAGES_PER_STEP = 1_000
# What SQLite leaves beside a database that was not closed; it would take them for the new one's.
_BESIDE = ("-wal", "-shm", "-journal")


def back_up(source: Path, target: Path) -> None:
    """Write a consistent copy of a database to a new file, while a bot may be writing.

    The copy is one file for its owner alone. Until it is whole, checked and on the disk, `target` is not there.

    Raises:
        StartFailed: there is no backup, and `target` is as it was.
    """
    _refuse_existing(target)
    with _half(target) as half:
        _copy(source, half)
        _refuse_existing(target)
        _put(half, target)


def restore(backup: Path, target: Path, *, now: datetime, busy_timeout_s: float = 5.0) -> Path | None:
    """Put a backup in the place of a database that no bot runs on; return where the old one is kept, None without one.

    Ended at any moment, it leaves the old or the new database. Jobs that were in line in the backup may have been
    submitted since: they end as failed, and their holds are released. The note ``restored_at`` says when, in ISO form.

    Raises:
        StartFailed: the old database is in its place.
    """
    with only_one(target):
        if target.exists() and backup.exists() and target.samefile(backup):
            raise StartFailed(f"{backup} is the database itself: name a backup of it.")
        with _half(target) as half:
            _copy(backup, half)
            _make_safe(half, now)
            aside = _keep_aside(target, now, busy_timeout_s=busy_timeout_s)
            _put(half, target)
        return aside


def _copy(source: Path, half: Path) -> None:
    """Copy a database of ours, as it is at this moment, and check the copy."""
    if not source.is_file():
        raise StartFailed(f"There is no database {source}.")
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db,
            closing(_open(half)) as copy,
        ):
            # One transaction around all steps: else every write of a bot would make the copy begin again.
            db.execute("BEGIN")
            if not known_schema(db, source):
                raise StartFailed(f"{source} holds nothing of Gallop's.")
            db.backup(copy, pages=_PAGES_PER_STEP)
            copy.execute("PRAGMA journal_mode = DELETE")
            verdict = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise StartFailed(f"{source} cannot be copied ({error}).") from error
    if verdict != "ok":
        raise StartFailed(f"{source} is damaged ({verdict}).")


def _make_safe(half: Path, now: datetime) -> None:
    """Bring the copy to today's schema, and see that nothing in it is bought a second time."""
    try:
        with closing(_open(half)) as db:
            migrate(db, half, shipped_migrations())
            db.execute("BEGIN")
            for (job_id,) in db.execute("SELECT job_id FROM jobs WHERE state = 'held'").fetchall():
                end_job(db, job_id, states=(JobState.HELD,), to=JobState.FAILED, end=End(Ending.RESTORED), now=now)
            db.execute("INSERT OR REPLACE INTO notes VALUES ('restored_at', ?)", (now.isoformat(),))
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise StartFailed(f"The copy cannot be made safe ({error}).") from error


def _keep_aside(target: Path, now: datetime, *, busy_timeout_s: float) -> Path | None:
    """Give the old database a second name, and let nothing lie beside the first one; None where there is no old one."""
    names = (f"{target.name}.{now:%Y%m%dT%H%M%S}{f'-{number}' if number else ''}" for number in count())
    aside = next(path for name in names if not (path := target.with_name(name)).exists())
    is_there = target.exists()
    try:
        if is_there:
            _close_for_good(target, busy_timeout_s=busy_timeout_s)
            os.link(target, aside)
        for suffix in _BESIDE:
            left = Path(f"{target}{suffix}")
            if left.exists():
                left.replace(f"{aside}{suffix}")
    except (OSError, sqlite3.Error) as error:
        raise StartFailed(
            f"The database {target} cannot be kept aside ({error}): move it away yourself, then restore again."
        ) from error
    return aside if is_there else None


def _close_for_good(target: Path, *, busy_timeout_s: float) -> None:
    """Bring everything that lies beside the database into it. A damaged one, or one that is none, stays as it is."""
    with closing(_open(target, busy_timeout_s=busy_timeout_s)) as db:
        try:
            refuse_foreign(db, target)
            db.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
                raise


def _open(path: Path, *, busy_timeout_s: float = 5.0) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)


@contextmanager
def _half(target: Path) -> Iterator[Path]:
    """Make an empty file beside the target, for its owner alone; what is left of it in the end is deleted."""
    half = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield half
    except OSError as error:
        raise StartFailed(f"{target} cannot be written ({error.strerror}): check the rights of its folder.") from error
    finally:
        for suffix in ("", *_BESIDE):
            Path(f"{half}{suffix}").unlink(missing_ok=True)


def _refuse_existing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise StartFailed(f"{target} is there already: name a new file.")


def _put(half: Path, target: Path) -> None:
    """Give the file its name: its bytes first, then the name."""
    _sync(half)
    half.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
