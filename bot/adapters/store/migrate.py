"""Brings a database file to the schema this code was written for, or says in one sentence why that cannot be."""

import errno
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from bot.domain.errors import StartFailed

# STRICT tables came with 3.37.0 (sqlite.org/stricttables.html).
SQLITE_MIN = (3, 37, 0)
_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")
_RECORDS = """
CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    number: int
    name: str
    sql: str


def prepare(path: Path, *, busy_timeout_s: float) -> None:
    """Create the database where it is missing and apply what it lacks; nothing where it is up to date.

    Raises:
        StartFailed: the file is not ours to use; it was left as it was, but for migrations that went through whole.
    """
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        wanted = ".".join(map(str, SQLITE_MIN))
        raise StartFailed(f"SQLite {sqlite3.sqlite_version} is too old: Gallop needs {wanted} or newer.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        migrate(db, path, shipped_migrations())
        db.execute("PRAGMA journal_mode = WAL")
        # Whether the file can be written shows only here, if there was nothing to migrate.
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    finally:
        db.close()


def inspect(path: Path) -> bool:
    """Look at an existing database, changing nothing; say whether it has Gallop's tables yet.

    Raises:
        StartFailed: `prepare` would refuse it.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            has_tables = known_schema(db, path) > 0
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    if not os.access(path, os.W_OK):
        raise _unusable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return has_tables


def known_schema(db: sqlite3.Connection, path: Path) -> int:
    """Return the number of the last migration that was applied, 0 for an empty database.

    Raises:
        StartFailed: the schema is newer than the code, or not Gallop's.
    """
    refuse_foreign(db, path)
    _refuse_newer(db, path, newest=shipped_migrations()[-1].number)
    return _applied(db)


def shipped_migrations() -> list[Migration]:
    """Return the migrations that came with this code, by number."""
    return read_migrations(resources.files(__package__) / "migrations")


def read_migrations(folder: Traversable) -> list[Migration]:
    """Return a folder's migrations by number; other files are left alone."""
    found = [(match, file) for file in folder.iterdir() if (match := _FILE_NAME.fullmatch(file.name))]
    steps = [Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")) for match, file in found]
    return sorted(steps, key=lambda step: step.number)


def migrate(db: sqlite3.Connection, path: Path, steps: list[Migration]) -> None:
    """Apply the steps a database lacks, each with its record in one transaction.

    `db` is in autocommit mode. Another process may do the same at the same time: whoever is second finds nothing to do.

    Raises:
        StartFailed: the schema is newer than the code, or not Gallop's.
    """
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    refuse_foreign(db, path)
    _refuse_newer(db, path, newest=max(step.number for step in steps))
    for step in steps:
        if step.number > _applied(db):
            _apply(db, step)


def refuse_foreign(db: sqlite3.Connection, path: Path) -> None:
    """Raise StartFailed where the database has tables, and they are not Gallop's."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables and "migrations" not in tables:
        raise StartFailed(f"The database {path} belongs to something else: give Gallop one of its own in DATABASE_URL.")


def _refuse_newer(db: sqlite3.Connection, path: Path, *, newest: int) -> None:
    if _applied(db) > newest:
        raise StartFailed(
            f"The database {path} was written by a newer Gallop (schema {_applied(db)}, this one knows {newest}): "
            "run that version, or restore a backup."
        )


def _applied(db: sqlite3.Connection) -> int:
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone() is None:
        return 0
    (number,) = db.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    return int(number)


def _apply(db: sqlite3.Connection, step: Migration) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(_RECORDS)
        if step.number > _applied(db):
            for statement in _statements(step.sql):
                db.execute(statement)
            db.execute("INSERT INTO migrations VALUES (?, ?, ?)", (step.number, step.name, time.time_ns() // 1_000_000))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _statements(sql: str) -> Iterator[str]:
    # executescript() would commit the open transaction first (Python's sqlite3 documentation).
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _unusable(path: Path, error: OSError | sqlite3.Error) -> StartFailed:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return StartFailed(f"{path} is not a database: move it away, or set DATABASE_URL to another file.")
    if code == sqlite3.SQLITE_BUSY:
        return StartFailed(f"The database {path} is locked by another program: stop it, then start Gallop again.")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StartFailed(
        f"The database {path} cannot be opened for writing ({reason}): check DATABASE_URL and the rights of its folder."
    )
