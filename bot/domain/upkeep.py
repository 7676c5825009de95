"""Deletes what is kept no longer: content past its retention or asked to be forgotten, and the files of both."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from bot.domain.guild_store import GuildStore
from bot.domain.ports import Clock, Library
from bot.domain.store import Store

log = logging.getLogger(__name__)

_EVERY_S = 3_600.0
# A forgotten job that was running when its person asked is erased soon after its end.
_FORGOTTEN_EVERY_S = 60.0


class Upkeep:
    """Owns no jobs: it only deletes what nobody needs any more. Doing it twice does no harm."""

    def __init__(
        self, *, store: Store, guild_store: GuildStore, library: Library, retention: timedelta, clock: Clock
    ) -> None:
        """`retention` is the operator's; a guild's own counts for its jobs where it is shorter."""
        self._store = store
        self._guild_store = guild_store
        self._library = library
        self._retention = retention
        self._clock = clock
        self._alarm = asyncio.Event()
        self._erased_some = False

    def wake(self) -> None:
        """Somebody asked to be forgotten: do it now."""
        self._alarm.set()

    async def run(self) -> None:
        """Work at start, when woken, every minute for what is to be forgotten, every hour for the rest."""
        purged_at: float | None = None
        while True:
            self._alarm.clear()
            await self._tried(self.forget)
            if purged_at is None or self._clock.monotonic() - purged_at >= _EVERY_S:
                purged_at = self._clock.monotonic()
                await self._tried(self.purge)
            await self._clock.wait(self._alarm, _FORGOTTEN_EVERY_S)

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            # Whatever breaks here, jobs go on, and the next time is another chance.
            log.exception("content not deleted; trying again later")

    async def forget(self) -> None:
        """Erase what is due to be erased, then delete its files; a crash in between leaves their names on a list."""
        now = self._clock.now()
        own = {guild_id: timedelta(days=days) for guild_id, days in (await self._guild_store.every_retention()).items()}
        guilds = {guild_id: now - retention for guild_id, retention in own.items() if retention < self._retention}
        count = await self._store.erase(before=now - self._retention, guilds=guilds)
        if count:
            log.info("content of jobs erased count=%d", count)
            self._erased_some = True
        names = await self._store.unwanted_files()
        if names:
            await self._library.discard(names)
            await self._store.files_deleted(names)
            log.info("files of erased jobs deleted count=%d", len(names))

    async def purge(self) -> None:
        """Delete files past their retention that no unfinished job needs, such as those of a request never opened."""
        before = self._clock.now() - self._retention
        count = await self._library.purge(before=before, keep=await self._store.files_in_use())
        if count:
            log.info("files past their retention deleted count=%d", count)
        if self._erased_some:
            await self._store.compact()
            self._erased_some = False
