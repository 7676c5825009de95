"""The names that a report's picture shows for members, channels and servers, as far as Discord tells them in time."""

import asyncio
import logging
from collections.abc import Sequence

import discord

from bot.domain.reports import Report
from bot.presentation.report_chart import Names, shown_subjects

log = logging.getLogger(__name__)

# A report with ids in the place of names is worth more than one that never comes.
_ANSWER_WITHIN_S = 2.0
_FAILURES = (discord.DiscordException, OSError, TimeoutError)


async def names_of(report: Report, client: discord.Client, guild: discord.Guild | None) -> Names:
    """Return the names by id, the best first; without the members intent discord.py must ask for those of people."""
    member_ids, channel_ids = shown_subjects(report)
    people: Sequence[discord.Member | discord.User] = ()
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            people = await (_members(guild, member_ids) if guild is not None else _users(client, member_ids))
    except _FAILURES as error:
        log.warning("names not known for a report error=%s", type(error).__name__)
    names: dict[int, Sequence[str]] = {person.id: (person.display_name, person.name) for person in people}
    if guild is None:
        return names | {found.id: (found.name,) for found in client.guilds}
    channels = (guild.get_channel_or_thread(channel_id) for channel_id in channel_ids)
    return names | {channel.id: (f"#{channel.name}",) for channel in channels if channel is not None}


async def _members(guild: discord.Guild, member_ids: list[int]) -> list[discord.Member]:
    return await guild.query_members(user_ids=member_ids, limit=len(member_ids), cache=False) if member_ids else []


async def _users(client: discord.Client, user_ids: list[int]) -> list[discord.User]:
    found = await asyncio.gather(*(client.fetch_user(user_id) for user_id in user_ids), return_exceptions=True)
    return [user for user in found if isinstance(user, discord.User)]
