"""The two connections every operation goes through: the writer and the reader."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

import aiosqlite

from bot.adapters.store.writer import Writer, describe
from bot.domain.errors import StoreFailed

log = logging.getLogger(__name__)

T = TypeVar("T")
Parameters = Mapping[str, object]


class Connections:
    """What the groups of operations share. Writing sees all earlier operations; reading sees all answered ones."""

    def __init__(self, writer: Writer, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.run(work)

    async def _change(self, sql: str, parameters: Parameters) -> bool:
        """Run one changing statement as an operation; say whether it changed anything."""
        return await self._write(lambda db: db.execute(sql, parameters).rowcount > 0)

    async def _rows(self, sql: str, parameters: Parameters | None = None) -> list[sqlite3.Row]:
        try:
            return list(await self._reader.execute_fetchall(sql, parameters or {}))
        except (sqlite3.Error, ValueError) as error:
            log.error("read failed error=%s", describe(error))
            raise StoreFailed("the database could not be read") from error
