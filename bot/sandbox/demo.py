"""The demo: a scripted member asks for one video of every model, and everything that came of it is checked."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.adapters.media.render import render
from bot.adapters.media.video import VideoFacts, plays_inline, probe
from bot.domain.job import JobBook, JobState
from bot.domain.money import microusd_from_usd, show_usd
from bot.sandbox import samples
from bot.sandbox.discord import Channel, Message, SandboxDiscord, Upload, User
from bot.sandbox.gateways.hiapi import USD_PER_S
from bot.sandbox.gateways.server import SandboxGateways
from bot.sandbox.gateways.works import Pace

CREDIT_USD = Decimal("0.04")
_READY_TIMEOUT_S = 30.0
_VIDEO_TIMEOUT_S = 55.0
_JOB_S = 1.0
_PRICE = re.compile(r"\$[\d,]+\.\d+")

Say = Callable[[str], None]
StartBot = Callable[[Mapping[str, str]], AbstractAsyncContextManager[None]]
ReadBooks = Callable[[], Awaitable[list[JobBook]]]


@dataclass(frozen=True, slots=True)
class Showing:
    """One command of the scripted member. `pictures` names the samples to attach."""

    gateway: str
    mode: str
    prompt: str
    pictures: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return f"video {self.mode}"

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"prompt": self.prompt, "gateway": self.gateway}
        if self.gateway == "pixeldojo":
            options |= {"seed": 42, "negative_prompt": "rain"}
        return options

    def attachments(self, files: Mapping[str, Upload]) -> dict[str, Upload]:
        if self.mode == "image":
            return {"image": files[self.pictures[0]]}
        return {f"image{number}": files[name] for number, name in enumerate(self.pictures, start=1)}


ALL = ("boat.jpg", "lighthouse.png", "balloon.webp")
SHOWINGS = (
    Showing("shortapi", "text", "A paper boat sails down a rainy street, camera low"),
    Showing("shortapi", "image", "The boat drifts towards the setting sun", ("boat.jpg",)),
    Showing("shortapi", "reference", "The boat of [Image 1] passes the lighthouse of [image2] under @3", ALL),
    Showing("hiapi", "text", "A red balloon rises over green hills at dawn"),
    Showing("hiapi", "image", "The lighthouse lights up as night falls", ("lighthouse.png",)),
    Showing("hiapi", "reference", "[Image 1] and [Image 2] seen from the basket of [Image 3]", ALL),
    Showing("pixeldojo", "reference", "[Image 2] stands on the shore while [Image 1] sails by", ALL),
)


@dataclass(slots=True)
class Shown:
    """What came of one command. Money in dollars as text, exactly; `problems` is empty when all is well."""

    command: str
    gateway: str
    price: str = ""
    held: str = ""
    settled: str = ""
    time_to_video_s: float = 0.0
    file: str = ""
    size_bytes: int = 0
    seconds: float = 0.0
    job_id: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """The whole demo. `ok` only when every video is in the channel, plays, and the ledger adds up."""

    ok: bool
    took_s: float
    shown: list[Shown]
    problems: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Stage:
    """The running sandbox, and who is in it."""

    discord: SandboxDiscord
    gateways: SandboxGateways
    member: User
    channel: Channel


async def run_demo(*, folder: Path, start_bot: StartBot, read_books: ReadBooks, say: Say) -> Report:
    """Run the main job end to end on loopback and save the posted videos under `folder`, which exists.

    `start_bot` runs the real bot with these settings; `read_books` reads its database.
    """
    began = time.monotonic()
    async with _stage() as stage:
        say("Sandbox: Discord and three gateways are up on this machine.")
        async with start_bot(_settings(stage)):
            await stage.discord.ready(_READY_TIMEOUT_S)
            say("The videos are stand-ins of this machine: pictures in slow moves, not HappyHorse's work.")
            say(f"The bot is at the gateway; {len(SHOWINGS)} commands follow, three jobs at a time.")
            files = {
                "boat.jpg": Upload("boat.jpg", samples.rotated_jpeg()),
                "lighthouse.png": Upload("lighthouse.png", samples.transparent_png()),
                "balloon.webp": Upload("balloon.webp", samples.balloon_webp()),
            }
            async with asyncio.TaskGroup() as commands:
                tasks = [commands.create_task(_show(stage, showing, files, folder, say)) for showing in SHOWINGS]
        shown = [task.result() for task in tasks]
        books = {book.job_id: book for book in await read_books()}
        problems = [*_check_books(shown, books), *_check_bills(stage.gateways, books)]
        problems += [f"against Discord's document: {mismatch}" for mismatch in stage.discord.mismatches]
    ok = not problems and not any(one.problems for one in shown)
    return Report(ok=ok, took_s=round(time.monotonic() - began, 1), shown=shown, problems=problems)


@asynccontextmanager
async def _stage() -> AsyncIterator[_Stage]:
    document = os.environ.get("DISCORD_OPENAPI")
    async with (
        SandboxDiscord.start(openapi=Path(document) if document else None) as discord,
        SandboxGateways.start(render=render, pace=Pace(job_s=_JOB_S)) as gateways,
    ):
        member = discord.add_user("mia")
        guild = discord.add_guild("Paper Boats", owner=discord.owner)
        guild.add_member(member)
        yield _Stage(discord, gateways, member, guild.add_channel("videos"))


def _settings(stage: _Stage) -> dict[str, str]:
    """The bot's settings: defaults but for addresses, keys, prices, and a watcher in a hurry."""
    gateways = stage.gateways
    return {
        "DISCORD_TOKEN": stage.discord.bot_token,
        "DISCORD_API_URL": stage.discord.api_url,
        "SHORTAPI_KEY": gateways.shortapi.key,
        "SHORTAPI_URL": gateways.shortapi.base_url,
        "HIAPI_KEY": gateways.hiapi.key,
        "HIAPI_URL": gateways.hiapi.base_url,
        "HIAPI_720P_USD_PER_S": str(USD_PER_S["720p"]),
        "HIAPI_1080P_USD_PER_S": str(USD_PER_S["1080p"]),
        "PIXELDOJO_KEY": gateways.pixeldojo.key,
        "PIXELDOJO_URL": gateways.pixeldojo.base_url,
        "PIXELDOJO_CREDIT_USD": str(CREDIT_USD),
        "HTTP_PORT": "0",
        "WATCH_FIRST_S": "2",
        "WATCH_INTERVAL_S": "1",
        "WATCH_INTERVAL_MAX_S": "2",
    }


async def _show(stage: _Stage, showing: Showing, files: Mapping[str, Upload], folder: Path, say: Say) -> Shown:
    shown = Shown(f"/{showing.command}", showing.gateway)
    began = time.monotonic()
    try:
        interaction = await stage.discord.command(
            stage.member, stage.channel, showing.command, showing.options(), showing.attachments(files)
        )
        answer = await interaction.answer(timeout_s=_READY_TIMEOUT_S)
        price = _PRICE.search(answer.text)
        shown.price = price[0] if price else "none"
        held, _, _ = answer.text.partition(";")
        say(f"  {shown.command} at {shown.gateway}: {held}")
        opening = showing.prompt[:12]
        message = await stage.channel.wait_message(
            lambda message: _is_video(message) and opening.strip("[]@") in message.text.replace("\\", ""),
            _VIDEO_TIMEOUT_S,
        )
        shown.time_to_video_s = round(time.monotonic() - began, 1)
        await _save(stage, message, showing, shown, folder)
        say(f"  {shown.command} at {shown.gateway}: video posted after {shown.time_to_video_s} s")
    except TimeoutError as error:
        shown.problems.append(str(error) or "no video in time")
    return shown


def _is_video(message: Message) -> bool:
    return any(media.filename.endswith(".mp4") for media in message.media)


async def _save(stage: _Stage, message: Message, showing: Showing, shown: Shown, folder: Path) -> None:
    media = next(media for media in message.media if media.filename.endswith(".mp4"))
    shown.job_id = media.filename.removesuffix(".mp4")
    target = folder / f"{showing.gateway}-{showing.mode}.mp4"
    data = await stage.discord.download(media.url)
    await asyncio.to_thread(target.write_bytes, data)
    facts = await probe(target)
    shown.file, shown.size_bytes, shown.seconds = str(target), len(data), round(facts.duration_s, 2)
    shown.problems += _check_video(facts)


def _check_video(facts: VideoFacts) -> list[str]:
    problems = []
    if (facts.video_codec, facts.audio_codec) != ("h264", "aac"):
        problems.append(f"the video is {facts.video_codec} and {facts.audio_codec}, not h264 and aac")
    if not plays_inline(facts):
        problems.append("the video would not play inline")
    if abs(facts.duration_s - 5) > 0.5:
        problems.append(f"the video lasts {facts.duration_s:.2f} s, not 5")
    return problems


def _check_books(shown: Sequence[Shown], books: Mapping[str, JobBook]) -> list[str]:
    """Write each job's money into its row and say what does not add up."""
    problems = []
    for one in shown:
        book = books.get(one.job_id)
        if book is None:
            problems.append(f"{one.command} at {one.gateway} is not in the ledger")
            continue
        one.held, one.settled = show_usd(book.held_microusd), show_usd(book.settled_microusd)
        if one.price != one.held:
            problems.append(f"job {one.job_id} was announced at {one.price} and held {one.held}")
        if book.state is not JobState.STORED or not 0 < book.settled_microusd <= book.held_microusd:
            problems.append(f"job {one.job_id} is {book.state}, held {one.held}, settled {one.settled}")
        if book.released_microusd or book.refunded_microusd:
            problems.append(f"job {one.job_id} was released or refunded though its video was posted")
    if len(books) != len(shown):
        problems.append(f"{len(shown)} commands opened {len(books)} jobs")
    return problems


def _check_bills(gateways: SandboxGateways, books: Mapping[str, JobBook]) -> list[str]:
    """Compare what the bot thinks it was billed with the gateways' own books, and with what people paid."""
    problems = []
    per_unit = {"shortapi": Decimal(1), "hiapi": Decimal(1), "pixeldojo": CREDIT_USD}
    for stand in (gateways.shortapi, gateways.hiapi, gateways.pixeldojo):
        billed = microusd_from_usd(sum((job.billed for job in stand.jobs.values()), Decimal(0)) * per_unit[stand.name])
        booked = sum(book.billed_microusd for book in books.values() if book.gateway == stand.name)
        paid = sum(book.settled_microusd for book in books.values() if book.gateway == stand.name)
        if not billed == booked == paid:
            problems.append(
                f"{stand.name} billed {show_usd(billed)}, booked {show_usd(booked)}, people paid {show_usd(paid)}"
            )
    return problems
