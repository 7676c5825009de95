"""`/video-admin doctor`: what the bot may do in the server's channels, and what of its settings cannot work."""

from collections.abc import Iterator

import discord
from discord import app_commands
from discord.abc import GuildChannel
from discord.ext import commands

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild_doctor import Diagnosis, GuildDoctor
from bot.domain.request import Ask, Mode
from bot.presentation.guild_doctor import ChannelFacts, ServerFacts, doctor_card
from cogs.answers import private_answer
from cogs.gone import is_deleted
from cogs.places import managed_guild_id, missing_permissions, missing_to_write, place_of


class DoctorAdmin(commands.Cog):
    """The part of `/video-admin` that looks for what does not work."""

    _doctor: GuildDoctor

    @app_commands.command(description="Look for what does not work here: permissions, settings, rules, gateways.")
    async def doctor(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            guild_id, guild = managed_guild_id(interaction), interaction.guild
            if guild is None:
                raise ChangeRejected(ChangeProblem.NO_GUILD)
            # Every gateway makes videos from references, so that none is missing.
            ask = Ask(interaction.id, interaction.user.id, place_of(interaction), Mode.REFERENCE, "")
            diagnosis = await self._doctor.look(guild_id, ask)
            await answer.show(doctor_card(diagnosis, _server_facts(guild, diagnosis)))


def _server_facts(guild: discord.Guild, diagnosis: Diagnosis) -> ServerFacts:
    settings = diagnosis.settings
    known = [channel for channel in guild.channels if not isinstance(channel, discord.CategoryChannel)]
    asked = [channel for channel in known if channel.id in settings.channel_ids] if settings.channel_ids else known
    seen = asked if settings.channel_ids else [each for each in asked if _may(each).view_channel]
    audit = guild.get_channel_or_thread(settings.audit_channel_id) if settings.audit_channel_id is not None else None
    return ServerFacts(
        channels=tuple(ChannelFacts(channel.id, tuple(_missing(channel))) for channel in seen),
        hidden=len(asked) - len(seen),
        gone_channel_ids=tuple(sorted(settings.channel_ids - {channel.id for channel in known})),
        gone_role_ids=tuple(sorted(role_id for role_id in settings.role_ids if guild.get_role(role_id) is None)),
        gone_rules=tuple(rule for rule in diagnosis.rules if is_deleted(guild, rule)),
        audit_missing=_audit_missing(audit),
    )


def _may(channel: GuildChannel) -> discord.Permissions:
    """Return what the bot is given in a channel, not yet less what Discord takes away with something else."""
    return GuildChannel.permissions_for(channel, channel.guild.me)


def _missing(channel: GuildChannel) -> Iterator[str]:
    """Yield what the bot lacks where `/video` can be given: in the channel itself, and in threads where it has some."""
    may = _may(channel)
    holds_threads_alone = isinstance(channel, discord.ForumChannel)
    lacks = [] if holds_threads_alone else [*missing_permissions(may, in_thread=False)]
    if holds_threads_alone or any(thread.parent_id == channel.id for thread in channel.guild.threads):
        lacks += [name for name in missing_permissions(may, in_thread=True) if name not in lacks]
    yield from lacks


def _audit_missing(channel: GuildChannel | discord.Thread | None) -> tuple[str, ...] | None:
    if isinstance(channel, discord.Thread):
        parent = channel.parent
        return missing_to_write(_may(parent), in_thread=True) if parent is not None else ()
    return missing_to_write(_may(channel), in_thread=False) if channel is not None else None
