"""The whole app on loopback, opened by the same function as `gallop run`, with the sandbox around it."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bot.adapters.media.render import render
from bot.app import App, open_app
from bot.config import load_settings
from bot.domain.job import Job
from bot.sandbox.discord import Channel, Guild, Interaction, Message, OpenApi, SandboxDiscord, Upload, User
from bot.sandbox.gateways.server import RequestLimits, SandboxGateways
from bot.sandbox.gateways.works import Pace

_MADE: dict[tuple[int, int, int], bytes] = {}


async def rendered_once(
    *, prompt: str, pictures: Sequence[bytes], width: int, height: int, duration_s: int, label: str
) -> bytes:
    """Render each size once in the whole run: what a video shows does not matter here."""
    key = (width, height, duration_s)
    if key not in _MADE:
        _MADE[key] = await render(
            prompt="a horse", pictures=(), width=width, height=height, duration_s=duration_s, label="test"
        )
    return _MADE[key]


@cache
def _document() -> OpenApi | None:
    path = os.environ.get("DISCORD_OPENAPI")
    return OpenApi.read(Path(path)) if path else None


@dataclass
class Theatre:
    """Who and what is there, and the app that plays; `restart` is a new life of it on the same files."""

    discord: SandboxDiscord
    gateways: SandboxGateways
    guild: Guild
    channel: Channel
    member: User
    folder: Path
    settings: dict[str, Any]
    app: App = field(init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _running: "asyncio.Task[None] | None" = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        self._stack = AsyncExitStack()
        self.app = await self._stack.enter_async_context(open_app(load_settings(None, **self.settings)))
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(self.app.run(self._stop))
        ready = asyncio.create_task(self.discord.ready())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            ready.cancel()
            await self._running
        await ready

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running
        await self._stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def command(self, path: str, options: dict[str, Any] | None = None, **more: Any) -> Interaction:
        user, channel = more.pop("user", self.member), more.pop("channel", self.channel)
        uploads = {name: Upload(f"{name}.png", data) for name, data in more.pop("pictures", {}).items()}
        return await self.discord.command(user, channel, path, options or {}, {**uploads, **more.pop("uploads", {})})

    async def said(self, path: str, options: dict[str, Any] | None = None, **more: Any) -> str:
        """Return the private answer's words."""
        interaction = await self.command(path, options, **more)
        return (await interaction.answer()).text

    async def job_of(self, interaction: Interaction) -> Job:
        jobs = await self.app.store.jobs_of(interaction.user.id, limit=1)
        return jobs[0]

    async def video(self, channel: Channel | None = None, timeout_s: float = 30.0) -> Message:
        return await (channel or self.channel).wait_message(has_video, timeout_s)

    async def card(self, *words: str, channel: Channel | None = None, timeout_s: float = 20.0) -> Message:
        """Wait for a message without a video that says all of these words."""
        return await (channel or self.channel).wait_message(
            lambda message: not has_video(message) and all(word in message.text for word in words), timeout_s
        )


def has_video(message: Message) -> bool:
    return any(media.filename.endswith(".mp4") for media in message.media)


def videos(channel: Channel) -> list[Message]:
    return [message for message in channel.messages if has_video(message)]


@asynccontextmanager
async def theatre(folder: Path, *, started: bool = True, **settings: Any) -> AsyncIterator[Theatre]:
    """Open the curtain. `settings` are those of the bot, in lower case; the sandbox's own come first."""
    limits = RequestLimits(shortapi=100_000, hiapi=100_000, pixeldojo=100_000)
    async with (
        SandboxDiscord.start(openapi=_document(), messages_per_5_s=None) as discord,
        SandboxGateways.start(
            render=rendered_once,
            pace=Pace(job_s=0.05),
            limits=limits,
            hiapi_signing_key=settings.get("hiapi_signing_key", ""),
        ) as gateways,
    ):
        guild = discord.add_guild("Paper Boats", owner=discord.owner)
        member = discord.add_user("mia")
        guild.add_member(member)
        own = {
            "discord_token": discord.bot_token,
            "discord_api_url": discord.api_url,
            "database_url": f"sqlite:///{folder}/gallop.db",
            "data_dir": str(folder / "data"),
            "shortapi_key": gateways.shortapi.key,
            "shortapi_url": gateways.shortapi.base_url,
            "hiapi_key": gateways.hiapi.key,
            "hiapi_url": gateways.hiapi.base_url,
            "hiapi_720p_usd_per_s": "0.139",
            "hiapi_1080p_usd_per_s": "0.186",
            "pixeldojo_key": gateways.pixeldojo.key,
            "pixeldojo_url": gateways.pixeldojo.base_url,
            "pixeldojo_credit_usd": "0.04",
            "http_port": "0",
            "watch_first_s": "0.1",
            "watch_interval_s": "0.1",
            "watch_interval_max_s": "0.2",
            "shortapi_requests_per_min": "6000",
            "hiapi_requests_per_min": "6000",
            "pixeldojo_requests_per_min": "6000",
        }
        made = Theatre(discord, gateways, guild, guild.add_channel("videos"), member, folder, {**own, **settings})
        if started:
            await made.start()
        try:
            yield made
        finally:
            await made.stop()
        discord.assert_clean()
