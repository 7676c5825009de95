"""Says which channels and roles that settings and rules name a server has, and which it has no more."""

from collections.abc import Iterable

import discord

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import GuildField, GuildSettings
from bot.domain.rules import Rule, Scope

_NAMING = (GuildField.CHANNELS, GuildField.ROLES, GuildField.AUDIT_CHANNEL)


def gone_of(guild: discord.Guild | None, settings: GuildSettings) -> frozenset[int]:
    """Return the chosen channels and roles that the guild has no more; none while the guild is not known."""
    if guild is None or guild.unavailable:
        return frozenset()
    return frozenset(each for field in _NAMING for each in _named(settings, field) if not _has(guild, field, each))


def is_deleted(guild: discord.Guild, rule: Rule) -> bool:
    """Say whether the guild certainly has the rule's role or channel no more."""
    if guild.unavailable:
        return False
    if rule.scope is Scope.ROLE:
        return guild.get_role(rule.subject_id) is None
    return rule.scope is Scope.CHANNEL and guild.get_channel(rule.subject_id) is None


def require_here(
    guild: discord.Guild | None, field: GuildField, values: Iterable[str], settings: GuildSettings
) -> None:
    """Refuse a channel or role that neither the guild has, as far as it is known, nor the setting names already.

    Other settings, and what is no id at all, are left to the service.

    Raises:
        ChangeRejected: NOT_HERE.
    """
    for value in values if field in _NAMING else ():
        if not value.isascii() or not value.isdecimal() or int(value) in _named(settings, field):
            continue
        if guild is None or not _has(guild, field, int(value)):
            raise ChangeRejected(ChangeProblem.NOT_HERE, value)


def _named(settings: GuildSettings, field: GuildField) -> frozenset[int]:
    if field is GuildField.AUDIT_CHANNEL:
        return frozenset() if settings.audit_channel_id is None else frozenset({settings.audit_channel_id})
    return settings.role_ids if field is GuildField.ROLES else settings.channel_ids


def _has(guild: discord.Guild, field: GuildField, thing_id: int) -> bool:
    if field is GuildField.ROLES:
        return guild.get_role(thing_id) is not None
    return guild.get_channel_or_thread(thing_id) is not None
