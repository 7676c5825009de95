"""Gets one message to a person exactly once: looks whether it is there, else posts it where it is not refused."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import discord

from bot.adapters.discord.answers import CallFailed
from bot.adapters.discord.own_messages import HistoryUnreadable, find_own
from bot.adapters.discord.places import Place, Places, Rung
from bot.adapters.discord.posting import NONCE_LIFE_S
from bot.domain.errors import DeliveryFailed
from bot.domain.job import Job, MessageRef
from bot.domain.ports import Clock

log = logging.getLogger(__name__)

Post = Callable[[Place], Awaitable[discord.Message]]
Wanted = Callable[[discord.Message], bool]


@dataclass(frozen=True, slots=True)
class Errand:
    """One message: the places to try, how to post it there, and how to know it when it is there already.

    `since`: it cannot have been posted before.
    """

    job: Job
    rungs: Sequence[Rung]
    post: Post
    is_wanted: Wanted
    since: datetime


class Errands:
    """Exactly once while Discord lets us read our messages; else at most once, and the log says so."""

    def __init__(self, places: Places, clock: Clock) -> None:
        self._places = places
        self._clock = clock

    async def run(self, errand: Errand, *, look_first: bool) -> MessageRef:
        """Find the message if it may be there already, else post it on the first rung that does not refuse.

        Raises:
            DeliveryFailed: not permanent where an answer was unclear; then the next call must look first.
        """
        try:
            found = await self._find(errand) if look_first else None
            return ref_of(found if found is not None else await self._climb(errand))
        except CallFailed as failed:
            raise DeliveryFailed(str(failed), permanent=False) from failed

    async def find(self, errand: Errand) -> MessageRef | None:
        """Return the message if it is there; where we may not look, it is taken for missing.

        Raises:
            DeliveryFailed: not permanent where an answer was unclear.
        """
        try:
            found = await self._find(errand)
        except CallFailed as failed:
            raise DeliveryFailed(str(failed), permanent=False) from failed
        except DeliveryFailed as failed:
            if not failed.permanent:
                raise
            log.warning("message not looked for job_id=%s: %s", errand.job.job_id, failed)
            return None
        return ref_of(found) if found is not None else None

    async def _climb(self, errand: Errand) -> discord.Message:
        for rung in errand.rungs:
            try:
                place = await rung(errand.job)
                if place is not None:
                    return await errand.post(place)
            except CallFailed as failed:
                if not failed.refused:
                    raise
                log.info("place refused job_id=%s rung=%s reason=%s", errand.job.job_id, rung.__name__, failed)
        raise DeliveryFailed("every place refused", permanent=True)

    async def _find(self, errand: Errand) -> discord.Message | None:
        """Look on every rung: an earlier try may have climbed further than this one would."""
        await self._places.permissions_known()
        for rung in errand.rungs:
            try:
                place = await rung(errand.job)
                if place is None:
                    continue
                found = await find_own(place, since=errand.since, is_wanted=errand.is_wanted)
            except CallFailed as failed:
                if not failed.refused:
                    raise
                continue
            except HistoryUnreadable as unreadable:
                self._require_fresh_nonce(errand, unreadable)
                continue
            if found is not None:
                log.info("message found again job_id=%s message_id=%s", errand.job.job_id, found.id)
                return found
        return None

    def _require_fresh_nonce(self, errand: Errand, unreadable: HistoryUnreadable) -> None:
        """Where we cannot look, only the nonce of the earlier try keeps a second message from appearing."""
        age_s = (self._clock.now() - errand.since).total_seconds()
        if age_s > NONCE_LIFE_S:
            log.error("message not repeated, history unreadable job_id=%s", errand.job.job_id)
            raise DeliveryFailed("our own messages cannot be read here", permanent=True) from unreadable


def ref_of(message: discord.Message) -> MessageRef:
    return MessageRef(message.channel.id, message.id)
