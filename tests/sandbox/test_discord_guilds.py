"""The bot's own guilds and itself in them, over REST; and an answer held back after its effect."""

import asyncio

import discord
import pytest

from bot.sandbox.discord import permissions
from tests.sandbox.test_discord_playground import Playground, playing

pytestmark = pytest.mark.wire


async def names(play: Playground, **options: object) -> list[str]:
    return [guild.name async for guild in play.bot.fetch_guilds(**options)]


async def test_the_bots_guilds_come_by_id_and_in_pages() -> None:
    async with playing() as play:
        second = play.sandbox.add_guild("Second", owner=play.mia)
        play.sandbox.add_guild("Third", owner=play.mia)

        assert await names(play) == ["Guild", "Second", "Third"]
        assert await names(play, limit=2) == ["Guild", "Second"]
        assert await names(play, after=second) == ["Third"]
        assert await names(play, before=second) == ["Guild"]


async def test_members_are_counted_where_that_is_asked_for() -> None:
    async with playing() as play:
        counted = [guild.approximate_member_count async for guild in play.bot.fetch_guilds(with_counts=True)]
        uncounted = [guild.approximate_member_count async for guild in play.bot.fetch_guilds(with_counts=False)]

        assert (counted, uncounted) == ([3], [None])


async def test_the_bot_finds_its_permissions_in_a_guild_and_nobody_who_is_not_there() -> None:
    async with playing() as play:
        play.guild.role_permissions = permissions.EVERYONE & ~permissions.ATTACH_FILES
        guild = await play.bot.fetch_guild(play.guild.id)
        own = await guild.fetch_member(play.sandbox.bot_user_id)

        assert not own.guild_permissions.attach_files
        assert own.guild_permissions.send_messages
        with pytest.raises(discord.NotFound) as missing:
            await guild.fetch_member(play.sandbox.add_user("noa").id)
        assert missing.value.code == 10007


async def test_what_roles_take_a_channel_still_gives() -> None:
    async with playing() as play:
        play.guild.role_permissions = permissions.VIEW_CHANNEL
        channel = await play.bot.fetch_channel(play.channel.id)
        guild = await play.bot.fetch_guild(play.guild.id)
        own = await guild.fetch_member(play.sandbox.bot_user_id)

        assert isinstance(channel, discord.TextChannel)
        overwrite = channel.overwrites_for(own)
        assert overwrite.send_messages
        assert overwrite.view_channel is None


async def test_an_answer_can_be_held_back_after_its_effect() -> None:
    async with playing() as play:
        held = play.sandbox.faults.hold_answer(r"POST .*/messages$")
        sending = asyncio.create_task(play.place().send("hello"))
        await held.reached.wait()

        assert [message.text for message in play.channel.messages] == ["hello"]
        assert not sending.done()
        held.release()
        assert (await sending).content == "hello"
