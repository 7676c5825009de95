"""Places the bot is put out of, and the gateway's and the proxies' worse moods, as discord.py meets them."""

import asyncio

import aiohttp
import discord
import pytest

from bot.sandbox.discord import SandboxDiscord
from tests.sandbox.test_discord_gateway import Socket
from tests.sandbox.test_discord_playground import Playground, playing

pytestmark = pytest.mark.wire

POSTS = r"POST .*/messages$"


async def hears(play: Playground, event: str) -> "asyncio.Future[object]":
    heard = asyncio.ensure_future(play.bot.wait_for(event, timeout=5))
    await asyncio.sleep(0)
    return heard


async def test_a_bot_that_is_removed_hears_of_it_and_sees_nothing_of_the_guild_any_more() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        sent = await play.place().send("x")
        removed = await hears(play, "guild_remove")
        play.guild.remove_bot()
        await removed

        assert play.bot.get_guild(play.guild.id) is None
        assert [guild async for guild in play.bot.fetch_guilds()] == []
        for call in (
            play.bot.fetch_guild(play.guild.id),
            play.bot.fetch_channel(play.channel.id),
            play.place().send("y"),
            play.place().get_partial_message(sent.id).edit(content="y"),
        ):
            with pytest.raises(discord.Forbidden) as refused:
                await call
            assert refused.value.code == 50001
        assert [message.text for message in play.channel.messages] == ["x"]


async def test_a_person_in_no_guild_of_the_bot_gets_no_direct_message() -> None:
    async with playing() as play:
        place = await play.bot.create_dm(discord.Object(play.mia.id))
        await place.send("x")
        play.guild.remove_bot()

        with pytest.raises(discord.Forbidden) as refused:
            await place.send("y")
        assert refused.value.code == 50278
        assert [message.text for message in play.mia.dm.messages] == ["x"]


async def test_a_guild_that_removed_the_bot_while_it_was_away_is_not_in_its_next_session() -> None:
    async with SandboxDiscord.start() as sandbox, aiohttp.ClientSession() as http:
        left, kept = (sandbox.add_guild(name, owner=sandbox.owner) for name in ("Left", "Kept"))
        left.remove_bot()
        async with http.ws_connect(sandbox.gateway.url) as raw:
            socket = Socket(raw, "")
            await socket.receive()
            await socket.send(2, {"token": sandbox.bot_token, "intents": 1})
            ready = await socket.receive()

        assert [guild["id"] for guild in ready["d"]["guilds"]] == [str(kept.id)]


async def test_a_guild_in_an_outage_stays_known() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        lost = await hears(play, "guild_unavailable")
        play.guild.become_unavailable()
        await lost

        guild = play.bot.get_guild(play.guild.id)
        assert guild is not None
        assert guild.unavailable


async def test_a_locked_thread_takes_neither_messages_nor_edits_nor_answers() -> None:
    async with playing() as play:
        thread = play.channel.add_thread("ideas")
        sent = await play.place(thread).send("x")

        async def answer_late(interaction: discord.Interaction) -> None:
            await interaction.response.defer(ephemeral=True)
            thread.lock()
            await interaction.edit_original_response(content="y")

        for act in (
            play.run(answer_late, channel=thread),
            play.place(thread).send("y"),
            play.place(thread).get_partial_message(sent.id).edit(content="y"),
        ):
            with pytest.raises(discord.HTTPException) as refused:
                await act
            assert refused.value.code == 50083
        assert [message.text for message in thread.messages] == ["x"]


async def test_a_message_behind_a_502_is_there_once() -> None:
    async with playing() as play:
        fault = play.sandbox.faults.answer_after(POSTS, 502)
        await play.place().send("x", nonce="1")

        assert fault.spent.is_set()
        assert [message.text for message in play.channel.messages] == ["x"]


async def test_a_message_that_takes_no_more_edits_says_so_with_a_429() -> None:
    async with playing() as play:
        sent = await play.place().send("x")
        fault = play.sandbox.faults.answer("PATCH ", 429, times=5, retry_after_s=0.001, code=30046)
        with pytest.raises(discord.HTTPException) as refused:
            await play.place().get_partial_message(sent.id).edit(content="y")

        assert (refused.value.status, refused.value.code) == (429, 30046)
        assert fault.met == 5


async def test_a_token_can_be_made_to_expire() -> None:
    answered: list[discord.Interaction] = []

    async def answer(interaction: discord.Interaction) -> None:
        answered.append(interaction)
        await interaction.response.send_message("x")

    async with playing() as play:
        interaction = await play.run(answer)
        interaction.expire_token()

        with pytest.raises(discord.HTTPException) as refused:
            await answered[0].edit_original_response(content="y")
        assert (refused.value.status, refused.value.code) == (401, 50027)
        assert (await interaction.answer()).text == "x"


async def test_an_interaction_told_twice_is_acknowledged_once() -> None:
    async with playing() as play:
        interaction = await play.run(lambda interaction: interaction.response.send_message("x"))
        play.expect(lambda interaction: interaction.response.send_message("y"))
        play.sandbox.deliver_again(interaction)

        with pytest.raises(discord.HTTPException) as refused:
            await play.finished()
        assert refused.value.code == 40060
        assert (await interaction.answer()).text == "x"


async def test_while_discord_is_down_nothing_works_and_afterwards_everything() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        play.sandbox.faults.go_down()
        with pytest.raises(discord.DiscordServerError):
            await play.place().send("x")
        await play.sandbox.gone(5)
        play.sandbox.faults.clear()
        await play.sandbox.ready(15)
        await play.place().send("y")

        assert [message.text for message in play.channel.messages] == ["y"]


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_session_is_invalidated_in_the_middle(resumable: bool) -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        if not resumable:
            url = type(discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY)(play.sandbox.gateway.url)
            discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = url
        back = await hears(play, "shard_resumed" if resumable else "shard_ready")
        play.sandbox.faults.invalidate_session(resumable=resumable)
        await back

        assert play.sandbox.gateway.resumes == int(resumable)


async def test_a_silent_socket_is_left_and_what_it_swallowed_comes_with_the_resume() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        gateway = play.sandbox.gateway
        gateway.heartbeat_interval_s = 0.2
        play.bot._connection.heartbeat_timeout = 0.6
        gateway.ask_to_reconnect()
        await gateway.wait_resumed(1, 5)
        play.sandbox.faults.silence_gateway()

        await play.run(lambda interaction: interaction.response.send_message("x"))
        assert gateway.resumes >= 2
