"""Reads from an interaction where it happened, and what the bot may not do there."""

import discord

from bot.domain.job import Job, MessageRef
from bot.domain.request import Place
from bot.presentation.words import message_link


def place_of(interaction: discord.Interaction) -> Place:
    guild = interaction.guild
    return Place(
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        guild_owner_id=guild.owner_id if guild is not None else None,
        missing=() if interaction.guild_id is None else _missing(interaction),
    )


def _missing(interaction: discord.Interaction) -> tuple[str, ...]:
    """Return what delivery needs and the bot lacks in this channel, in Discord's names for permissions."""
    may = interaction.app_permissions
    in_thread = isinstance(interaction.channel, discord.Thread)
    needs = {
        "View Channel": may.view_channel,
        "Send Messages in Threads" if in_thread else "Send Messages": (
            may.send_messages_in_threads if in_thread else may.send_messages
        ),
        "Embed Links": may.embed_links,
        "Attach Files": may.attach_files,
        "Read Message History": may.read_message_history,
    }
    return tuple(name for name, given in needs.items() if not given)


def link_to(client: discord.Client, message: MessageRef, job: Job) -> str:
    """Return the address of a message of the job, which may stand in its channel, a thread's parent or a direct one."""
    channel = client.get_channel(message.channel_id)
    in_guild = not job.request.private and (
        message.channel_id == job.channel_id or isinstance(channel, discord.abc.GuildChannel | discord.Thread)
    )
    return message_link(message, guild_id=job.guild_id if in_guild else None)
