"""The sandbox's Discord as its users see it: starting it, peopling it, acting in it, and looking at what came."""

import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from bot.sandbox.discord.cdn import Cdn
from bot.sandbox.discord.commands import EVERYWHERE, Commands
from bot.sandbox.discord.faults import Faults
from bot.sandbox.discord.files import Upload
from bot.sandbox.discord.gateway import Gateway
from bot.sandbox.discord.interaction import Interaction, Interactions
from bot.sandbox.discord.member import MemberActions
from bot.sandbox.discord.message import Message
from bot.sandbox.discord.openapi import Mismatch, OpenApi
from bot.sandbox.discord.people import Channel, Guild, User
from bot.sandbox.discord.pipeline import Pipeline, Request
from bot.sandbox.discord.posting import Posting
from bot.sandbox.discord.ratelimit import RateLimits
from bot.sandbox.discord.rest_application import ApplicationRoutes
from bot.sandbox.discord.rest_channels import ChannelRoutes
from bot.sandbox.discord.rest_interactions import InteractionRoutes
from bot.sandbox.discord.rules_commands import Definition
from bot.sandbox.discord.world import World

HOST = "127.0.0.1"
API = "/api/v10"
UPLOAD_BYTES_MAX = 20 * 2**20
LINK_LIFE_S = 86_400
SHUTDOWN_S = 1.0


def real_time() -> datetime:
    return datetime.now(UTC)


class SandboxDiscord:
    """Made by `start`. The bot needs `api_url` and `bot_token`; everything else it finds out over the wire."""

    def __init__(
        self,
        *,
        openapi: OpenApi | None,
        clock: Callable[[], datetime],
        upload_bytes_max: int,
        messages_per_5_s: int | None,
        webhook_per_2_s: int | None,
        link_life_s: int,
        shards: int,
    ) -> None:
        self.bot_token = f"sandbox.{secrets.token_urlsafe(24)}"
        self.api_url = ""
        self.world = World(clock, upload_bytes_max=upload_bytes_max, link_life_s=link_life_s)
        self.limits = RateLimits(messages_per_5_s=messages_per_5_s, webhook_per_2_s=webhook_per_2_s)
        self.gateway = Gateway(self.world, bot_token=self.bot_token)
        self.faults = Faults(self.world, self.gateway)
        self._registered = Commands(self.world.application_id, self.world.new_id)
        self._interactions = Interactions(self.world)
        self._actions = MemberActions(self.world, self._registered, self._interactions, self.gateway)
        self._shards = shards
        self._http: aiohttp.ClientSession | None = None
        self._pipeline = Pipeline(
            bot_token=self.bot_token, world=self.world, limits=self.limits, faults=self.faults, openapi=openapi
        )

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        port: int = 0,
        openapi: Path | OpenApi | None = None,
        clock: Callable[[], datetime] | None = None,
        upload_bytes_max: int = UPLOAD_BYTES_MAX,
        messages_per_5_s: int | None = 5,
        webhook_per_2_s: int | None = 5,
        link_life_s: int = LINK_LIFE_S,
        shards: int = 1,
    ) -> AsyncIterator[Self]:
        """Listens on loopback until the block ends.

        `openapi` is Discord's document, or its path, if it is at hand; None for a limit means that there is none.
        """
        sandbox = cls(
            openapi=OpenApi.read(openapi) if isinstance(openapi, Path) else openapi,
            clock=clock or real_time,
            upload_bytes_max=upload_bytes_max,
            messages_per_5_s=messages_per_5_s,
            webhook_per_2_s=webhook_per_2_s,
            link_life_s=link_life_s,
            shards=shards,
        )
        runner = web.AppRunner(sandbox._application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port)
            await site.start()
            sandbox._listening_at(runner.addresses[0][1])
            async with aiohttp.ClientSession() as sandbox._http:
                yield sandbox
        finally:
            sandbox.faults.clear()
            sandbox.gateway.close_all(resumable=True)
            await runner.cleanup()

    def _application(self) -> web.Application:
        posting = Posting(self.world)
        application = ApplicationRoutes(
            self.world, self._registered, gateway_url=lambda: self.gateway.url, shards=self._shards
        )
        channels = ChannelRoutes(self.world, posting)
        interactions = InteractionRoutes(self.world, posting, self._interactions)
        app = web.Application()
        for route in [*application.routes(), *interactions.routes(), *channels.routes()]:
            app.router.add_route(route.method, API + route.template, self._pipeline.serve(route))
        app.router.add_route("*", "/api/{unknown:.*}", self._pipeline.unknown_route)
        cdn = Cdn(self.world.files, self.world.links)
        for prefix in ("", "/media"):
            for folder in ("attachments", "ephemeral-attachments"):
                app.router.add_get(f"{prefix}/{folder}/{{place}}/{{file_id}}/{{filename}}", cdn.serve)
        for path in ("/", "/gateway", "/gateway/"):
            app.router.add_get(path, self.gateway.serve)
        return app

    def _listening_at(self, port: int) -> None:
        self.api_url = f"http://{HOST}:{port}{API}"
        self.world.links.base = f"http://{HOST}:{port}"
        self.gateway.url = f"ws://{HOST}:{port}/gateway"

    # Who and where

    @property
    def application_id(self) -> int:
        return self.world.application_id

    @property
    def gateway_url(self) -> str:
        """What /gateway/bot answers; discord.py's DEFAULT_GATEWAY needs it only when a session is lost for good."""
        return self.gateway.url

    @property
    def bot_user_id(self) -> int:
        return self.world.bot.id

    @property
    def owner(self) -> User:
        """The application's owner."""
        return self.world.owner

    def add_user(self, name: str, *, nitro: bool = False) -> User:
        return self.world.add_user(name, nitro=nitro)

    def add_guild(self, name: str, *, owner: User, upload_bytes_max: int | None = None) -> Guild:
        return self.world.add_guild(name, owner=owner, upload_bytes_max=upload_bytes_max)

    def set_bot_permissions(self, channel: Channel, permissions: int) -> None:
        self.world.set_bot_permissions(channel, permissions)

    # What members do

    async def ready(self, timeout_s: float = 30.0) -> None:
        """A bot is at the gateway and has registered its commands."""
        await self.gateway.wait_ready(timeout_s)
        bell = self._registered.bell
        await bell.until(lambda: self._registered.registered or None, timeout_s=timeout_s, what="registered commands")

    async def command(
        self,
        user: User,
        channel: Channel,
        path: str,
        /,
        options: Mapping[str, Any] | None = None,
        attachments: Mapping[str, Upload] | None = None,
    ) -> Interaction:
        """A slash command such as `video reference`; `SandboxRefusal` if Discord's client would not send it."""
        return self._actions.command(user, channel, path, options or {}, attachments or {})

    async def autocomplete(
        self, user: User, channel: Channel, path: str, /, focused: str, options: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        return await self._actions.autocomplete(user, channel, path, focused, options or {})

    async def press(self, user: User, message: Message, name: str, values: Sequence[str] = ()) -> Interaction:
        """A button by label or custom_id, or a select by custom_id with the values chosen."""
        return self._actions.press(user, message, name, values)

    async def submit_modal(self, user: User, interaction: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Sends the modal `interaction` was answered with; files go in as lists of `Upload`."""
        return self._actions.submit_modal(user, interaction, values)

    def deliver_again(self, interaction: Interaction) -> None:
        """Discord tells the bot of the same interaction a second time."""
        self._actions.deliver(interaction)

    async def download(self, url: str) -> bytes:
        """The bytes at a CDN address, over HTTP as a client gets them."""
        if self._http is None:
            raise RuntimeError("the sandbox has not been started")
        async with self._http.get(url) as response:
            response.raise_for_status()
            return await response.read()

    async def gone(self, timeout_s: float = 30.0) -> None:
        """No bot is connected any more."""
        await self.gateway.wait_gone(timeout_s)

    # What came of it

    @property
    def commands(self) -> list[Definition]:
        """The global commands as registered."""
        return self._registered.of(EVERYWHERE)

    def guild_commands(self, guild: Guild) -> list[Definition]:
        return self._registered.of(guild.id)

    @property
    def requests(self) -> "deque[Request]":
        """The newest requests of the bot, oldest first; status 0 stands for a dropped connection."""
        return self._pipeline.requests

    @property
    def mismatches(self) -> list[Mismatch]:
        """Where the bot or this sandbox disagreed with Discord's OpenAPI document."""
        return self._pipeline.mismatches

    def assert_clean(self, ignoring: Iterable[str] = ()) -> None:
        """Raises if anything disagreed with Discord's document."""
        found = [str(mismatch) for mismatch in self.mismatches if not any(part in str(mismatch) for part in ignoring)]
        if found:
            raise AssertionError("against Discord's OpenAPI document:\n" + "\n".join(found))
