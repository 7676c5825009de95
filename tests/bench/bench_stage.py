"""What the measurements share: the sandbox, its people, a bot as a process of its own, and what /proc says of that."""

import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from random import Random

from bot.adapters.media.render import render
from bot.config import Settings
from bot.sandbox.discord import Channel, SandboxDiscord, User
from bot.sandbox.gateways.faults import Faults, ReadFault
from bot.sandbox.gateways.server import RequestLimits, SandboxGateways
from bot.sandbox.gateways.works import Pace

ROOT = Path(__file__).parents[2]
PROMPT = "A paper boat sails down a rainy street, camera low"
_UNLIMITED = 1_000_000
_READY_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 90.0


class CountingFaults(Faults):
    """Faults that never happen, and a count of the status reads that asked for one."""

    reads = 0

    def next_read(self) -> ReadFault | None:
        self.reads += 1
        return super().next_read()


@dataclass
class Rendering:
    """The gateways' renderer: any time between `least_s` and `most_s`, and always the same prepared video."""

    video: bytes
    least_s: float
    most_s: float
    random: Random = field(default_factory=lambda: Random(7))  # noqa: S311  # the same times in every run

    async def __call__(self, **_: object) -> bytes:
        await asyncio.sleep(self.random.uniform(self.least_s, self.most_s))
        return self.video


@dataclass(frozen=True)
class Stage:
    """The running sandbox, and each person with the channel they write in."""

    discord: SandboxDiscord
    gateways: SandboxGateways
    rendering: Rendering
    people: list[tuple[User, Channel]]
    folder: Path
    reads: CountingFaults


@dataclass(frozen=True)
class BotProcess:
    """A bot that runs beside us."""

    pid: int
    log_path: Path

    def cpu_s(self) -> float:
        """Seconds of processor time it has used itself, without its children."""
        user, system = self._stat()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        return int(self._stat()[21]) * os.sysconf("SC_PAGE_SIZE")

    def _stat(self) -> list[str]:
        # The name in the second field may hold blanks; what follows its bracket does not.
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()


@asynccontextmanager
async def stage(folder: Path, *, job_s: tuple[float, float], people: int) -> AsyncIterator[Stage]:
    """Open a sandbox without rate limits, with that many people spread over ten guilds of ten channels.

    A job takes any time between the two of `job_s`.
    """
    video = await render(prompt=PROMPT, pictures=(), width=1280, height=720, duration_s=5, label="bench")
    rendering = Rendering(video, *job_s)
    limits = RequestLimits(_UNLIMITED, _UNLIMITED, _UNLIMITED)
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(SandboxDiscord.start(messages_per_5_s=None, webhook_per_2_s=None))
        gateways = await stack.enter_async_context(
            SandboxGateways.start(render=rendering, pace=Pace(job_s=0), limits=limits)
        )
        gateways.shortapi.faults = reads = CountingFaults()
        served = [discord.add_guild(f"guild {number}", owner=discord.owner) for number in range(10)]
        rooms = [guild.add_channel(f"videos-{number}") for guild in served for number in range(10)]
        written = []
        for number, room in enumerate(islice(cycle(rooms), people)):
            user = discord.add_user(f"member {number}")
            room.guild.add_member(user)
            written.append((user, room))
        yield Stage(discord, gateways, rendering, written, folder, reads)


def settings(opened: Stage, home: Path, **more: str) -> dict[str, str]:
    """The settings of a bot that may do everything at once; the watcher's are the defaults."""
    return {
        "DISCORD_TOKEN": opened.discord.bot_token,
        "DISCORD_API_URL": opened.discord.api_url,
        "DATABASE_URL": f"sqlite:///{home}/gallop.db",
        "DATA_DIR": f"{home}/data",
        "SHORTAPI_KEY": opened.gateways.shortapi.key,
        "SHORTAPI_URL": opened.gateways.shortapi.base_url,
        "SHORTAPI_REQUESTS_PER_MIN": str(_UNLIMITED),
        "HTTP_PORT": "0",
        "GUILD_IDS": "*",
        **dict.fromkeys(("QUOTA_USER_DAY_USD", "QUOTA_USER_MONTH_USD"), "unlimited"),
        **dict.fromkeys(("QUOTA_GUILD_MONTH_USD", "QUOTA_BOT_MONTH_USD"), "unlimited"),
        **dict.fromkeys(("JOBS_PER_USER", "JOBS_PER_GUILD", "JOBS_PER_GATEWAY"), str(_UNLIMITED)),
        **more,
    }


@asynccontextmanager
async def bot_process(
    opened: Stage, arguments: Sequence[str], environment: Mapping[str, str], *, log_path: Path
) -> AsyncIterator[BotProcess]:
    """Run `python *arguments` with these settings and no others until the block ends; it is ready when yielded."""
    known = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in known}
    with log_path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            cwd=log_path.parent,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=output,
        )
        try:
            await opened.discord.ready(_READY_TIMEOUT_S)
            yield BotProcess(process.pid, log_path)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(_END_TIMEOUT_S):
                exit_code = await process.wait()
            if exit_code:
                raise RuntimeError(f"the bot ended with exit code {exit_code}:\n{_last_words(log_path)}")
            await opened.discord.gone()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _last_words(log_path: Path) -> str:
    return log_path.read_text(errors="replace")[-2_000:]


async def until(reached: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Look ten times a second, so that looking costs next to nothing."""
    ends_at_s = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > ends_at_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(0.1)


async def arriving(count: int, per_s: float) -> AsyncIterator[int]:
    """Count from 0 at a steady rate that waits for nobody: what is late is made up for at once."""
    start = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / per_s - time.monotonic()))
        yield number


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
