"""`/video quota`: what somebody may still spend."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.video_service import VideoService
from bot.presentation.private_answers import quota_card
from cogs.answers import private_answer


class QuotaCommand(commands.Cog):
    """`/video quota`."""

    _service: VideoService

    @app_commands.command(description="See what you have left, and until when.")
    async def quota(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            standings = await self._service.quota(interaction.user.id, guild_id=interaction.guild_id)
            await answer.show(quota_card(standings))
