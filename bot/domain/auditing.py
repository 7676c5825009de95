"""Tells each guild's audit channel what its managers and operators did: every act once, the oldest first."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from bot.domain.errors import DeliveryFailed
from bot.domain.guild import AuditEntry
from bot.domain.guild_store import GuildStore
from bot.domain.ports import Clock

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0
# An act that a closed channel did not take for so long is told no more; the audit itself keeps it.
GIVEN_UP_AFTER = timedelta(days=1)
_AT_ONCE = 50
_AGAIN_S = (15.0, 60.0, 300.0, 900.0, 3_600.0)


class AuditMessenger(Protocol):
    """Where acts are told."""

    async def tell(self, entry: AuditEntry, *, channel_id: int) -> None:
        """Post it. A message about the same act that is there already is not repeated.

        Raises:
            DeliveryFailed: permanent where the channel is gone or closed to the bot.
        """


@dataclass(frozen=True, slots=True)
class _Rest:
    """A guild's channel did not take an act; until then it is left alone."""

    channel_id: int
    failures: int
    until_s: float


class AuditTeller:
    """Looks for untold acts. What was told is in the database, so that a restart repeats nothing."""

    def __init__(self, *, store: GuildStore, messenger: AuditMessenger, clock: Clock) -> None:
        self._store = store
        self._messenger = messenger
        self._clock = clock
        self._alarm = asyncio.Event()
        self._rests: dict[int, _Rest] = {}

    def wake(self) -> None:
        """Somebody did something: look now."""
        self._alarm.set()

    async def run(self) -> None:
        """Look now, when woken, and every 15 seconds, until cancelled."""
        while True:
            self._alarm.clear()
            try:
                await self.look()
            except Exception:
                # Whatever breaks here, jobs go on, and the next look is another chance.
                log.exception("acts could not be told; trying again")
            await self._clock.wait(self._alarm, LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell what was not told yet. A guild whose channel fails keeps no other guild waiting."""
        failed: dict[int, DeliveryFailed] = {}
        resting = await self._resting()
        while entries := await self._store.untold_acts(limit=_AT_ONCE, besides=resting | failed.keys()):
            for entry in entries:
                failure = failed.get(entry.guild_id) or await self._tell(entry)
                if failure is None or self._is_given_up(entry, failure):
                    await self._store.note_act_told(entry.audit_id)
                if failure is not None:
                    failed[entry.guild_id] = failure

    async def _resting(self) -> frozenset[int]:
        """Return the guilds that are left alone. A channel chosen since then is tried at once."""
        now_s = self._clock.monotonic()
        return frozenset(
            [
                guild_id
                for guild_id, rest in self._rests.items()
                if now_s < rest.until_s and rest.channel_id == await self._channel_of(guild_id)
            ]
        )

    async def _channel_of(self, guild_id: int) -> int | None:
        return (await self._store.guild(guild_id)).audit_channel_id

    async def _tell(self, entry: AuditEntry) -> DeliveryFailed | None:
        """Tell one act; return how that failed."""
        channel_id = await self._channel_of(entry.guild_id)
        if channel_id is None:
            return DeliveryFailed("the audit channel was taken away", permanent=True)
        try:
            await self._messenger.tell(entry, channel_id=channel_id)
        except DeliveryFailed as error:
            self._rest(entry, channel_id, error)
            return error
        except Exception:
            # One act that breaks the messenger would keep those of every other guild waiting for ever.
            log.exception("act cannot be told audit_id=%d", entry.audit_id)
            broken = DeliveryFailed("it breaks the messenger", permanent=True)
            self._rest(entry, channel_id, broken)
            return broken
        self._rests.pop(entry.guild_id, None)
        return None

    def _rest(self, entry: AuditEntry, channel_id: int, error: DeliveryFailed) -> None:
        before = self._rests.get(entry.guild_id)
        failures = before.failures if before is not None and before.channel_id == channel_id else 0
        delay_s = _AGAIN_S[-1] if error.permanent else _AGAIN_S[min(failures, len(_AGAIN_S) - 1)]
        self._rests[entry.guild_id] = _Rest(channel_id, failures + 1, self._clock.monotonic() + delay_s)
        log.warning(
            "act not told audit_id=%d guild_id=%d channel_id=%d permanent=%s: %s",
            entry.audit_id,
            entry.guild_id,
            channel_id,
            error.permanent,
            error,
        )

    def _is_given_up(self, entry: AuditEntry, failure: DeliveryFailed) -> bool:
        given_up = failure.permanent and self._clock.now() - entry.at >= GIVEN_UP_AFTER
        if given_up:
            log.error("act given up, its channel is closed audit_id=%d guild_id=%d", entry.audit_id, entry.guild_id)
        return given_up
