"""Rate limits and the faults a test can ask for, as discord.py meets them."""

import asyncio
import io

import aiohttp
import discord
import pytest

from bot.sandbox.discord import Channel, SandboxDiscord
from bot.sandbox.discord.ratelimit import RateLimits
from tests.sandbox.test_discord_playground import playing

pytestmark = pytest.mark.wire


async def post(http: aiohttp.ClientSession, sandbox: SandboxDiscord, channel: Channel) -> aiohttp.ClientResponse:
    headers = {"Authorization": f"Bot {sandbox.bot_token}"}
    url = f"{sandbox.api_url}/channels/{channel.id}/messages"
    async with http.post(url, json={"content": "x"}, headers=headers) as response:
        await response.read()
        return response


async def test_the_sixth_message_in_a_channel_within_five_seconds_is_a_429() -> None:
    async with SandboxDiscord.start() as sandbox, aiohttp.ClientSession() as http:
        guild = sandbox.add_guild("Guild", owner=sandbox.owner)
        channel, other = guild.add_channel("a"), guild.add_channel("b")
        answers = [await post(http, sandbox, channel) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
        assert answers[-1].headers["Via"]
        refusal = await answers[-1].json()
        assert 0 < refusal["retry_after"] <= 5
        assert (await post(http, sandbox, other)).status == 200
        assert answers[0].headers["Content-Type"] == "application/json"


async def test_a_429_of_discord_is_waited_out_and_the_message_posted_once() -> None:
    async with playing() as play:
        play.sandbox.faults.answer(r"POST .*/messages$", 429, retry_after_s=0.02)
        await play.place().send("x")
        assert len(play.channel.messages) == 1
        statuses = [request.status for request in play.sandbox.requests if request.route.endswith("/messages")]
        assert statuses == [429, 200]


async def test_a_global_429_is_waited_out_too() -> None:
    async with playing() as play:
        play.sandbox.faults.answer(r"POST .*/messages$", 429, retry_after_s=0.02, is_global=True)
        await play.place().send("x")
        assert len(play.channel.messages) == 1


async def test_a_429_without_via_is_not_retried() -> None:
    async with playing() as play:
        play.sandbox.faults.answer(r"POST .*/messages$", 429, with_via=False)
        with pytest.raises(discord.HTTPException) as caught:
            await play.place().send("x")
        assert caught.value.status == 429


async def test_a_503_is_raised_at_once_and_has_no_effect() -> None:
    async with playing() as play:
        play.sandbox.faults.answer(r"POST .*/messages$", 503)
        with pytest.raises(discord.DiscordServerError):
            await play.place().send("x")
        assert play.channel.messages == []


async def test_a_connection_dropped_before_has_no_effect() -> None:
    async with playing() as play:
        play.sandbox.faults.drop_before(r"POST .*/messages$")
        with pytest.raises(aiohttp.ClientError):
            await play.place().send("x")
        assert play.channel.messages == []
        assert play.sandbox.requests[-1].status == 0


async def test_a_fault_meets_as_many_requests_as_it_was_told() -> None:
    async with playing() as play:
        fault = play.sandbox.faults.answer(r"/messages$", 503, times=2)
        for _ in range(2):
            with pytest.raises(discord.DiscordServerError):
                await play.place().send("x")
        await play.place().send("x")
        assert fault.met == 2


async def test_a_held_request_waits_until_it_is_released() -> None:
    async with playing() as play:
        fault = play.sandbox.faults.hold(r"POST .*/messages$")
        sending = asyncio.create_task(play.place().send("x"))
        await asyncio.wait_for(fault.reached.wait(), 5)
        assert play.channel.messages == []
        fault.release()
        await sending
        assert len(play.channel.messages) == 1


async def test_a_lost_answer_to_an_acknowledgement_leaves_it_acknowledged() -> None:
    async with playing() as play:

        async def act(interaction: discord.Interaction) -> None:
            play.sandbox.faults.drop_after(r"/callback$")
            with pytest.raises(aiohttp.ClientError):
                await interaction.response.defer()
            with pytest.raises(discord.HTTPException) as caught:
                await discord.InteractionResponse(interaction).defer()
            assert caught.value.code == 40060

        await play.run(act)


async def test_a_wrong_token_or_path_is_answered_as_discord_does() -> None:
    async with SandboxDiscord.start() as sandbox, aiohttp.ClientSession() as http:
        for headers, path, status in [
            ({}, "/users/@me", 401),
            ({"Authorization": f"Bot {sandbox.bot_token}"}, "/users/@me", 200),
            ({"Authorization": f"Bot {sandbox.bot_token}"}, "/channels/nonsense", 400),
            ({"Authorization": f"Bot {sandbox.bot_token}"}, "/nonsense", 404),
        ]:
            async with http.get(sandbox.api_url + path, headers=headers) as response:
                assert response.status == status
                assert ("code" in await response.json()) == (status != 200)


def test_a_bucket_is_full_again_after_its_window() -> None:
    now = [100.0]
    limits = RateLimits(messages_per_5_s=5, webhook_per_2_s=5, monotonic=lambda: now[0])
    route = "/webhooks/{webhook_id}/{webhook_token}"
    assert [limits.take("POST", route, "a").allowed for _ in range(6)] == [True] * 5 + [False]
    assert limits.take("POST", route, "b").allowed
    now[0] += 2
    assert limits.take("POST", route, "a").allowed


def test_no_limit_means_no_429_but_still_the_headers() -> None:
    limits = RateLimits(messages_per_5_s=None, webhook_per_2_s=None)
    verdicts = [limits.take("POST", "/channels/{channel_id}/messages", "a") for _ in range(500)]
    assert all(verdict.allowed for verdict in verdicts)
    assert verdicts[0].headers["X-RateLimit-Bucket"]


async def test_a_larger_file_passes_where_the_guild_takes_it() -> None:
    async with playing() as play:
        play.guild.upload_bytes_max = 50 * 2**20
        await play.place().send(file=discord.File(io.BytesIO(bytes(30 * 2**20)), "v.mp4"))
        assert play.channel.messages[0].media[0].size == 30 * 2**20


async def test_any_error_of_discord_can_be_asked_for() -> None:
    async with playing() as play:
        play.sandbox.faults.answer(r"POST .*/messages$", 400, code=200000)
        with pytest.raises(discord.HTTPException) as caught:
            await play.place().send("x")
        assert caught.value.code == 200000


async def test_acknowledgements_of_many_interactions_share_no_limit() -> None:
    async with SandboxDiscord.start() as sandbox, aiohttp.ClientSession() as http:

        async def acknowledge(token: int) -> int:
            url = f"{sandbox.api_url}/interactions/17/{token}/callback"
            async with http.post(url, json={"type": 5}) as response:
                return int((await response.json())["code"])

        assert set(await asyncio.gather(*map(acknowledge, range(1100)))) == {10062}
