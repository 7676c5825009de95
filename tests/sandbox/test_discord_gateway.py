"""The gateway on its socket: compression, resumes, heartbeats, refusals."""

import asyncio
import json
import zlib
from typing import Any

import aiohttp
import discord
import pytest
import zstandard

from bot.sandbox.discord import SandboxDiscord
from tests.sandbox.test_discord_playground import playing

pytestmark = pytest.mark.wire


async def answer(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("done")


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_dropped_socket_is_resumed_and_nothing_is_lost_meanwhile(abruptly: bool) -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        assert play.sandbox.faults.close_gateway(abruptly=abruptly) == 1
        play.expect(answer)
        interaction = await play.sandbox.command(play.mia, play.channel, "run")
        await play.finished()
        await play.sandbox.gateway.wait_resumed(1, 5)
        assert (await interaction.answer()).text == "done"


async def test_a_request_to_reconnect_is_followed_by_a_resume() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        play.sandbox.gateway.ask_to_reconnect()
        await play.sandbox.gateway.wait_resumed(1, 5)
        await play.run(answer)


async def test_a_lost_session_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        # discord.py goes back to its built-in address when a session is lost, not to the one it was told.
        url = type(discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY)(play.sandbox.gateway.url)
        monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", url)
        reconnected = asyncio.ensure_future(play.bot.wait_for("shard_ready", timeout=5))
        play.sandbox.faults.close_gateway(resumable=False)
        await reconnected
        assert play.sandbox.gateway.resumes == 0
        await play.run(answer)


class Socket:
    """A bare gateway client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, asked: str) -> None:
        self.socket = socket
        self.compressed = bool(asked)
        inflate = zlib.decompressobj()
        expand = zstandard.ZstdDecompressor().decompressobj()
        self._open = inflate.decompress if asked == "zlib-stream" else expand.decompress

    async def receive(self) -> dict[str, Any]:
        if not self.compressed:
            return json.loads(await self.socket.receive_str(timeout=5))
        raw = await self.socket.receive_bytes(timeout=5)
        return json.loads(self._open(raw))

    async def send(self, op: int, data: Any) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def close_code(self) -> int | None:
        while (await self.socket.receive(timeout=5)).type not in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}:
            pass
        return self.socket.close_code


@pytest.mark.parametrize("asked", ["", "zlib-stream", "zstd-stream", "unheard-of"])
async def test_frames_are_compressed_as_asked_in_one_stream(asked: str) -> None:
    known = asked if asked in {"zlib-stream", "zstd-stream"} else ""
    async with SandboxDiscord.start() as sandbox, aiohttp.ClientSession() as http:
        sandbox.add_guild("Guild", owner=sandbox.owner)
        async with http.ws_connect(f"{sandbox.gateway.url}?v=10&encoding=json&compress={asked}") as raw:
            socket = Socket(raw, known)
            assert (await socket.receive())["op"] == 10
            await socket.send(2, {"token": sandbox.bot_token, "intents": 1})
            assert [(await socket.receive())["t"] for _ in range(2)] == ["READY", "GUILD_CREATE"]
            await socket.send(1, 2)
            assert (await socket.receive())["op"] == 11


async def test_a_zlib_frame_ends_with_a_flush() -> None:
    async with (
        SandboxDiscord.start() as sandbox,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{sandbox.gateway.url}?compress=zlib-stream") as raw,
    ):
        assert (await raw.receive_bytes(timeout=5)).endswith(b"\x00\x00\xff\xff")


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [(2, {"token": "wrong"}, 4004), (8, {}, 4003), (2, {"token": "", "shard": [3, 2]}, 4004), (99, {}, 4003)],
)
async def test_a_client_that_breaks_the_protocol_is_closed_with_its_code(op: int, data: Any, code: int) -> None:
    async with (
        SandboxDiscord.start() as sandbox,
        aiohttp.ClientSession() as http,
        http.ws_connect(sandbox.gateway.url) as raw,
    ):
        socket = Socket(raw, "")
        await socket.send(op, data)
        assert await socket.close_code() == code


async def test_more_than_120_frames_a_minute_are_too_many() -> None:
    async with (
        SandboxDiscord.start() as sandbox,
        aiohttp.ClientSession() as http,
        http.ws_connect(sandbox.gateway.url) as raw,
    ):
        socket = Socket(raw, "")
        for _ in range(121):
            await socket.send(1, None)
        assert await socket.close_code() == 4008


async def test_resuming_an_unknown_session_is_invalid() -> None:
    async with (
        SandboxDiscord.start() as sandbox,
        aiohttp.ClientSession() as http,
        http.ws_connect(sandbox.gateway.url) as raw,
    ):
        socket = Socket(raw, "")
        await socket.receive()
        await socket.send(6, {"token": sandbox.bot_token, "session_id": "gone", "seq": 3})
        invalid = await socket.receive()
        assert (invalid["op"], invalid["d"]) == (9, False)


async def test_messages_reach_only_a_bot_that_asked_for_them() -> None:
    async with SandboxDiscord.start() as sandbox, aiohttp.ClientSession() as http:
        guild = sandbox.add_guild("Guild", owner=sandbox.owner)
        channel = guild.add_channel("general")
        async with http.ws_connect(sandbox.gateway.url) as raw:
            socket = Socket(raw, "")
            await socket.receive()
            await socket.send(2, {"token": sandbox.bot_token, "intents": 1 | 1 << 9})
            assert [(await socket.receive())["t"] for _ in range(2)] == ["READY", "GUILD_CREATE"]
            headers = {"Authorization": f"Bot {sandbox.bot_token}"}
            url = f"{sandbox.api_url}/channels/{channel.id}/messages"
            async with http.post(url, json={"content": "x"}, headers=headers) as posted:
                assert posted.status == 200
            event = await socket.receive()
            assert (event["t"], event["d"]["content"], event["d"]["guild_id"]) == ("MESSAGE_CREATE", "x", str(guild.id))
