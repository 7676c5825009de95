"""Fetches the pictures a job names and judges them by the gateways' documented rules."""

import asyncio
import io

import aiohttp
from PIL import Image, UnidentifiedImageError

from bot.sandbox.gateways.books import Asked

FORMATS = ("JPEG", "PNG", "WEBP")
ELONGATION_MAX = 2.5
FETCH_TIMEOUT_S = 20


class BadPicture(Exception):
    """A picture broke a rule; the text names it by its number."""


async def fetch(session: aiohttp.ClientSession, asked: Asked) -> list[bytes]:
    """Return the bytes of every picture of a job, in order.

    Raises:
        BadPicture: one could not be fetched, or breaks a rule.
    """
    pictures = []
    for number, address in enumerate(asked.addresses, start=1):
        content = await _get(session, address, number=number, bytes_max=asked.bytes_max)
        await asyncio.to_thread(_judge, content, number=number, asked=asked)
        pictures.append(content)
    return pictures


async def _get(session: aiohttp.ClientSession, address: str, *, number: int, bytes_max: int) -> bytes:
    try:
        async with session.get(address, timeout=aiohttp.ClientTimeout(FETCH_TIMEOUT_S)) as response:
            if response.status != 200:
                raise BadPicture(f"image {number} could not be downloaded: status {response.status}")
            content = await response.content.read(bytes_max + 1)
            while len(content) <= bytes_max and (more := await response.content.read(bytes_max)):
                content += more
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BadPicture(f"image {number} could not be downloaded") from error
    if len(content) > bytes_max:
        raise BadPicture(f"image {number} must not exceed {bytes_max // 1_000_000} MB")
    return content


def _judge(content: bytes, *, number: int, asked: Asked) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.load()
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise BadPicture(f"image {number} is not a readable JPEG, PNG or WEBP") from error
    short, long = sorted((width, height))
    if short < asked.short_side_min_px:
        raise BadPicture(f"image {number} is {width}x{height}: the shorter side needs {asked.short_side_min_px} pixels")
    if long > short * ELONGATION_MAX:
        raise BadPicture(f"image {number} has a ratio outside 1:2.5 to 2.5:1")


def plain_jpeg() -> bytes:
    """Return a small picture, for the files that gateways add to a video."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 36), "gray").save(buffer, "JPEG")
    return buffer.getvalue()


def size_of(content: bytes) -> tuple[int, int]:
    """Return width and height of a picture that was judged."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size
