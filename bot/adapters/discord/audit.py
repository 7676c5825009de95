"""Tells acts in a guild's audit channel, each once."""

import logging

import discord

from bot.adapters.discord.answers import CallFailed
from bot.adapters.discord.own_messages import HistoryUnreadable, find_own, words
from bot.adapters.discord.places import Place, Places
from bot.adapters.discord.posting import Posting
from bot.domain.errors import DeliveryFailed
from bot.domain.guild import AuditEntry
from bot.presentation.audit_entries import act_mark, told_card

log = logging.getLogger(__name__)


class AuditChannels:
    """Implements AuditMessenger by the bot token."""

    def __init__(self, *, places: Places, posting: Posting) -> None:
        self._places = places
        self._posting = posting

    async def tell(self, entry: AuditEntry, *, channel_id: int) -> None:
        try:
            await self._places.permissions_known()
            place = self._places.guild_place(channel_id, entry.guild_id)
            if await self._is_there(place, entry):
                log.info("act found again audit_id=%d channel_id=%d", entry.audit_id, channel_id)
                return
            await self._posting.send(place, told_card(entry), nonce=f"a{entry.audit_id}")
        except CallFailed as failed:
            raise DeliveryFailed(f"audit channel: {failed}", permanent=failed.refused) from failed

    async def _is_there(self, place: Place, entry: AuditEntry) -> bool:
        mark = f"\n{act_mark(entry)}"

        def is_wanted(message: discord.Message) -> bool:
            return any(text.endswith(mark) for text in words(message))

        try:
            return await find_own(place, since=entry.at, is_wanted=is_wanted) is not None
        except HistoryUnreadable:
            # What was told is in the database too; to read something twice is better than never.
            log.info("own messages not readable, telling anyway channel_id=%d", place.channel_id)
            return False
