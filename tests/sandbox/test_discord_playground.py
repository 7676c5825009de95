"""Logging in and registering commands; and the playground in which the other sandbox tests run discord.py."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands

from bot.sandbox.discord import Channel, Guild, Interaction, OpenApi, SandboxDiscord, Upload, User

pytestmark = pytest.mark.wire

Act = Callable[[discord.Interaction], Coroutine[Any, Any, None]]
Setup = Callable[["Actor"], None]


@cache
def document() -> OpenApi | None:
    """Discord's OpenAPI document where the environment names one: then every test here is checked against it."""
    path = os.environ.get("DISCORD_OPENAPI")
    return OpenApi.read(Path(path)) if path else None


class Clock:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class Actor(commands.AutoShardedBot):
    """Unmodified discord.py; `/run` does whatever the test says."""

    def __init__(self, setup: Setup | None) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            intents=discord.Intents(guilds=True),
            guild_ready_timeout=0.1,
            max_messages=None,
            help_command=None,
        )
        self.setup = setup
        self.act: Act | None = None
        self.started: asyncio.Future[asyncio.Task[None]] | None = None

    async def setup_hook(self) -> None:
        @self.tree.command(name="run", description="Does what the test says")
        async def run(interaction: discord.Interaction, picture: discord.Attachment | None = None) -> None:
            interaction.extras["picture"] = picture
            await self.perform(interaction)

        if self.setup is not None:
            self.setup(self)
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """discord.py would wait five seconds between identifies; the sandbox does not ask for that."""

    async def perform(self, interaction: discord.Interaction) -> None:
        """Runs the test's act in a task of its own, so that the test sees how it ended."""
        assert self.act is not None
        assert self.started is not None
        task = asyncio.create_task(self.act(interaction))
        self.started.set_result(task)
        await asyncio.wait({task})


@dataclass
class Playground:
    """A guild with a member and a channel, and a bot that is logged in."""

    sandbox: SandboxDiscord
    bot: Actor
    clock: Clock
    mia: User
    guild: Guild
    channel: Channel

    def place(self, channel: Channel | None = None) -> discord.PartialMessageable:
        """A channel as the bot addresses it without a cache."""
        return self.bot.get_partial_messageable((channel or self.channel).id)

    async def run(self, act: Act, *, channel: Channel | None = None, picture: Upload | None = None) -> Interaction:
        """Mia runs `/run`; returns when `act` has ended, with its exception if it had one."""
        self.expect(act)
        files = {"picture": picture} if picture else {}
        interaction = await self.sandbox.command(self.mia, channel or self.channel, "run", {}, files)
        await self.finished()
        return interaction

    def expect(self, act: Act) -> None:
        self.bot.act, self.bot.started = act, asyncio.get_running_loop().create_future()

    async def finished(self) -> None:
        assert self.bot.started is not None
        await asyncio.wait_for(await asyncio.wait_for(self.bot.started, 5), 5)


@asynccontextmanager
async def playing(setup: Setup | None = None, *, clean: bool = True, **options: Any) -> AsyncIterator[Playground]:
    """Only `Route.BASE` points at the sandbox; it is put back."""
    clock = Clock()
    options.setdefault("openapi", document())
    base = discord.http.Route.BASE
    async with SandboxDiscord.start(clock=clock, **options) as sandbox:
        discord.http.Route.BASE = sandbox.api_url
        mia = sandbox.add_user("mia")
        guild = sandbox.add_guild("Guild", owner=sandbox.owner)
        guild.add_member(mia)
        bot = Actor(setup)
        login = asyncio.create_task(bot.start(sandbox.bot_token))
        try:
            play = Playground(sandbox, bot, clock, mia, guild, guild.add_channel("general"))
            await _ready_or_failed(sandbox, login)
            yield play
        finally:
            await bot.close()
            await asyncio.gather(login, return_exceptions=True)
            discord.http.Route.BASE = base
        if clean:
            sandbox.assert_clean()


async def _ready_or_failed(sandbox: SandboxDiscord, login: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(sandbox.ready(5))
    await asyncio.wait({login, ready}, return_when=asyncio.FIRST_COMPLETED)
    if login.done():
        ready.cancel()
        await asyncio.wait({ready})
        login.result()
    await ready


async def test_discord_py_logs_in_and_learns_who_it_is() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        assert play.bot.user is not None
        assert play.bot.user.id == play.sandbox.bot_user_id
        info = await play.bot.application_info()
        assert (info.id, info.owner.id) == (play.sandbox.application_id, play.sandbox.owner.id)
        assert info.team is None


async def test_only_the_rest_address_is_needed_to_find_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever a bot of another test left there, nobody listens at this one.
    url = type(discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY)("ws://127.0.0.1:9/")
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", url)
    async with playing() as play:
        asked = [request.route for request in play.sandbox.requests]
        assert "/gateway/bot" in asked


async def test_the_bot_sees_its_guild_its_channels_and_its_own_permissions() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        guild = play.bot.get_guild(play.guild.id)
        assert guild is not None
        channel = guild.get_channel(play.channel.id)
        assert channel is not None
        assert channel.permissions_for(guild.me).attach_files
        fetched = await play.bot.fetch_guild(play.guild.id, with_counts=True)
        assert (fetched.name, fetched.approximate_member_count) == ("Guild", 3)


async def test_permissions_set_in_a_channel_reach_the_bot() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        changed = asyncio.ensure_future(play.bot.wait_for("guild_channel_update", timeout=5))
        await asyncio.sleep(0)
        play.sandbox.set_bot_permissions(play.channel, 1 << 10)
        await changed
        guild = play.bot.get_guild(play.guild.id)
        assert guild is not None
        channel = guild.get_channel(play.channel.id)
        assert channel is not None
        assert channel.permissions_for(guild.me).value == 1 << 10


async def test_commands_are_registered_with_ids_and_can_be_read_back() -> None:
    async with playing() as play:
        assert [command["name"] for command in play.sandbox.commands] == ["run"]
        fetched = await play.bot.tree.fetch_commands()
        assert str(fetched[0].id) == play.sandbox.commands[0]["id"]


async def test_a_guilds_own_commands_are_kept_apart() -> None:
    async with playing() as play:
        home = discord.Object(play.guild.id)
        play.bot.tree.copy_global_to(guild=home)
        synced = await play.bot.tree.sync(guild=home)
        assert synced[0].guild_id == play.guild.id
        assert play.sandbox.guild_commands(play.guild)[0]["id"] != play.sandbox.commands[0]["id"]


async def test_two_commands_of_one_name_get_a_form_error() -> None:
    def setup(bot: Actor) -> None:
        @bot.tree.command(name="second", description="x")
        async def second(interaction: discord.Interaction) -> None:
            await interaction.response.defer()

        second.name = "run"

    with pytest.raises(app_commands.CommandSyncFailure) as caught:
        async with playing(setup, clean=False):
            pass
    assert caught.value.code == 50035


async def test_a_wrong_token_is_refused() -> None:
    async with playing():
        stranger = discord.Client(intents=discord.Intents.none())
        async with stranger:
            with pytest.raises(discord.LoginFailure):
                await stranger.login("not-the-token")


async def test_a_guild_made_later_reaches_the_bot() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        joined = asyncio.ensure_future(play.bot.wait_for("guild_join", timeout=5))
        await asyncio.sleep(0)
        guild = play.sandbox.add_guild("Later", owner=play.mia)
        assert (await joined).id == guild.id


async def test_two_shards_each_get_their_own_guilds() -> None:
    async with playing(shards=2) as play:
        await play.bot.wait_until_ready()
        assert play.bot.shard_count == 2
        guild = play.bot.get_guild(play.guild.id)
        assert guild is not None
        assert guild.shard_id == (play.guild.id >> 22) % 2


async def test_a_bot_that_leaves_is_gone_and_its_commands_stay() -> None:
    async with playing() as play:
        await play.bot.close()
        await play.sandbox.gone(5)
        assert [command["name"] for command in play.sandbox.commands] == ["run"]
