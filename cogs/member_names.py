"""The names of members by their ids, asked of Discord where it has not told them."""

import asyncio
import logging
from collections.abc import Iterable

import discord

log = logging.getLogger(__name__)

# An autocomplete has three seconds; without the names it still has the ids.
_ANSWER_WITHIN_S = 1.0
# As many as Discord names in one answer (Gateway documentation, Request Guild Members).
_ASKED_MAX = 100
_KEPT_MAX = 5_000


class MemberNames:
    """Remembers the newest few thousand names. Without the members intent discord.py knows none of itself."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], str] = {}

    async def of(self, guild: discord.Guild, user_ids: Iterable[int]) -> dict[int, str]:
        """Return a name for each id; where Discord gives none, because the member left or it is slow, the id's."""
        wanted = list(dict.fromkeys(user_ids))
        asked = [user_id for user_id in wanted if (guild.id, user_id) not in self._names][:_ASKED_MAX]
        if asked:
            await self._ask(guild, asked)
        return {user_id: self._names.get((guild.id, user_id)) or f"member {user_id}" for user_id in wanted}

    async def _ask(self, guild: discord.Guild, user_ids: list[int]) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                members = await guild.query_members(user_ids=user_ids, limit=_ASKED_MAX, cache=False)
        except (discord.DiscordException, OSError, TimeoutError) as error:
            log.warning("members' names not known guild_id=%d error=%s", guild.id, type(error).__name__)
            return
        found = {member.id: member.display_name for member in members}
        # Who is not there has left: an empty name, so that nobody asks at every letter typed.
        self._names |= {(guild.id, user_id): found.get(user_id, "") for user_id in user_ids}
        for oldest in list(self._names)[: max(0, len(self._names) - _KEPT_MAX)]:
            del self._names[oldest]
