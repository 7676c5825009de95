"""Checks the set-up part by part and says what to do about what is wrong; spends nothing and changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import av
import discord
import httpx

from bot.adapters.discord.client import GallopBot
from bot.adapters.store.sqlite import is_paused
from bot.config import Settings
from bot.domain.errors import GatewayUnavailable, Refusal, StartFailed
from bot.domain.offers import Serving
from bot.domain.ports import Gateway, Library
from bot.domain.pricing import Capabilities
from bot.domain.request import Mode, Place, Resolution
from bot.domain.submitting import FREE_BYTES_MIN

# What delivery needs: see, send (also in threads), embed, attach, and read the history; together 274878024704.
PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    embed_links=True,
    attach_files=True,
    read_message_history=True,
)
# As Discord's settings call them; discord.py iterates over its own names.
_PERMISSION_WORDS = {
    "read_messages": "View Channels",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}
_GUILDS_MAX = 20
_TIMEOUT_S = 10.0
_NO_SUCH_JOB = "gallop-doctor"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor. `next_step` says what to do; empty where nothing needs doing."""

    ok: bool
    text: str
    next_step: str = ""

    @property
    def mark(self) -> str:
        return "✓" if self.ok else "✗"


async def check_up(
    settings: Settings, *, bot: GallopBot, gateways: Iterable[Gateway], library: Library, commands: frozenset[str]
) -> list[Check]:
    """Return every check, in the order in which an operator would mend things. `commands` are the names to expect."""
    checks = [await check_database(settings.database_path), await check_disk(library), check_codecs()]
    for gateway in gateways:
        checks += await check_gateway(gateway)
    checks += await check_discord(settings, bot, commands)
    checks.append(await check_public_address(settings.public_url))
    return checks


async def check_database(path: Path) -> Check:
    if not await asyncio.to_thread(path.exists):
        return Check(True, f"Database {path} is not there yet.", "`gallop run` makes it.")
    try:
        paused = await asyncio.to_thread(is_paused, path)
    except StartFailed as error:
        return Check(False, "Database cannot be used.", error.sentence)
    if paused:
        return Check(True, f"Database {path} works; spending is paused.", "`gallop resume` allows it again.")
    return Check(True, f"Database {path} works.")


async def check_disk(library: Library) -> Check:
    try:
        free = await library.free_bytes()
    except OSError as error:
        step = "Name a folder the bot may write to, for example DATA_DIR=data."
        return Check(False, f"DATA_DIR cannot be used ({error.strerror}).", step)
    text = f"Disk: {free / 1e9:.1f} GB free."
    if free < FREE_BYTES_MIN:
        return Check(False, text, "Below 1 GB nothing is submitted: make room, or move DATA_DIR.")
    return Check(True, text)


def check_codecs() -> Check:
    missing = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    if missing:
        return Check(False, f"Codecs missing: {', '.join(missing)}.", "Install the `av` package from its wheel.")
    return Check(True, "Codecs: H.264 and AAC are there.")


async def check_gateway(gateway: Gateway) -> list[Check]:
    facts = gateway.capabilities
    if facts.free:
        return [Check(True, f"{facts.title}: free previews, no key needed.")]
    setting = f"{facts.gateway.upper()}_KEY"
    if not facts.configured:
        return [Check(True, f"{facts.title}: not set up.", f"Set {setting} to use it.")]
    return [await _check_key(gateway, setting), _check_prices(facts)]


async def _check_key(gateway: Gateway, setting: str) -> Check:
    """Read a job that cannot exist: free, and a refused key is told apart from a missing job."""
    title = gateway.capabilities.title
    try:
        await gateway.read(_NO_SUCH_JOB)
    except GatewayUnavailable as error:
        if error.reason is Refusal.KEY:
            return Check(False, f"{title} refused the key.", f"Copy {setting} again from {title}'s console.")
        if error.reason is Refusal.CONNECTION:
            address = f"{gateway.capabilities.gateway.upper()}_URL"
            return Check(False, f"{title} cannot be reached ({error.detail}).", f"Check {address} and the network.")
    return Check(True, f"{title} answers, and did not refuse the key.")


def _check_prices(facts: Capabilities) -> Check:
    unpriced = [resolution.value for resolution in Resolution if resolution not in facts.prices]
    priced = [resolution.value for resolution in Resolution if resolution in facts.prices]
    modes = ", ".join(mode.value for mode in Mode if mode in facts.modes)
    if not priced:
        return Check(
            False,
            f"{facts.title} has no price, so nothing is bought there.",
            f"Set {_PRICE_SETTINGS.get(facts.gateway, 'its price')}; see Prices in the README.",
        )
    hint = f"{' and '.join(unpriced)} stays unpriced until its setting is given." if unpriced else ""
    have = "have" if len(facts.modes) * len(priced) > 1 else "has"
    return Check(True, f"{facts.title}: {modes} at {' and '.join(priced)} {have} a price.", hint)


_PRICE_SETTINGS = {
    "hiapi": "HIAPI_720P_USD_PER_S and HIAPI_1080P_USD_PER_S",
    "pixeldojo": "PIXELDOJO_CREDIT_USD",
}


async def check_discord(settings: Settings, bot: GallopBot, commands: frozenset[str]) -> list[Check]:
    try:
        await bot.log_in(settings.bot_token)
    except StartFailed as error:
        return [Check(False, "Discord does not let the bot in.", error.sentence)]
    application = bot.application
    name = application.name if application is not None else "unknown"
    checks = [Check(True, f"Token belongs to the application {name}."), _check_operators(settings, bot)]
    checks.append(await _asked("Commands", lambda: _check_commands(bot, commands)))
    checks.append(await _asked("Permissions", lambda: _check_guilds(bot)))
    checks.append(await _asked("Servers", lambda: _check_serving(settings, bot)))
    return checks


def _check_operators(settings: Settings, bot: GallopBot) -> Check:
    operators = bot.operator_ids(settings.operator_ids)
    if not operators:
        return Check(False, "Nobody is an operator.", "Set OPERATOR_IDS to your Discord user id.")
    return Check(True, f"Operators: {', '.join(str(operator) for operator in sorted(operators))}.")


async def _asked(what: str, check: Callable[[], Awaitable[Check]]) -> Check:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await check()
    except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
        return Check(False, f"{what} could not be read from Discord ({type(error).__name__}).", "Try again later.")


async def _check_commands(bot: GallopBot, wanted: frozenset[str]) -> Check:
    known = {command.name for command in await bot.tree.fetch_commands()}
    if wanted - known:
        return Check(False, "The commands are not registered yet.", "`gallop run` registers them.")
    return Check(True, f"Commands registered: {', '.join('/' + name for name in sorted(wanted))}.")


async def _guilds(bot: GallopBot) -> list[discord.Guild]:
    """Return the bot's guilds, each fetched by itself: the list names no roles and no owners."""
    listed = [guild.id async for guild in bot.fetch_guilds(limit=_GUILDS_MAX, with_counts=False)]
    return [await bot.fetch_guild(guild_id, with_counts=False) for guild_id in listed]


async def _check_serving(settings: Settings, bot: GallopBot) -> Check:
    """Say in which servers members get paid videos, and in which only previews."""
    serving = Serving(settings.guild_ids, lambda: bot.operator_ids(settings.operator_ids))
    served: list[str] = []
    closed: list[str] = []
    for guild in await _guilds(bot):
        place = Place(channel_id=0, guild_id=guild.id, guild_owner_id=guild.owner_id)
        (served if serving.may_pay(place, user_id=0) else closed).append(guild.name)
    step = "GUILD_IDS lists the servers with paid gateways; empty means those an operator owns." if closed else ""
    if not served and not closed:
        return Check(True, "Paid gateways: no server to open them in yet.")
    if not served:
        return Check(False, "Paid gateways are open in no server; members get only previews.", step)
    only = f"; only previews in {', '.join(closed)}" if closed else ""
    return Check(True, f"Paid gateways are open in {', '.join(served)}{only}.", step)


async def _check_guilds(bot: GallopBot) -> Check:
    lacking: Mapping[str, list[str]] = {}
    guilds = await _guilds(bot)
    for guild in guilds:
        member = await guild.fetch_member(bot.user.id) if bot.user is not None else None
        if member is not None and not member.guild_permissions >= PERMISSIONS:
            had = member.guild_permissions
            names = [_PERMISSION_WORDS[name] for name, needed in PERMISSIONS if needed and not getattr(had, name)]
            lacking = {**lacking, guild.name: names}
    invite = discord.utils.oauth_url(
        bot.application_id or 0, permissions=PERMISSIONS, scopes=("bot", "applications.commands")
    )
    if not guilds:
        return Check(False, "The bot is in no server.", f"Invite it: {invite}")
    if lacking:
        missing = "; ".join(f"{guild}: {', '.join(names)}" for guild, names in lacking.items())
        return Check(False, f"Permissions are missing ({missing}).", f"Invite it again: {invite}")
    servers = f"{len(guilds)} server{'s' if len(guilds) != 1 else ''}"
    return Check(True, f"Permissions: complete in {servers}, before channel overrides.")


async def check_public_address(public_url: str | None) -> Check:
    if public_url is None:
        return Check(
            True,
            "Public address: none; gateways fetch pictures from Discord and do not call back; "
            "large videos get no link.",
        )
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = await client.get(f"{public_url.rstrip('/')}/healthz")
    except httpx.HTTPError as error:
        step = "Start the bot, and let the proxy pass this address to HTTP_HOST and HTTP_PORT."
        return Check(False, f"PUBLIC_URL does not answer ({type(error).__name__}).", step)
    if answer.status_code != httpx.codes.OK:
        step = "The proxy must pass it to the bot's HTTP_PORT."
        return Check(False, f"PUBLIC_URL answers /healthz with status {answer.status_code}.", step)
    return Check(True, "Public address answers.")
