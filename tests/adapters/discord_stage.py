"""A bot connected to the sandbox's Discord, with one guild, one channel and one member, for the tests beside it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image as Pictures

from bot.adapters.discord.client import GallopBot
from bot.adapters.discord.places import Places
from bot.adapters.discord.posting import Posting
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.job import Delivery, Job, JobState, Video
from bot.domain.ports import CardView
from bot.domain.request import Image, Mode, Resolution, VideoRequest
from bot.sandbox.discord import Channel, Guild, OpenApi, SandboxDiscord, User
from tests.fakes import FakeClock, FakeLibrary

JOB_ID = "k7m2p9q4r8s3t6v1"
OTHER_JOB_ID = "a1b2c3d4e5f6g7h8"
VIDEO_BYTES = b"not really a video " * 100


@dataclass
class Stage:
    """Who and what is there; `job()` makes a job of the member in the channel."""

    sandbox: SandboxDiscord
    bot: GallopBot
    clock: FakeClock
    library: FakeLibrary
    store: SqliteStore
    places: Places
    posting: Posting
    owner: User
    member: User
    guild: Guild
    channel: Channel

    def job(self, job_id: str = JOB_ID, *, pictures: int = 0, private: bool = False, **changes: Any) -> Job:
        images = tuple(self._picture(f"{job_id}{n}.png", 300 + n) for n in range(1, pictures + 1))
        request = VideoRequest(
            mode=Mode.REFERENCE if pictures else Mode.TEXT,
            prompt=changes.pop("prompt", "A paper boat"),
            resolution=Resolution.P720,
            ratio="16:9",
            duration_s=5,
            gateway="hiapi",
            pinned=False,
            price_microusd=645_000,
            private=private,
        )
        job = Job(
            job_id=job_id,
            user_id=self.member.id,
            guild_id=self.guild.id,
            channel_id=self.channel.id,
            request=request,
            images=images,
            state=JobState.HELD,
            created_at=self.clock.now(),
            since_at=self.clock.now(),
            next_at=None,
        )
        return replace(job, **changes)

    def stored_job(self, job_id: str = JOB_ID, *, size: int | None = None, **changes: Any) -> Job:
        """Return a job whose video is in the library and due."""
        data = VIDEO_BYTES if size is None else b"v" * size
        self.library.path(f"{job_id}.mp4").write_bytes(data)
        video = Video(f"{job_id}.mp4", len(data), 5.0, 1280, 720)
        now = self.clock.now()
        state = {"state": JobState.STORED, "delivery": Delivery.DUE, "delivery_since": now, "video": video}
        return self.job(job_id, **{**state, "charged_microusd": 645_000, **changes})

    def _picture(self, name: str, width: int) -> Image:
        path = self.library.path(name)
        Pictures.new("RGB", (width, 300), "teal").save(path)
        return Image(name, "image/png", width, 300, path.stat().st_size)

    def posts(self, channel_id: int) -> list[Any]:
        """Return the bot's requests to make a message in a channel."""
        end = f"/channels/{channel_id}/messages"
        return [request for request in self.sandbox.requests if request.method == "POST" and request.path.endswith(end)]


@cache
def _document() -> OpenApi | None:
    """Discord's OpenAPI document where the environment names one: then the bot's every request is checked by it."""
    path = os.environ.get("DISCORD_OPENAPI")
    return OpenApi.read(Path(path)) if path else None


def view_of(job: Job) -> CardView:
    return CardView(job, "HiAPI", "HappyHorse 1.1")


@asynccontextmanager
async def stage(tmp_path: Path, **settings: Any) -> AsyncIterator[Stage]:
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    started = SandboxDiscord.start(clock=clock.now, messages_per_5_s=None, openapi=_document(), **settings)
    async with open_store(tmp_path / "gallop.db") as store, started as sandbox:
        owner, member = sandbox.add_user("otto"), sandbox.add_user("mia")
        guild = sandbox.add_guild("Paddock", owner=owner)
        guild.add_member(member)
        channel = guild.add_channel("videos")
        async with connected(sandbox) as bot:
            library = FakeLibrary(tmp_path)
            yield Stage(sandbox, bot, clock, library, store, Places(bot), Posting(), owner, member, guild, channel)


@asynccontextmanager
async def connected(sandbox: SandboxDiscord) -> AsyncIterator[GallopBot]:
    bot = GallopBot(api_url=sandbox.api_url, guild_ready_timeout_s=0.05)
    await bot.log_in(sandbox.bot_token)
    stop = asyncio.Event()
    running = asyncio.create_task(bot.run_until(stop))
    try:
        async with asyncio.timeout(10):
            await bot.wait_until_ready()
        yield bot
    finally:
        stop.set()
        await running
