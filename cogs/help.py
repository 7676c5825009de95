"""`/video help`: one card with everything a person needs for the first video."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.request import Ask, Mode
from bot.domain.video_service import VideoService
from bot.presentation.private_answers import help_card
from cogs.answers import private_answer
from cogs.places import place_of


class HelpCommand(commands.Cog):
    """`/video help`."""

    _service: VideoService

    @app_commands.command(description="What it does, examples to copy, prices, and where the limits are.")
    async def help(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            ask = Ask(interaction.id, interaction.user.id, place_of(interaction), Mode.REFERENCE, "")
            offers, _ = await self._service.offers_and_auto(ask)
            await answer.show(help_card(offers))
