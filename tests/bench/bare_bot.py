"""The yardstick: a bare discord.py bot whose one command defers and does nothing else."""

import asyncio
import os
import signal

import discord
from discord import app_commands
from discord.ext import commands

group = app_commands.Group(name="video", description="Make videos.")


@group.command(description="Make a video from words alone.")
async def text(interaction: discord.Interaction, prompt: str) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)


async def main() -> None:
    discord.http.Route.BASE = os.environ["DISCORD_API_URL"]
    bot = commands.AutoShardedBot(
        command_prefix=commands.when_mentioned, intents=discord.Intents(guilds=True), max_messages=None
    )
    bot.tree.add_command(group)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with bot:
        await bot.login(os.environ["DISCORD_TOKEN"])
        await bot.tree.sync()
        connection = asyncio.create_task(bot.connect())
        await stop.wait()
        await bot.close()
        await connection


if __name__ == "__main__":
    asyncio.run(main())
