"""Where a command was given, read from what Discord sent with it."""

import discord
from discord.ext import commands

from cogs.places import spender_at

GUILD, CHANNEL, THREAD, MEMBER, CREATORS, EDITORS = 77, 99, 88, 11, 501, 502


def interaction(bot: commands.Bot) -> discord.Interaction:
    """Build a command in a thread of a guild that the library has not heard of yet, as right after a start."""
    user = {"id": str(MEMBER), "username": "mia", "discriminator": "0", "avatar": None}
    member = {"user": user, "roles": [str(CREATORS), str(EDITORS)], "joined_at": "2026-01-01T00:00:00+00:00"}
    thread = {
        "id": str(THREAD),
        "type": 11,
        "parent_id": str(CHANNEL),
        "guild_id": str(GUILD),
        "name": "boats",
        "owner_id": str(MEMBER),
        "thread_metadata": {
            "archived": False,
            "auto_archive_duration": 60,
            "archive_timestamp": "2026-01-01T00:00:00+00:00",
        },
        "message_count": 0,
        "member_count": 0,
    }
    data = {
        "id": "1",
        "application_id": "2",
        "type": 2,
        "token": "made up",
        "version": 1,
        "guild_id": str(GUILD),
        "channel_id": str(THREAD),
        "channel": thread,
        "data": {"id": "5", "name": "video", "type": 1},
        "member": {**member, "deaf": False, "mute": False, "permissions": "0", "flags": 0},
        "app_permissions": "0",
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {},
        "context": 0,
        "attachment_size_limit": 1,
    }
    return discord.Interaction(data=data, state=bot._connection)


async def test_roles_count_although_their_guild_is_not_known_yet_and_a_thread_counts_as_its_channel():
    async with commands.Bot("/", intents=discord.Intents.default()) as bot:
        bot._connection.user = discord.ClientUser(
            state=bot._connection, data={"id": "2", "username": "gallop", "discriminator": "0", "avatar": None}
        )
        spender = spender_at(interaction(bot))

    assert spender.role_ids == {CREATORS, EDITORS}
    assert (spender.guild_id, spender.user_id, spender.channel_id) == (GUILD, MEMBER, CHANNEL)
