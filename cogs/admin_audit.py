"""`/video-admin audit`: what managers and operators did in a server."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.guild_choices import SettingsService
from bot.presentation.audit_entries import AUDIT_ID, PER_PAGE, audit_card
from bot.presentation.card_age import opened_mark, require_fresh
from bot.presentation.layout import Layout
from cogs.answers import button_answer, private_answer
from cogs.forms import custom_id_of, number_in
from cogs.places import managed_guild_id


class AuditAdmin(commands.Cog):
    """The part of `/video-admin` that looks back. Discord's command permissions say who may use it."""

    _settings: SettingsService

    @app_commands.command(description="See what managers and operators did in this server, the newest first.")
    @app_commands.describe(member="Only what was done about this member. Default: everything.")
    async def audit(self, interaction: discord.Interaction, member: discord.User | None = None) -> None:
        async with private_answer(interaction) as answer:
            user_id = member.id if member is not None else 0
            mark = opened_mark(self._settings.now)
            await answer.show(await self._audit_page(interaction, before_id=0, user_id=user_id, mark=mark))

    @commands.Cog.listener("on_interaction")
    async def on_audit_interaction(self, interaction: discord.Interaction) -> None:
        """Turn the pages by the buttons' custom ids, also of a card shown before a restart."""
        match = AUDIT_ID.fullmatch(custom_id_of(interaction))
        if interaction.type is not discord.InteractionType.component or match is None:
            return
        async with button_answer(interaction) as answer:
            require_fresh(match["opened"], self._settings.now)
            page = {"before_id": number_in(match["before_id"]), "user_id": number_in(match["user_id"])}
            await answer.show(await self._audit_page(interaction, **page, mark=match["opened"]))

    async def _audit_page(self, interaction: discord.Interaction, *, before_id: int, user_id: int, mark: str) -> Layout:
        entries = await self._settings.audit(
            managed_guild_id(interaction), before_id=before_id or None, limit=PER_PAGE + 1, user_id=user_id or None
        )
        return audit_card(entries, before_id=before_id, user_id=user_id, mark=mark)
