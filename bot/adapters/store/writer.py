"""The one writer: takes every waiting operation, runs each alone in a savepoint, commits once, answers after that."""

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from bot.domain.errors import StoreFailed

log = logging.getLogger(__name__)

T = TypeVar("T")
_BATCH_MAX = 256


@dataclass(slots=True, eq=False)
class _Operation:
    """One piece of work that waits for the writer, then for the commit."""

    work: Callable[[sqlite3.Connection], Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def run(self, db: sqlite3.Connection) -> None:
        """Do the work in a savepoint of its own; an error or the answer False undoes it and leaves the others alone.

        Raises:
            sqlite3.Error: the whole transaction is gone, with everything that was done in it.
        """
        db.execute("SAVEPOINT operation")
        try:
            self.result = self.work(db)
        except Exception as error:  # noqa: BLE001 - kept, and raised where the operation was asked for
            self.error = error
        if not db.in_transaction:
            # A full disk, an I/O error or a lack of memory ends the transaction, savepoints and all
            # (sqlite.org/lang_transaction.html, 3); what came after would commit by itself.
            raise sqlite3.OperationalError("the transaction ended early") from self.error
        if self.error is not None or self.result is False:
            db.execute("ROLLBACK TO operation")
        db.execute("RELEASE operation")


class GroupCommit(sqlite3.Connection):
    """A connection whose commit() first runs `batch` in one transaction.

    aiosqlite passes each call to its thread by itself. commit() is the public call that lets a whole batch go over in
    one: with a call per statement 64 callers got 2,900 durable holds per second, this way 7,400.
    """

    batch: Sequence[_Operation] = ()

    def commit(self) -> None:
        """Run the batch and commit it.

        Raises:
            sqlite3.Error: nothing of the batch was kept.
        """
        batch, self.batch = self.batch, ()
        try:
            self.execute("BEGIN IMMEDIATE")
            for operation in batch:
                operation.run(self)
            super().commit()
        finally:
            if self.in_transaction:
                self.rollback()


class Writer:
    """Hands operations to the connection, in the order they were asked for."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        batches: GroupCommit,
        *,
        busy_timeout_s: float,
        observe: Callable[[float], None] | None,
    ) -> None:
        self._connection = connection
        self._batches = batches
        self._busy_timeout_ms = int(busy_timeout_s * 1000)
        self._observe = observe
        # Whoever uses the connection for more than one call holds this.
        self._turn = asyncio.Lock()
        self._log_is_full = False
        self._waiting: deque[_Operation] = deque()
        self._bell = asyncio.Event()
        self._open = True

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the connection's thread, atomically, and return its answer when it is durable.

        What `work` raises is raised here. If it raises, or answers False, nothing of it is kept. A caller who is
        cancelled does not stop an operation that has begun.

        Raises:
            StoreFailed: the database refused; nothing was kept.
        """
        if not self._open:
            raise StoreFailed("the store is closed")
        operation = _Operation(work, asyncio.get_running_loop().create_future())
        asked_at = time.monotonic()
        self._waiting.append(operation)
        self._bell.set()
        answer: T = await operation.answer
        if self._observe is not None:
            self._observe(time.monotonic() - asked_at)
        return answer

    async def empty_log(self) -> None:
        """Empty the write-ahead log, which keeps old copies of what was just deleted.

        Where somebody reads at that moment, it is done after one of the next writes.
        """
        self._log_is_full = True
        async with self._turn:
            await self._truncate()

    async def rewrite(self) -> None:
        """Write the whole file anew without what was deleted; everything that is to be written waits meanwhile.

        Raises:
            StoreFailed: the file is as it was.
        """
        async with self._turn:
            try:
                await self._connection.execute_fetchall("VACUUM")
            except (sqlite3.Error, ValueError) as error:
                log.error("database not rewritten error=%s", describe(error))
                raise StoreFailed("the database file could not be rewritten") from error
            self._log_is_full = True
            await self._truncate()

    async def serve(self) -> None:
        """Write until closed, then to the end of the line."""
        try:
            while self._open or self._waiting:
                await self._bell.wait()
                self._bell.clear()
                while self._waiting:
                    async with self._turn:
                        await self._write(self._next_batch())
                        await self._truncate()
        finally:
            self._open = False
            for operation in self._waiting:
                operation.answer.cancel()

    def close(self) -> None:
        """Take nothing new; what waits is still written."""
        self._open = False
        self._bell.set()

    def _next_batch(self) -> list[_Operation]:
        taken = [self._waiting.popleft() for _ in range(min(_BATCH_MAX, len(self._waiting)))]
        return [operation for operation in taken if not operation.answer.done()]

    async def _write(self, batch: list[_Operation]) -> None:
        if not batch:
            return
        self._batches.batch = batch
        try:
            await self._connection.commit()
        except sqlite3.Error as error:
            log.error("batch failed operations=%s error=%s", len(batch), describe(error))
            for operation in batch:
                _fail(operation, StoreFailed("the database could not keep the operation"), error)
        else:
            for operation in batch:
                _answer(operation)
        finally:
            # Cancelled here, the thread goes on: nobody may be told yes or no.
            for operation in batch:
                operation.answer.cancel()

    async def _truncate(self) -> None:
        if not self._log_is_full:
            return
        try:
            # Waiting for a reader, such as a backup, would keep every operation waiting.
            await self._connection.execute_fetchall("PRAGMA busy_timeout = 0")
            try:
                ((busy, _, _),) = await self._connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
                self._log_is_full = bool(busy)
            finally:
                await self._connection.execute_fetchall(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")
        except (sqlite3.Error, ValueError) as error:
            log.error("write-ahead log not emptied error=%s", describe(error))


def _answer(operation: _Operation) -> None:
    error = operation.error
    if isinstance(error, sqlite3.Error):
        log.error("operation failed error=%s", describe(error))
        _fail(operation, StoreFailed("the database refused the operation"), error)
    elif error is not None:
        _fail(operation, error, error.__cause__)
    elif not operation.answer.done():
        operation.answer.set_result(operation.result)


def _fail(operation: _Operation, error: Exception, cause: BaseException | None) -> None:
    error.__cause__ = cause
    if not operation.answer.done():
        operation.answer.set_exception(error)


def describe(error: Exception) -> str:
    """Name an error for the log: SQLite's name for it and its own words, which hold no data of ours."""
    return f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"


@asynccontextmanager
async def open_writer(
    path: Path, *, busy_timeout_s: float, observe: Callable[[float], None] | None = None
) -> AsyncIterator[Writer]:
    """Open the writing connection with its task; close both, after everything that waits is written."""
    made: list[GroupCommit] = []

    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, factory=GroupCommit)
        db.row_factory = sqlite3.Row
        made.append(db)
        return db

    async with aiosqlite.Connection(connect, iter_chunk_size=64) as connection:
        await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        await connection.execute_fetchall("PRAGMA synchronous = FULL")
        # Deleted content is overwritten in the database file. The write-ahead log keeps old copies of pages until it is
        # emptied: see `Writer.empty_log`.
        await connection.execute_fetchall("PRAGMA secure_delete = ON")
        writer = Writer(connection, made[0], busy_timeout_s=busy_timeout_s, observe=observe)
        task = asyncio.create_task(writer.serve(), name="store writer")
        try:
            yield writer
        finally:
            writer.close()
            await task
