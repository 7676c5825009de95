"""The connection to Discord: logging in, registering commands, answering every failed command, closing."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import discord
from discord import app_commands
from discord.ext import commands
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot.adapters.discord.answers import CallFailed, sorted_failures
from bot.domain.errors import RequestRejected, StartFailed
from bot.presentation.replies import error_reply

if TYPE_CHECKING:
    from yarl import URL

log = logging.getLogger(__name__)

API_URL: Final = "https://discord.com/api/v10"
COMMANDS_NOTE: Final = "commands"
# The least that discord.py takes. Longer limits fail at once, so that a channel closed for an hour holds up no other.
RATE_LIMIT_WAITED_MAX_S: Final = 30.0
_UNKNOWN_INTERACTION: Final = 10062
_ALREADY_ACKNOWLEDGED: Final = 40060
NOT_ALLOWED: Final = "You may not use this command here. Nothing was held."


class AnsweringTree(app_commands.CommandTree["GallopBot"]):
    """A command tree whose every failure ends in an answer, also after a deferral.

    discord.py's own only logs (2.7.1 tree.py:795), which leaves a deferred command "thinking" for ever.
    """

    async def on_error(self, interaction: discord.Interaction["GallopBot"], error: Exception, /) -> None:
        """Answer a failed interaction; cogs call it for their buttons, too."""
        answer = NOT_ALLOWED if isinstance(error, app_commands.CheckFailure) else error_reply(error)
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if isinstance(cause, discord.NotFound) and cause.code == _UNKNOWN_INTERACTION:
            log.warning("interaction over before it was acknowledged interaction_id=%s", interaction.id)
            return
        if not isinstance(cause, RequestRejected | app_commands.CheckFailure):
            command = interaction.command.qualified_name if interaction.command is not None else None
            log.error("command failed interaction_id=%s command=%s", interaction.id, command, exc_info=cause)
        try:
            async with sorted_failures():
                await _send_privately(interaction, answer)
        except CallFailed as failed:
            log.warning("failure not answered interaction_id=%s reason=%s", interaction.id, failed)


async def _send_privately(interaction: discord.Interaction["GallopBot"], answer: str) -> None:
    if not interaction.response.is_done():
        try:
            await interaction.response.send_message(answer, ephemeral=True)
            return
        except discord.HTTPException as refused:
            # A deferral whose answer was lost; unless something else is said already, "thinking" is still there.
            if refused.code != _ALREADY_ACKNOWLEDGED or not (await interaction.original_response()).flags.loading:
                raise
    # After a deferral Discord puts the first follow-up in the place of "thinking".
    await interaction.followup.send(answer, ephemeral=True)


class _Answers(AsyncWebhookAdapter):
    """discord.py's calls by an interaction's token; a broken connection is an OSError, whatever aiohttp calls it."""

    async def request(self, route: discord.http.Route, session: aiohttp.ClientSession, **options: Any) -> Any:
        try:
            return await super().request(route, session, **options)
        except aiohttp.ClientError as error:
            raise ConnectionError(type(error).__name__) from error


class _Http(discord.http.HTTPClient):
    """discord.py's REST client, for callers that may give up at any time."""

    async def request(self, route: discord.http.Route, **options: Any) -> Any:
        try:
            return await super().request(route, **options)
        except asyncio.CancelledError:
            # While the whole bot is rate limited, discord.py lets all calls wait. If the call that ran into the limit
            # is given up meanwhile, they wait for ever (2.7.1 http.py:752).
            self._global_over.set()
            raise


class GallopBot(commands.AutoShardedBot):
    """discord.py's client with Gallop's settings. Start-up is `log_in`, then `run_until`."""

    def __init__(
        self,
        *,
        api_url: str | None = None,
        guild_ready_timeout_s: float = 2.0,
        http_trace: aiohttp.TraceConfig | None = None,
    ) -> None:
        self.api_url = (api_url or API_URL).rstrip("/")
        # discord.py has no other hook for its REST address, and it is the class's: one Discord per process.
        discord.http.Route.BASE = self.api_url
        # Gallop does not speak: the warnings at every start about libraries for voice would only worry an operator.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        self._entered = False
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=AnsweringTree,
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            guild_ready_timeout=guild_ready_timeout_s,
            http_trace=http_trace or aiohttp.TraceConfig(),
            max_ratelimit_timeout=RATE_LIMIT_WAITED_MAX_S,
        )
        # The client makes its own and hands it on to its state: there is no hook for another class.
        self.http.__class__ = _Http

    async def log_in(self, token: str) -> None:
        """Log in over REST; no gateway connection yet.

        Raises:
            StartFailed: the token was refused, or Discord could not be reached.
        """
        self._entered = True
        try:
            await self.login(token)
        except discord.LoginFailure as error:
            await self.close()
            raise StartFailed(
                "DISCORD_TOKEN was refused by Discord: copy it again from the application's page (Bot, Reset Token), "
                "for example DISCORD_TOKEN=the-token-from-the-bot-page"
            ) from error
        except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
            await self.close()
            raise StartFailed(
                f"Discord could not be reached at {self.api_url} ({type(error).__name__}): check the network and "
                f"DISCORD_API_URL, for example DISCORD_API_URL={API_URL}"
            ) from error

    async def close(self) -> None:
        # Before a login there is nothing to close, and discord.py would fail (2.7.1 shard.py:557).
        if self._entered:
            await super().close()

    async def launch_shard(self, gateway: "URL", shard_id: int, *, initial: bool = False) -> None:
        """Remember the address that /gateway/bot named.

        A session lost for good is begun anew at the class's built-in address (2.7.1 gateway.py:383), wherever it was.
        """
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = gateway
        await super().launch_shard(gateway, shard_id, initial=initial)

    def is_connected(self) -> bool:
        """Say whether every shard has an open connection and the session is ready."""
        shards = self.shards.values()
        return self.is_ready() and bool(shards) and not any(shard.is_closed() for shard in shards)

    def operator_ids(self, configured: Iterable[int] = ()) -> frozenset[int]:
        """Return the configured operators, else the application's owner or the accepted members of its team."""
        chosen = frozenset(configured)
        if chosen or self.application is None:
            return chosen
        team = self.application.team
        if team is None:
            return frozenset({self.application.owner.id})
        accepted = discord.TeamMembershipState.accepted
        return frozenset(member.id for member in team.members if member.membership_state is accepted)

    async def sync_if_changed(
        self, get_note: Callable[[str], Awaitable[str | None]], set_note: Callable[[str, str], Awaitable[None]]
    ) -> bool:
        """Register the commands where they differ from what was registered last; say whether they were sent.

        Raises:
            StartFailed: Discord refused them.
        """
        payload = sorted(json.dumps(command.to_dict(self.tree), sort_keys=True) for command in self.tree.get_commands())
        state = json.dumps([self.api_url, self.application_id, payload])
        digest = hashlib.sha256(state.encode()).hexdigest()
        if await get_note(COMMANDS_NOTE) == digest and await self._has_commands():
            return False
        try:
            await self.tree.sync()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            raise StartFailed(f"Discord did not take the commands: {error}") from error
        await set_note(COMMANDS_NOTE, digest)
        log.info("commands registered count=%s", len(payload))
        return True

    async def _has_commands(self) -> bool:
        """Say whether Discord still has every command; somebody may have deleted them there."""
        try:
            known = {command.name for command in await self.tree.fetch_commands()}
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.warning("commands not compared error=%s", type(error).__name__)
            return True
        return known >= {command.name for command in self.tree.get_commands()}

    async def run_until(self, stop: asyncio.Event) -> None:
        """Stay connected to the gateway until `stop` is set, then close. discord.py reconnects by itself meanwhile.

        Raises:
            StartFailed: Discord ended the connection for good.
        """
        # Every interaction is handled in a task that descends from the connection's, and sees this.
        async_context.set(_Answers())  # type: ignore[no-untyped-call] # discord.py's has no annotations
        connection = asyncio.create_task(self.connect(reconnect=True))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({connection, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if connection.done():
                await connection
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            raise StartFailed(f"Discord ended the connection: {type(error).__name__}.") from error
        finally:
            stopping.cancel()
            await self.close()
            connection.cancel()
            await asyncio.gather(connection, stopping, return_exceptions=True)
