"""Users, guilds, channels and the application as the JSON Discord sends."""

from datetime import datetime
from typing import Any

from bot.sandbox.discord import permissions
from bot.sandbox.discord.people import Channel, Guild, Member, User
from bot.sandbox.discord.world import World

JSON = dict[str, Any]

THREAD_ARCHIVE_MINUTES = 4320
GUILD_CONTEXT, BOT_DM_CONTEXT = 0, 1


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def user_json(user: User) -> JSON:
    body: JSON = {
        "id": str(user.id),
        "username": user.name,
        "global_name": None if user.bot else user.name,
        "discriminator": "0001" if user.bot else "0",
        "avatar": None,
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
    }
    if user.bot:
        body["bot"] = True
    return body


def own_user_json(user: User) -> JSON:
    return {**user_json(user), "mfa_enabled": True, "locale": user.locale, "verified": True, "email": None}


def application_json(world: World) -> JSON:
    return {
        "id": str(world.application_id),
        "name": world.bot.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": user_json(world.bot),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 0,
        "flags_new": "0",
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user_json(world.owner),
        "approximate_guild_count": len(world.guilds),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["bot", "applications.commands"],
        "integration_types_config": {"0": {}},
    }


def member_json(guild: Guild, member: Member, *, channel_permissions: int | None = None) -> JSON:
    body: JSON = {
        "user": user_json(member.user),
        "nick": None,
        "avatar": None,
        "banner": None,
        "roles": [str(guild.bot_role_id)] if member.user.bot else [],
        "joined_at": stamp(member.joined_at),
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }
    if channel_permissions is not None:
        body["permissions"] = str(channel_permissions)
    return body


def role_json(role_id: int, name: str, bits: int, *, position: int, managed: bool) -> JSON:
    return {
        "id": str(role_id),
        "name": name,
        "permissions": str(bits),
        "position": position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": managed,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def _overwrites(channel: Channel) -> list[JSON]:
    """The bot's bits in a channel as one overwrite for the bot over what its roles give."""
    given = channel.guild.role_permissions if channel.guild else permissions.EVERYONE
    allow = channel.bot_permissions & ~given
    deny = given & ~channel.bot_permissions
    if not allow and not deny:
        return []
    return [{"id": str(channel.world.bot.id), "type": 1, "allow": str(allow), "deny": str(deny)}]


def channel_json(channel: Channel) -> JSON:
    if channel.recipient is not None:
        return _dm_json(channel)
    return _thread_json(channel) if channel.is_thread else _text_channel_json(channel)


def _last_message_id(channel: Channel) -> str | None:
    return str(next(reversed(channel.by_id))) if channel.by_id else None


def _dm_json(channel: Channel) -> JSON:
    return {
        "id": str(channel.id),
        "type": channel.kind,
        "flags": 0,
        "last_message_id": _last_message_id(channel),
        "recipients": [user_json(channel.recipient)] if channel.recipient else [],
    }


def _text_channel_json(channel: Channel) -> JSON:
    return {
        "id": str(channel.id),
        "type": channel.kind,
        "flags": 0,
        "guild_id": str(channel.guild.id) if channel.guild else "0",
        "name": channel.name,
        "position": 0,
        "parent_id": None,
        "topic": None,
        "nsfw": channel.nsfw,
        "rate_limit_per_user": 0,
        "last_message_id": _last_message_id(channel),
        "permission_overwrites": _overwrites(channel),
    }


def _thread_json(channel: Channel) -> JSON:
    body: JSON = {
        "id": str(channel.id),
        "type": channel.kind,
        "flags": 0,
        "guild_id": str(channel.guild.id) if channel.guild else "0",
        "parent_id": str(channel.parent.id) if channel.parent else None,
        "owner_id": str((channel.creator or channel.world.owner).id),
        "name": channel.name,
        "rate_limit_per_user": 0,
        "last_message_id": _last_message_id(channel),
        "message_count": len(channel.messages),
        "total_message_sent": len(channel.by_id),
        "member_count": 1,
        "thread_metadata": {
            "archived": channel.archived,
            "locked": channel.locked,
            "archive_timestamp": stamp(channel.created_at),
            "auto_archive_duration": THREAD_ARCHIVE_MINUTES,
            "create_timestamp": stamp(channel.created_at),
        },
    }
    if channel.is_private_thread:
        body["thread_metadata"]["invitable"] = False
    return body


def guild_json(guild: Guild) -> JSON:
    """As `GET /guilds/{id}` answers it."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "description": None,
        "home_header": None,
        "splash": None,
        "discovery_splash": None,
        "features": [],
        "banner": None,
        "owner_id": str(guild.owner.id),
        "application_id": None,
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "roles": _roles(guild),
        "default_message_notifications": 1,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_presences": None,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "rules_channel_id": None,
        "safety_alerts_channel_id": None,
        "public_updates_channel_id": None,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
        "incidents_data": None,
    }


def own_guild_json(guild: Guild) -> JSON:
    """As `GET /users/@me/guilds` lists it: with what the bot may do there, channels aside."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "banner": None,
        "owner": False,
        "permissions": str(guild.role_permissions),
        "features": [],
    }


def _roles(guild: Guild) -> list[JSON]:
    bot_name, given = guild.world.bot.name, guild.role_permissions
    return [
        role_json(guild.id, "@everyone", given, position=0, managed=False),
        role_json(guild.bot_role_id, bot_name, permissions.BOT_ROLE & given, position=1, managed=True),
    ]


def guild_create_json(guild: Guild) -> JSON:
    """As the gateway sends it to a bot with the guilds intent: channels and itself, not the other members."""
    channels = list(guild.channels.values())
    threads = [channel for channel in channels if channel.is_thread and channel.bot_is_member and not channel.archived]
    return {
        **guild_json(guild),
        "joined_at": stamp(guild.members[guild.world.bot.id].joined_at),
        "large": False,
        "unavailable": False,
        "member_count": len(guild.members),
        "members": [member_json(guild, guild.members[guild.world.bot.id])],
        "channels": [channel_json(channel) for channel in channels if not channel.is_thread],
        "threads": [channel_json(thread) for thread in threads],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }
