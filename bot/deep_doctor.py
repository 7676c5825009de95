"""Tries every path that costs nothing, end to end: what it makes on the way it takes away again."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import aiohttp
import discord
import httpx
from PIL import Image

from bot.adapters.clock import SystemClock
from bot.adapters.discord import attachments
from bot.adapters.discord.client import GallopBot
from bot.adapters.gateways.download import download
from bot.adapters.media import video
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.render import render_to
from bot.adapters.store.migrate import inspect
from bot.adapters.store.sqlite import is_running, read_note
from bot.adapters.web import SECRET_NOTE, MediaLinks
from bot.config import Settings
from bot.doctor import Check
from bot.domain.errors import GatewayError, StartFailed, StoreFailed

_TIMEOUT_S = 60.0
_FETCH_BYTES_MAX = 1_000_000
_WORDS = "Gallop's doctor was here to see whether the bot can post, read, edit and delete. This message goes away."


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong on a path, and what to do about it."""

    problem: str
    next_step: str


async def try_out(settings: Settings, *, bot: GallopBot, library: FileLibrary) -> list[Check]:
    """Return one check for each path. `bot` is logged in."""
    operators = sorted(bot.operator_ids(settings.operator_ids))
    checks = [
        await _check("Database", "read whole and written", partial(_try_database, settings.database_path)),
        await _check("Files", "written and deleted in DATA_DIR", partial(_try_library, library)),
        await _check("Preview", "rendered, and it plays", _try_video),
    ]
    places: list[tuple[str, str, int | None]] = [
        ("Operator channel", "OPERATOR_CHANNEL_ID", settings.operator_channel_id),
        ("Staging channel", "STAGING_CHANNEL_ID", settings.staging_channel_id),
    ]
    for title, setting, channel_id in places:
        if channel_id is not None:
            work = partial(_try_channel, settings, bot, channel_id, setting)
            checks.append(await _check(title, "posted, picture fetched, edited and deleted", work))
    for user_id in operators if settings.operator_channel_id is None else []:
        work = partial(_try_direct, settings, bot, user_id)
        checks.append(await _check(f"Operator {user_id}", "told by direct message", work))
    if settings.public_url is not None:
        work = partial(_try_public, settings, library)
        checks.append(await _check("Public address", "callbacks and media get through", work))
    return checks


async def _check(what: str, done: str, work: Callable[[], Awaitable[_Fault | None]]) -> Check:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            fault = await work()
    except TimeoutError:
        fault = _Fault("no end within a minute", "Try again; look at the network and the machine's load.")
    if fault is None:
        return Check(True, f"{what}: {done}.")
    return Check(False, f"{what}: {fault.problem}.", fault.next_step)


async def _try_database(path: Path) -> _Fault | None:
    if not await asyncio.to_thread(path.exists):
        return None

    def work() -> str:
        inspect(path)
        with closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT OR REPLACE INTO notes VALUES ('doctor', 'was here')")
            db.execute("ROLLBACK")
            return str(verdict)

    try:
        verdict = await asyncio.to_thread(work)
    except (sqlite3.Error, StartFailed) as error:
        problem = str(error).removeprefix("database is ")
        return _Fault(problem, "Check the rights of the database's folder and the disk.")
    return None if verdict == "ok" else _Fault(verdict, "Restore a backup: `gallop restore FILE`.")


async def _try_library(library: FileLibrary) -> _Fault | None:
    try:
        name = await library.keep_picture(_picture(), "image/png")
        await library.discard([name])
    except (StoreFailed, OSError) as error:
        return _Fault(str(error), "Name a folder the bot may write to, for example DATA_DIR=data.")
    return None


async def _try_video() -> _Fault | None:
    with TemporaryDirectory(prefix="gallop-doctor-") as folder:
        target = Path(folder) / "preview.mp4"
        try:
            await render_to(target, prompt="doctor", pictures=(), width=640, height=360, duration_s=3, label="Gallop")
            plays = video.plays_inline(await video.probe(target))
        except (GatewayError, OSError) as error:
            return _Fault(type(error).__name__, "Install the `av` package from its wheel; see the log.")
    return None if plays else _Fault("it does not play inline", "Install the `av` package from its wheel.")


async def _try_channel(settings: Settings, bot: GallopBot, channel_id: int, setting: str) -> _Fault | None:
    try:
        channel = await bot.fetch_channel(channel_id)
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        return _Fault(_words(error), f"Check {setting}, and that the bot may see that channel.")
    if not isinstance(channel, discord.abc.Messageable):
        return _Fault("it takes no messages", f"Set {setting} to a text channel.")
    step = "Give the bot Send Messages, Attach Files, Embed Links and Read Message History there."
    return await _try_posting(settings, channel, step)


async def _try_direct(settings: Settings, bot: GallopBot, user_id: int) -> _Fault | None:
    step = "Share a server with the bot and allow direct messages, or set OPERATOR_CHANNEL_ID."
    try:
        channel = await bot.create_dm(discord.Object(user_id))
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        return _Fault(_words(error), step)
    return await _try_posting(settings, channel, step)


async def _try_posting(settings: Settings, channel: discord.abc.Messageable, step: str) -> _Fault | None:
    """Post with a picture, fetch it by its link as a gateway would, edit, and delete whatever came before."""
    message: discord.Message | None = None
    fault: _Fault | None = None
    try:
        message = await channel.send(_WORDS, file=discord.File(BytesIO(_picture()), "doctor.png"))
        fault = await _try_link(settings, await channel.fetch_message(message.id))
        await message.edit(content=f"{_WORDS} It may.")
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        fault = _Fault(_words(error), step)
    if message is not None:
        try:
            await message.delete()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            fault = fault or _Fault(f"not deleted: {_words(error)}", step)
    return fault


async def _try_link(settings: Settings, message: discord.Message) -> _Fault | None:
    try:
        fetched = await _fetch(settings, message.attachments[0].url)
    except (GatewayError, IndexError) as error:
        step = "Gateways may not reach Discord's links either: check the network, or set ATTACHMENT_HOST=web."
        return _Fault(f"the picture's link cannot be fetched ({_words(error)})", step)
    if fetched != _picture():
        return _Fault("the picture's link brought something else", "Gateways need it: set ATTACHMENT_HOST=web.")
    return None


async def _fetch(settings: Settings, address: str) -> bytes:
    with TemporaryDirectory(prefix="gallop-doctor-") as folder:
        target = Path(folder) / "doctor.png"
        async with httpx.AsyncClient(trust_env=False) as client:
            await download(
                address,
                target,
                gateway="discord",
                client=client,
                hosts=attachments.HOSTS,
                own_host=urlsplit(settings.discord_api_url).hostname,
                bytes_max=_FETCH_BYTES_MAX,
                timeout_s=attachments.TIMEOUT_S,
                video=False,
            )
        return await asyncio.to_thread(target.read_bytes)


async def _try_public(settings: Settings, library: FileLibrary) -> _Fault | None:
    path = settings.database_path
    if not await asyncio.to_thread(is_running, path):
        return _Fault("no bot runs on the database", "Start the bot, then try again.")
    try:
        secret = await asyncio.to_thread(read_note, path, SECRET_NOTE)
        name = await library.keep_picture(_picture(), "image/png")
        try:
            return await _try_addresses(settings, secret or "", name)
        finally:
            await library.discard([name])
    except (StartFailed, StoreFailed, sqlite3.Error, OSError) as error:
        return _Fault(str(error) or type(error).__name__, "Check the rights of the database's folder and DATA_DIR.")


async def _try_addresses(settings: Settings, secret: str, picture_name: str) -> _Fault | None:
    """Ask for a callback and for the kept picture, both through the public address."""
    root = str(settings.public_url).rstrip("/")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S / 4) as client:
            # Only the bot's own server knows that this path takes nothing but POST.
            callbacks = await client.get(f"{root}/callbacks/doctor/doctor/doctor")
            media = await client.get(MediaLinks(bytes.fromhex(secret), root, SystemClock()).picture(picture_name))
    except httpx.HTTPError as error:
        return _Fault(type(error).__name__, "Let the proxy pass this address to HTTP_HOST and HTTP_PORT.")
    if callbacks.status_code != httpx.codes.METHOD_NOT_ALLOWED:
        return _Fault(f"/callbacks answers {callbacks.status_code}", "Let the proxy pass /callbacks to HTTP_PORT.")
    if media.status_code != httpx.codes.OK or media.content != _picture():
        return _Fault(f"/media answers {media.status_code}", "Let the proxy pass /media, with its query, to HTTP_PORT.")
    return None


def _picture() -> bytes:
    made = BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 90)).save(made, "PNG")
    return made.getvalue()


def _words(error: Exception) -> str:
    """Name an error without its text, which may hold an address."""
    if isinstance(error, discord.HTTPException):
        return f"Discord answers {error.status}, code {error.code}"
    return type(error).__name__
