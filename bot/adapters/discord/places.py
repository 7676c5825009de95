"""Knows where a job's messages may go: the command's place, a thread's channel, the requester's direct messages."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import discord
from discord.ext import commands

from bot.adapters.discord.answers import CallFailed, sorted_failures
from bot.domain.job import Job, MessageRef
from bot.presentation.words import message_link

log = logging.getLogger(__name__)

Rung = Callable[[Job], Awaitable["Place | None"]]

_GUILD_TEXT: Final = frozenset({discord.ChannelType.text, discord.ChannelType.news})


@dataclass(frozen=True, slots=True)
class Place:
    """A channel to post into. `guild_id` is None for direct messages.

    `history_readable` is None where the bot does not know whether it has the permission.
    """

    channel: discord.abc.Messageable
    channel_id: int
    guild_id: int | None
    own_user_id: int
    history_readable: bool | None = True


class Places:
    """Finds places by id. Posting needs no cached channel; facts about a thread are asked for when they matter."""

    def __init__(self, bot: commands.AutoShardedBot) -> None:
        self._bot = bot

    def card_rung(self, job: Job) -> Rung:
        """Return the one place for the job's card."""
        return self.direct if _is_direct(job) else self.commanded

    def video_rungs(self, job: Job) -> tuple[Rung, ...]:
        """Return the places for the job's video, in the order in which they are tried."""
        return (self.direct,) if _is_direct(job) else (self.commanded, self.parent, self.direct)

    async def permissions_known(self) -> None:
        """Wait until the gateway has told what there is, as after a start.

        Raises:
            CallFailed: it has not within the time limit.
        """
        async with sorted_failures():
            await self._bot.wait_until_ready()

    async def commanded(self, job: Job) -> Place | None:
        """Return the channel or thread of the command."""
        return self.guild_place(job.channel_id, job.guild_id)

    async def parent(self, job: Job) -> Place | None:
        """Return the channel of the job's thread, None where it is no thread or its audience must not grow.

        Raises:
            CallFailed: the thread's facts could not be had.
        """
        thread = await self._channel(job.channel_id)
        if not isinstance(thread, discord.Thread) or thread.is_private():
            return None
        parent = await self._channel(thread.parent_id)
        # A thread is age-restricted exactly when its channel is.
        if not isinstance(parent, discord.TextChannel) or parent.type not in _GUILD_TEXT or parent.is_nsfw():
            return None
        return self.guild_place(parent.id, job.guild_id)

    async def direct(self, job: Job) -> Place | None:
        """Return the requester's direct messages.

        Raises:
            CallFailed: Discord did not open them.
        """
        return await self.direct_to(job.user_id)

    async def direct_to(self, user_id: int) -> Place:
        async with sorted_failures():
            channel = await self._bot.create_dm(discord.Object(user_id))
        return Place(channel, channel.id, None, self._own_user_id)

    def guild_place(self, channel_id: int, guild_id: int | None) -> Place:
        channel = self._bot.get_partial_messageable(channel_id, guild_id=guild_id)
        permissions = self._permissions(channel_id, guild_id)
        readable = permissions.read_message_history if permissions is not None else None
        return Place(channel, channel_id, guild_id, self._own_user_id, readable)

    def as_it_is_now(self, place: Place) -> Place:
        """Return a place with what the bot may do there now."""
        return place if place.guild_id is None else self.guild_place(place.channel_id, place.guild_id)

    def message(self, ref: MessageRef) -> discord.PartialMessage:
        return self._bot.get_partial_messageable(ref.channel_id).get_partial_message(ref.message_id)

    def guild(self, guild_id: int | None) -> discord.Guild | None:
        return self._bot.get_guild(guild_id) if guild_id is not None else None

    def guild_of(self, channel_id: int) -> int | None:
        """Return the guild of a channel, None where it is not known."""
        channel = self._bot.get_channel(channel_id)
        guild = getattr(channel, "guild", None)
        return guild.id if guild is not None else None

    def link(self, ref: MessageRef, job: Job) -> str:
        """Return the address that opens a message of the job in Discord."""
        in_guild = ref.channel_id == job.channel_id or self.guild_of(ref.channel_id) is not None
        guild_id = job.guild_id if in_guild and not _is_direct(job) else None
        return message_link(ref, guild_id=guild_id)

    async def may_post(self, job: Job) -> bool:
        """Say whether the place of the command is there for us; what cannot be known now counts as yes."""
        if _is_direct(job):
            return True
        try:
            if self.guild(job.guild_id) is None:
                await self.permissions_known()
            if self.guild(job.guild_id) is None:
                return False
            permissions = self._permissions(job.channel_id, job.guild_id)
            if permissions is None:
                # Discord tells of no place that was deleted before a start, and of no archived thread: it is asked.
                await self._channel(job.channel_id)
                return True
        except CallFailed as failed:
            log.info("place not known job_id=%s reason=%s", job.job_id, failed)
            return not failed.refused
        thread = isinstance(self._bot.get_channel(job.channel_id), discord.Thread)
        may_send = permissions.send_messages_in_threads if thread else permissions.send_messages
        return permissions.view_channel and permissions.attach_files and may_send

    def _permissions(self, channel_id: int, guild_id: int | None) -> discord.Permissions | None:
        guild = self.guild(guild_id)
        channel = guild.get_channel_or_thread(channel_id) if guild is not None else None
        if guild is None or guild.me is None or channel is None:
            return None
        if isinstance(channel, discord.Thread) and channel.parent is None:
            return None
        return channel.permissions_for(guild.me)

    async def _channel(self, channel_id: int) -> object:
        known = self._bot.get_channel(channel_id)
        if known is not None:
            return known
        async with sorted_failures():
            return await self._bot.fetch_channel(channel_id)

    @property
    def _own_user_id(self) -> int:
        return self._bot.user.id if self._bot.user is not None else 0


def _is_direct(job: Job) -> bool:
    return job.request.private or job.guild_id is None
