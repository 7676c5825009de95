"""INTERACTION_CREATE as the JSON Discord sends."""

from collections.abc import Iterable
from typing import Any

from bot.sandbox.discord.files import StoredFile
from bot.sandbox.discord.interaction import Interaction
from bot.sandbox.discord.people import Channel, User
from bot.sandbox.discord.permissions import bot_permissions
from bot.sandbox.discord.wire import BOT_DM_CONTEXT, GUILD_CONTEXT, JSON, channel_json, member_json, user_json
from bot.sandbox.discord.wire_messages import attachment_json, message_json


def interaction_json(interaction: Interaction, data: JSON) -> JSON:
    user, channel = interaction.user, interaction.channel
    world, guild = channel.world, channel.guild
    body: JSON = {
        "id": str(interaction.id),
        "application_id": str(world.application_id),
        "type": interaction.kind,
        "token": interaction.token,
        "version": 1,
        "data": data,
        "channel_id": str(channel.id),
        "channel": seen_channel_json(channel, user),
        "app_permissions": str(bot_permissions(channel)),
        "locale": user.locale,
        "entitlements": [],
        "authorizing_integration_owners": interaction.owners_json(),
        "context": GUILD_CONTEXT if guild else BOT_DM_CONTEXT,
        "attachment_size_limit": interaction.upload_bytes_max,
    }
    if guild is None:
        body["user"] = user_json(user)
    else:
        body["guild_id"] = str(guild.id)
        body["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
        body["guild_locale"] = "en-US"
        bits = guild.member_permissions(user)
        body["member"] = member_json(guild, guild.members[user.id], channel_permissions=bits)
    source = interaction.source or (interaction.trigger.source if interaction.trigger else None)
    if source is not None:
        body["message"] = message_json(source)
    return body


def seen_channel_json(channel: Channel, user: User) -> JSON:
    """A channel with the member's permissions in it, as interactions carry it."""
    bits = channel.guild.member_permissions(user) if channel.guild else bot_permissions(channel)
    return {**channel_json(channel), "permissions": str(bits)}


def resolved_json(
    channel: Channel,
    user: User,
    *,
    users: Iterable[User] = (),
    channels: Iterable[Channel] = (),
    files: Iterable[StoredFile] = (),
) -> JSON:
    """What the ids among the values mean; kinds that do not occur are left out."""
    guild = channel.guild
    members: dict[str, Any] = {}
    for named in users:
        if guild is not None and named.id in guild.members:
            bits = guild.member_permissions(named)
            members[str(named.id)] = member_json(guild, guild.members[named.id], channel_permissions=bits)
            del members[str(named.id)]["user"]
    resolved = {
        "users": {str(named.id): user_json(named) for named in users},
        "members": members,
        "channels": {str(place.id): seen_channel_json(place, user) for place in channels},
        "attachments": {str(stored.id): attachment_json(stored, channel.world.links) for stored in files},
    }
    return {kind: found for kind, found in resolved.items() if found}
