"""Opens and closes the SQLite store, and makes sure that only one bot runs on a database."""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import aiosqlite

from bot.adapters.store.accounts import Accounts
from bot.adapters.store.audit import Audit
from bot.adapters.store.callbacks import Callbacks
from bot.adapters.store.content import Content
from bot.adapters.store.deliveries import Deliveries
from bot.adapters.store.grants import Grants
from bot.adapters.store.guild_jobs import GuildJobs
from bot.adapters.store.guilds import Guilds
from bot.adapters.store.line import Line
from bot.adapters.store.migrate import inspect, prepare
from bot.adapters.store.moderation import Moderation
from bot.adapters.store.moves import Moves
from bot.adapters.store.notices import Notices
from bot.adapters.store.opening import PAUSED, Opens
from bot.adapters.store.people import People
from bot.adapters.store.reads import Reads
from bot.adapters.store.restarts import Restarts
from bot.adapters.store.writer import open_writer
from bot.domain.errors import StartFailed

_LOCK_TRIES = 4
_LOCK_AGAIN_S = 0.05


class SqliteStore(
    Opens,
    Line,
    Moves,
    Callbacks,
    Restarts,
    Deliveries,
    Reads,
    Accounts,
    Notices,
    Content,
    Guilds,
    Grants,
    Moderation,
    GuildJobs,
    People,
    Audit,
):
    """The Store of bot.domain.store and the GuildStore of bot.domain.guild_store in one SQLite file."""


@asynccontextmanager
async def open_store(
    path: Path, *, busy_timeout_s: float = 5.0, observe: Callable[[float], None] | None = None
) -> AsyncIterator[SqliteStore]:
    """Open the database at `path`, made or brought up to date where needed; on the way out, write what waits and close.

    `busy_timeout_s` is how long an operation waits for another process that writes. `observe` is called with the
    seconds from when a writing operation was asked for to its durable answer.

    Raises:
        StartFailed: the database cannot be used.
    """
    await asyncio.to_thread(prepare, path, busy_timeout_s=busy_timeout_s)
    async with (
        open_writer(path, busy_timeout_s=busy_timeout_s, observe=observe) as writer,
        aiosqlite.connect(_read_only(path), uri=True, timeout=busy_timeout_s, isolation_level=None) as reader,
    ):
        reader.row_factory = sqlite3.Row
        yield SqliteStore(writer, reader)


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"


def is_paused(path: Path) -> bool:
    """Read the kill switch of an existing database, changing nothing, not even its schema.

    Raises:
        StartFailed: it cannot be read.
    """
    if not inspect(path):
        return False
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        return bool(db.execute(PAUSED).fetchone())


def read_note(path: Path, key: str) -> str | None:
    """Read a note of an existing database, changing nothing.

    Raises:
        StartFailed: it cannot be read.
    """
    if not inspect(path):
        return None
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        row = db.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None


def is_running(path: Path) -> bool:
    """Say whether a bot holds the database's lock file. It makes no file, and takes a shared lock for a moment."""
    try:
        lock = os.open(_lock_of(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _lock_of(path: Path) -> Path:
    # Beside the file itself: the same database by another name, such as a symbolic link, has the same lock.
    real = path.resolve()
    return real.with_name(f"{real.name}.lock")


def _lock(lock: int) -> None:
    """Take the lock; somebody who only looks may hold it for a moment."""
    for tries_left in reversed(range(_LOCK_TRIES)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not tries_left:
                raise
            time.sleep(_LOCK_AGAIN_S)
        else:
            return


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the database's lock file: two bots on one database would submit every job twice.

    The lock dies with its process, however that ends.

    Raises:
        StartFailed: another process holds it.
    """
    lock_path = _lock_of(path)
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartFailed(
            f"{path}.lock cannot be written ({error.strerror}): check the rights of its folder and DATABASE_URL, "
            "for example DATABASE_URL=sqlite:///data/gallop.db"
        ) from error
    try:
        _lock(lock)
    except BlockingIOError as error:
        raise StartFailed(f"Another Gallop already runs on {path}: stop it first.") from error
    else:
        yield
    finally:
        os.close(lock)
