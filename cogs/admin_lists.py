"""The lists of `/video-admin` and their buttons: pages of rules, grants, blocks and words, and what is ended there."""

import logging
import re

import discord
from discord.ext import commands

from bot.domain.clashes import ceilings
from bot.domain.managing import ManagerService
from bot.domain.rules import Rule, Scope
from bot.presentation.admin import grant_ended_text, unblocked_text
from bot.presentation.admin_lists import List, blocks_card, grants_card, page_of, rules_card, words_card
from bot.presentation.card_age import opened_mark, require_fresh
from bot.presentation.layout import Layout
from cogs.answers import button_answer
from cogs.forms import number_in
from cogs.gone import is_deleted
from cogs.places import managed_guild_id

log = logging.getLogger(__name__)


class ListAdmin(commands.Cog):
    """What the commands about rules, members and words share. Discord's command permissions say who may use it."""

    _managers: ManagerService

    async def first_page(self, interaction: discord.Interaction, which: List) -> Layout:
        return await self._page(interaction, which, 0, opened_mark(self._managers.now))

    async def press(self, interaction: discord.Interaction, match: re.Match[str]) -> None:
        """Show a page of a list in the place of what the message shows, or end what a button stands beside first."""
        async with button_answer(interaction) as answer:
            which, page, opened = List(match["list"]), int(match["page"]), match["opened"]
            require_fresh(opened, self._managers.now)
            note = await self._end(interaction, which, number_in(match["ends"])) if match["ends"] else ""
            await answer.show(await self._page(interaction, which, page, opened, note))

    async def _end(self, interaction: discord.Interaction, which: List, ended_id: int) -> str:
        """End a grant, or the block of a member; return what became of it."""
        guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
        if which is List.GRANTS:
            return grant_ended_text(await self._managers.end_grant(ended_id, guild_id=guild_id, actor_id=actor_id))
        await self._managers.unblock(ended_id, guild_id=guild_id, actor_id=actor_id)
        return unblocked_text(ended_id)

    async def _page(
        self, interaction: discord.Interaction, which: List, page: int, opened: str, note: str = ""
    ) -> Layout:
        guild_id = managed_guild_id(interaction)
        match which:
            case List.RULES:
                return await self._rules(interaction, page, opened)
            case List.GRANTS:
                return grants_card(await self._managers.grants(guild_id), page=page, opened=opened, note=note)
            case List.BLOCKS:
                return blocks_card(await self._managers.blocks(guild_id), page=page, opened=opened, note=note)
            case List.WORDS:
                return words_card(await self._managers.words(guild_id), page=page, opened=opened)

    async def _rules(self, interaction: discord.Interaction, page: int, opened: str) -> Layout:
        views = await self._managers.rules(managed_guild_id(interaction))
        gone = {
            (view.rule.scope, view.rule.subject_id)
            for view in page_of(views, page)
            if await _is_gone(interaction.guild, view.rule)
        }
        above = ceilings(self._managers.limits, personal=True)
        return rules_card(views, page=page, opened=opened, ceilings=above, gone=gone)


async def _is_gone(guild: discord.Guild | None, rule: Rule) -> bool:
    """Say whether the server certainly has the rule's subject no more. Only for a member Discord is asked."""
    if guild is None:
        return False
    return not await _is_member(guild, rule.subject_id) if rule.scope is Scope.MEMBER else is_deleted(guild, rule)


async def _is_member(guild: discord.Guild, user_id: int) -> bool:
    # Without the intent for members the cache is no proof that somebody left.
    if guild.get_member(user_id) is not None:
        return True
    try:
        await guild.fetch_member(user_id)
    except discord.NotFound:
        return False
    except (discord.HTTPException, OSError) as error:
        log.warning("member not looked up user_id=%s error=%s", user_id, type(error).__name__)
    return True
