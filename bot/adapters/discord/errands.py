"""Gets one message to a person exactly once: looks whether it is there, else posts it where it is not refused."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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

    `nonce` names it. `since`: it cannot have been posted before. `may_repeat`: twice is better than never, where it
    cannot be known whether it is there.
    """

    job: Job
    nonce: str
    rungs: Sequence[Rung]
    post: Post
    is_wanted: Wanted
    since: datetime
    may_repeat: bool = False


class Errands:
    """Exactly once while Discord lets us read our messages; else at most once, and the log says so."""

    def __init__(self, places: Places, clock: Clock) -> None:
        self._places = places
        self._clock = clock
        # By nonce, for messages never posted before this process: the places that have not surely refused them.
        self._maybe_in: dict[str, dict[int, Place]] = {}

    async def run(self, errand: Errand, *, look_first: bool) -> MessageRef:
        """Find the message if it may be there already, else post it on the first rung that does not refuse.

        Raises:
            DeliveryFailed: not permanent where an answer was unclear; then the next call must look first.
        """
        try:
            message = await (self._find_or_post(errand) if look_first else self._post_first(errand))
        except CallFailed as failed:
            raise DeliveryFailed(str(failed), permanent=False) from failed
        except DeliveryFailed:
            self._maybe_in.pop(errand.nonce, None)
            raise
        self._maybe_in.pop(errand.nonce, None)
        return ref_of(message)

    async def find(self, errand: Errand) -> MessageRef | None:
        """Return the message if it is there; where we may not look, it is taken for missing.

        Raises:
            DeliveryFailed: not permanent where an answer was unclear.
        """
        try:
            found, _ = await self._look(errand)
        except CallFailed as failed:
            raise DeliveryFailed(str(failed), permanent=False) from failed
        except DeliveryFailed as failed:
            log.warning("message not looked for job_id=%s: %s", errand.job.job_id, failed)
            return None
        return ref_of(found) if found is not None else None

    async def _post_first(self, errand: Errand) -> discord.Message:
        self._maybe_in[errand.nonce] = {}
        return await self._climb(errand)

    async def _find_or_post(self, errand: Errand) -> discord.Message:
        found, unreadable = await self._look(errand)
        if found is not None:
            return found
        if unreadable is None:
            return await self._climb(errand)
        # The nonce keeps a second message away in this place, and in no other.
        try:
            return await self._post(errand, unreadable)
        except CallFailed as failed:
            if not failed.refused:
                raise
            raise _not_repeated(errand) from failed

    async def _climb(self, errand: Errand) -> discord.Message:
        for rung in errand.rungs:
            try:
                place = await rung(errand.job)
                if place is not None:
                    return await self._post(errand, place)
            except CallFailed as failed:
                if not failed.refused:
                    raise
                log.info("place refused job_id=%s rung=%s reason=%s", errand.job.job_id, rung.__name__, failed)
        raise DeliveryFailed("every place refused", permanent=True)

    async def _post(self, errand: Errand, place: Place) -> discord.Message:
        maybe_in = self._maybe_in.get(errand.nonce, {})
        maybe_in[place.channel_id] = place
        try:
            return await errand.post(place)
        except CallFailed as failed:
            if failed.refused:
                del maybe_in[place.channel_id]
            raise

    async def _look(self, errand: Errand) -> tuple[discord.Message | None, Place | None]:
        """Look wherever it may be; return the message, or the first place that it may be in and we cannot read."""
        await self._places.permissions_known()
        unreadable = None
        async for place in self._suspected(errand):
            try:
                found = await find_own(place, since=errand.since, is_wanted=errand.is_wanted)
            except HistoryUnreadable as error:
                if errand.may_repeat:
                    continue
                if (self._clock.now() - errand.since).total_seconds() > NONCE_LIFE_S:
                    raise _not_repeated(errand) from error
                unreadable = unreadable or place
                continue
            if found is not None:
                log.info("message found again job_id=%s message_id=%s", errand.job.job_id, found.id)
                return found, None
        return None, unreadable

    async def _suspected(self, errand: Errand) -> AsyncIterator[Place]:
        """Yield the places it may be in: where this process sent it, or every one, should an earlier process have."""
        if errand.nonce in self._maybe_in:
            for place in list(self._maybe_in[errand.nonce].values()):
                yield self._places.as_it_is_now(place)
            return
        for rung in errand.rungs:
            try:
                place_there = await rung(errand.job)
            except CallFailed as failed:
                if not failed.refused:
                    raise
                continue
            if place_there is not None:
                yield place_there


def _not_repeated(errand: Errand) -> DeliveryFailed:
    log.error("message not repeated, history unreadable job_id=%s", errand.job.job_id)
    return DeliveryFailed("our own messages cannot be read here", permanent=True)


def ref_of(message: discord.Message) -> MessageRef:
    return MessageRef(message.channel.id, message.id)
