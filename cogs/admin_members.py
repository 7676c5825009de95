"""`/video-admin grant`, `block` and `words`: exceptions for members, who may not spend, what no prompt may hold."""

import logging

import discord
from discord import app_commands

from bot.domain.errors import StoreFailed
from bot.domain.guild import REASON_MAX
from bot.domain.managing import GRANT_DEFAULT, WORD_CHARACTERS_MAX
from bot.domain.money import amount_from_text
from bot.domain.quota import Spender
from bot.presentation.admin import (
    blocked_text,
    granted_text,
    unblocked_text,
    word_added_text,
    word_removed_text,
    words_found_text,
)
from bot.presentation.admin_lists import List
from bot.presentation.markdown import label
from cogs.admin_lists import ListAdmin
from cogs.answers import private_answer
from cogs.options import CHOICES_MAX
from cogs.places import managed_guild_id

log = logging.getLogger(__name__)

Person = discord.Member | discord.User
Reason = app_commands.Range[str, 1, REASON_MAX]
Word = app_commands.Range[str, 1, WORD_CHARACTERS_MAX]
Time = app_commands.Range[str, 1, 20]

_TIME = "12h, 7d, 2w or the last day, such as 2026-12-31."


class MemberAdmin(ListAdmin):
    """The part of `/video-admin` that is about members and words. Discord's command permissions say who may use it."""

    words = app_commands.Group(name="words", description="The words and patterns that no prompt may hold here.")

    @app_commands.command(description="Let a member spend more than their limits on this server, once.")
    @app_commands.describe(
        member="Who. Required.",
        amount="How much in dollars, such as 5 or 0.50. Required.",
        reason="Why; the member sees it in `/video quota`. Required.",
        expires=f"{_TIME} Default: {GRANT_DEFAULT}.",
    )
    async def grant(
        self,
        interaction: discord.Interaction,
        member: Person,
        amount: str,
        reason: Reason,
        expires: Time = GRANT_DEFAULT,
    ) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            granted = await self._managers.grant(
                _spender(member, guild_id),
                guild_id=guild_id,
                amount_microusd=amount_from_text(amount),
                expires=expires,
                reason=reason,
                actor_id=actor_id,
            )
            await answer.say(granted_text(granted))

    @app_commands.command(description="See the open grants of this server, and end one.")
    async def grants(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(await self.first_page(interaction, List.GRANTS))

    @app_commands.command(description="Let a member make no more videos on this server.")
    @app_commands.describe(
        member="Who. Required.",
        reason="Why; managers see it, and the member in the export of their own data. Required.",
        until=f"{_TIME} Default: until unblocked.",
    )
    async def block(
        self, interaction: discord.Interaction, member: Person, reason: Reason, until: Time | None = None
    ) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            block = await self._managers.block(
                member.id, until=until, reason=reason, guild_id=guild_id, actor_id=actor_id
            )
            await answer.say(blocked_text(block))

    @app_commands.command(description="Let a blocked member make videos again.")
    @app_commands.describe(member="Who. Required.")
    async def unblock(self, interaction: discord.Interaction, member: Person) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            await self._managers.unblock(member.id, guild_id=guild_id, actor_id=actor_id)
            await answer.say(unblocked_text(member.id))

    @app_commands.command(description="See who is blocked on this server.")
    async def blocks(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(await self.first_page(interaction, List.BLOCKS))

    @words.command(name="add", description="Refuse prompts that hold a word or fit a pattern.")
    @app_commands.describe(
        text="The word or words, or the pattern. Required.",
        pattern="Read it as a pattern (RE2 syntax). Default: no, as a whole word.",
    )
    async def add_word(self, interaction: discord.Interaction, text: Word, pattern: bool = False) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            word = await self._managers.add_word(text, is_pattern=pattern, guild_id=guild_id, actor_id=actor_id)
            await answer.say(word_added_text(word, is_pattern=pattern))

    @words.command(name="remove", description="Allow a word or pattern again.")
    @app_commands.describe(text="Which one; the list shows them. Required.")
    async def remove_word(self, interaction: discord.Interaction, text: Word) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            removed = await self._managers.remove_word(text, guild_id=guild_id, actor_id=actor_id)
            await answer.say(word_removed_text(removed))

    @words.command(name="show", description="See the blocklist; members never do.")
    async def show_words(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(await self.first_page(interaction, List.WORDS))

    @words.command(name="test", description="See which word or pattern would refuse a prompt; nothing is made.")
    @app_commands.describe(text="The prompt. Required.")
    async def test_words(self, interaction: discord.Interaction, text: app_commands.Range[str, 1, 6000]) -> None:
        async with private_answer(interaction) as answer:
            found = await self._managers.words_in(text, guild_id=managed_guild_id(interaction))
            await answer.say(words_found_text(found))

    @remove_word.autocomplete("text")
    async def _words_there(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        if interaction.guild_id is None:
            return []
        try:
            words = await self._managers.words(interaction.guild_id)
        except StoreFailed:
            log.exception("words not listed guild_id=%s", interaction.guild_id)
            return []
        wanted = typed.strip().casefold()
        return [
            app_commands.Choice(name=label(word.text, characters_max=WORD_CHARACTERS_MAX), value=word.text)
            for word in words
            if wanted in word.text.casefold()
        ][:CHOICES_MAX]


def _spender(member: Person, guild_id: int) -> Spender:
    roles = frozenset(role.id for role in member.roles) if isinstance(member, discord.Member) else frozenset()
    return Spender(member.id, guild_id, role_ids=roles)
