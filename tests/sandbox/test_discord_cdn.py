"""The CDN: signed addresses that expire, ranges, types."""

import io

import aiohttp
import discord
import pytest

from tests.sandbox.test_discord_playground import Playground, playing

pytestmark = pytest.mark.wire

CLIP = bytes(range(100))


async def clip_address(play: Playground) -> str:
    sent = await play.place().send(file=discord.File(io.BytesIO(CLIP), "v.mp4"))
    return sent.attachments[0].url


async def test_a_link_works_for_its_life_and_is_gone_afterwards() -> None:
    async with playing(link_life_s=60) as play:
        url = await clip_address(play)
        play.clock.advance(58)
        assert await play.sandbox.download(url) == CLIP
        play.clock.advance(3)
        with pytest.raises(aiohttp.ClientResponseError, match="404"):
            await play.sandbox.download(url)
        assert await play.sandbox.download(play.channel.messages[0].media[0].url) == CLIP


async def test_a_link_that_is_changed_or_unsigned_is_gone() -> None:
    async with playing() as play:
        url = await clip_address(play)
        for wrong in (url.split("?")[0], url.replace("ex=", "ex=f"), url.replace("v.mp4", "w.mp4")):
            with pytest.raises(aiohttp.ClientResponseError, match="404"):
                await play.sandbox.download(wrong)


async def test_a_deleted_messages_files_are_gone() -> None:
    async with playing() as play:
        url = await clip_address(play)
        play.channel.messages[0].delete()
        with pytest.raises(aiohttp.ClientResponseError, match="404"):
            await play.sandbox.download(url)


@pytest.mark.parametrize(
    ("wanted", "status", "body", "told"),
    [
        ("bytes=0-9", 206, CLIP[:10], "bytes 0-9/100"),
        ("bytes=90-", 206, CLIP[90:], "bytes 90-99/100"),
        ("bytes=-5", 206, CLIP[95:], "bytes 95-99/100"),
        ("bytes=90-500", 206, CLIP[90:], "bytes 90-99/100"),
        ("bytes=100-", 416, b"", "bytes */100"),
        ("", 200, CLIP, None),
    ],
)
async def test_ranges_are_served(wanted: str, status: int, body: bytes, told: str | None) -> None:
    async with playing() as play, aiohttp.ClientSession() as http:
        headers = {"Range": wanted} if wanted else {}
        async with http.get(await clip_address(play), headers=headers) as response:
            assert (response.status, await response.read()) == (status, body)
            assert response.headers.get("Content-Range") == told


async def test_a_head_request_tells_type_and_length() -> None:
    async with playing() as play, aiohttp.ClientSession() as http, http.head(await clip_address(play)) as response:
        assert response.headers["Content-Type"] == "video/mp4"
        assert response.headers["Content-Length"] == "100"
        assert response.headers["Accept-Ranges"] == "bytes"
