"""Reads from an interaction where it happened, and what the bot may not do there."""

import discord

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.job import Job, MessageRef
from bot.domain.quota import Spender
from bot.domain.request import Place
from bot.presentation.words import message_link

_WRITING = frozenset({"View Channel", "Send Messages", "Send Messages in Threads"})


def place_of(interaction: discord.Interaction) -> Place:
    guild, channel, user = interaction.guild, interaction.channel, interaction.user
    return Place(
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        guild_owner_id=guild.owner_id if guild is not None else None,
        missing=() if interaction.guild_id is None else _missing_at(interaction),
        parent_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
        role_ids=_role_ids(user),
    )


def _role_ids(user: discord.User | discord.Member) -> frozenset[int]:
    """Return the roles that Discord sent with the interaction.

    `Member.roles` leaves out those of a guild that the library does not know yet, right after a start or during an
    outage, and with them the rules for them.
    """
    return frozenset(user._roles) if isinstance(user, discord.Member) else frozenset()


def spender_at(interaction: discord.Interaction) -> Spender:
    """Return who would spend, where the command was given."""
    place = place_of(interaction)
    return Spender(interaction.user.id, place.guild_id, place.parent_id or place.channel_id, place.role_ids)


def managed_guild_id(interaction: discord.Interaction) -> int:
    """Return the guild that a manager's command was given in.

    Raises:
        ChangeRejected: NO_GUILD, it was a direct message.
    """
    if interaction.guild_id is None:
        raise ChangeRejected(ChangeProblem.NO_GUILD)
    return interaction.guild_id


def _missing_at(interaction: discord.Interaction) -> tuple[str, ...]:
    in_thread = isinstance(interaction.channel, discord.Thread)
    return missing_permissions(interaction.app_permissions, in_thread=in_thread)


def missing_permissions(may: discord.Permissions, *, in_thread: bool) -> tuple[str, ...]:
    """Return what delivery needs and the bot lacks where it has these, in Discord's names for permissions."""
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


def missing_to_write(may: discord.Permissions, *, in_thread: bool) -> tuple[str, ...]:
    """Return what a message of words needs and the bot lacks."""
    return tuple(name for name in missing_permissions(may, in_thread=in_thread) if name in _WRITING)


def link_to(client: discord.Client, message: MessageRef, job: Job) -> str:
    """Return the address of a message of the job, which may stand in its channel, a thread's parent or a direct one."""
    channel = client.get_channel(message.channel_id)
    in_guild = not job.request.private and (
        message.channel_id == job.channel_id or isinstance(channel, discord.abc.GuildChannel | discord.Thread)
    )
    return message_link(message, guild_id=job.guild_id if in_guild else None)
