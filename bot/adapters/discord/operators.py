"""Tells operators, each notice once: in their channel, else in each one's direct messages."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import discord

from bot.adapters.discord.answers import CallFailed
from bot.adapters.discord.own_messages import HistoryUnreadable, find_own, words
from bot.adapters.discord.places import Place, Places
from bot.adapters.discord.posting import Posting
from bot.domain.errors import DeliveryFailed
from bot.domain.notices import RECURRING, Notice
from bot.domain.ports import Clock
from bot.presentation.notices import mark, mark_line, notice_card

log = logging.getLogger(__name__)

# The key of a loss is its month; that of an overbilled row lives as long as its price.
_TOLD_EVER = timedelta(days=31)


class OperatorMessenger:
    """Implements Operators by the bot token. `channel_id` None: there are only direct messages."""

    def __init__(
        self,
        *,
        places: Places,
        posting: Posting,
        operator_ids: Callable[[], frozenset[int]],
        channel_id: int | None,
        clock: Clock,
    ) -> None:
        self._places = places
        self._posting = posting
        self._operator_ids = operator_ids
        self._channel_id = channel_id
        self._clock = clock

    async def tell(self, notice: Notice) -> None:
        try:
            await self._places.permissions_known()
            if await self._tell_channel(notice):
                return
        except CallFailed as failed:
            raise DeliveryFailed(f"operators' channel: {failed}", permanent=False) from failed
        await self._tell_each(notice)

    async def _tell_channel(self, notice: Notice) -> bool:
        """Say whether the channel has the notice now; False where there is none, or it is gone or closed to the bot.

        Raises:
            CallFailed: unclear.
        """
        if self._channel_id is None:
            return False
        place = self._places.guild_place(self._channel_id, self._places.guild_of(self._channel_id))
        try:
            await self._tell_there(place, notice)
        except CallFailed as failed:
            if not failed.refused:
                raise
            log.error("operators' channel refused, telling them directly channel_id=%s %s", self._channel_id, failed)
            return False
        return True

    async def _tell_each(self, notice: Notice) -> None:
        """Tell every operator; that one of them has closed direct messages is no failure while another is told."""
        told, unclear = 0, 0
        for user_id in sorted(self._operator_ids()):
            try:
                await self._tell_there(await self._places.direct_to(user_id), notice)
                told += 1
            except CallFailed as failed:
                unclear += not failed.refused
                log.warning("operator not told user_id=%s %s", user_id, failed)
        if unclear or not told:
            raise DeliveryFailed(f"{told} operators told, {unclear} unclear", permanent=not unclear)

    async def _tell_there(self, place: Place, notice: Notice) -> None:
        if await self._is_there(place, notice):
            log.info("notice found again channel_id=%s", place.channel_id)
            return
        again = f" {notice.since}" if notice.kind in RECURRING else ""
        await self._posting.send(place, notice_card(notice), nonce=f"n{mark(notice.key + again)}")

    async def _is_there(self, place: Place, notice: Notice) -> bool:
        line = mark_line(notice.key)

        def is_wanted(message: discord.Message) -> bool:
            return any(text.endswith(line) for text in words(message))

        try:
            return await find_own(place, since=self._since(notice), is_wanted=is_wanted) is not None
        except HistoryUnreadable:
            # What was told is in the database too; to hear something twice is better than never.
            log.warning("own messages not readable, telling anyway channel_id=%s", place.channel_id)
            return False

    def _since(self, notice: Notice) -> datetime:
        """Return when the notice can have been told first."""
        if notice.job is not None:
            return notice.job.created_at
        if notice.kind in RECURRING and notice.since is not None:
            # An older message under the same key was about another time.
            return notice.since
        return self._clock.now() - _TOLD_EVER
