"""`gallop` as a stranger runs it: a process of its own, with an environment, output and an exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bot.app import read_books
from bot.domain.job import JobBook
from bot.sandbox.discord.bell import Bell
from tests.scenarios.theatre import Theatre, theatre

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 10.0
# What a clean end never leaves behind.
LITTER = ("Traceback", "Unclosed", "ResourceWarning", "was never", "never retrieved")


class Ended(NamedTuple):
    """How a command ended."""

    exit_code: int
    output: str
    errors: str

    @property
    def sentences(self) -> list[str]:
        """What was said on stderr beside the log, whose lines begin with the time."""
        return [line for line in self.errors.splitlines() if not line[:4].isdigit()]


@dataclass
class Life:
    """One run of the bot; its log can be waited for."""

    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)
    bell: Bell = field(default_factory=Bell)

    async def says(self, words: str, timeout_s: float = ENDS_WITHIN_S) -> str:
        """Wait for a line of the log that holds these words."""

        def look() -> str | None:
            return next((line for line in self.log if words in line), None)

        try:
            return await self.bell.until(look, timeout_s=timeout_s, what="the line")
        except TimeoutError:
            raise AssertionError(f"“{words}” is not in the log:\n{''.join(self.log)}") from None

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def end(self, timeout_s: float = ENDS_WITHIN_S) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    async def stop(self, timeout_s: float = ENDS_WITHIN_S) -> int:
        self.ask_to_stop()
        return await self.end(timeout_s)

    async def kill(self) -> None:
        """End it in the middle of whatever it does, as power does."""
        self.process.kill()
        await self.process.wait()

    async def listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode())
            self.bell.ring()


@dataclass
class Stage:
    """The sandbox with its people, and the bot's lives on one database."""

    theatre: Theatre
    folder: Path

    @property
    def database_path(self) -> Path:
        return self.folder / "gallop.db"

    def environment(self, **changes: Any) -> dict[str, str]:
        """Return the bot's settings as an environment; None leaves one out."""
        settings = {**self.theatre.settings, **changes}
        return {name.upper(): str(value) for name, value in settings.items() if value is not None}

    @asynccontextmanager
    async def life(self, *, ready: bool = True, **changes: Any) -> AsyncIterator[Life]:
        """Run the bot until the block ends; what still runs then is killed. A clean end leaves a clean log."""
        process = await started("run", self.environment(**changes), self.folder)
        life = Life(process)
        listening = asyncio.create_task(life.listen())
        try:
            if ready:
                await self._ready(life)
            yield life
        finally:
            if process.returncode is None:
                await life.kill()
            await listening
        if process.returncode == 0:
            assert [line for line in life.log if any(word in line for word in LITTER)] == []
        await self.theatre.discord.gone()

    async def _ready(self, life: Life) -> None:
        ready = asyncio.create_task(self.theatre.discord.ready())
        ended = asyncio.create_task(life.process.wait())
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise AssertionError(f"the bot ended:\n{''.join(life.log)}")
        ended.cancel()
        await ready

    async def gallop(self, command: str, **changes: Any) -> Ended:
        return await gallop(command, self.environment(**changes), self.folder)

    async def books(self) -> list[JobBook]:
        return await read_books(self.database_path)


@asynccontextmanager
async def stage(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    async with theatre(folder, started=False, **settings) as made:
        yield Stage(made, folder)


async def started(command: str, environment: Mapping[str, str], folder: Path) -> asyncio.subprocess.Process:
    """Start `gallop COMMAND` in this folder with this environment and no other settings."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *command.split()),
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "default,ignore:'audioop':DeprecationWarning",
            **environment,
        },
        stdout=asyncio.subprocess.DEVNULL if command == "run" else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def gallop(
    command: str,
    environment: Mapping[str, str],
    folder: Path,
    *,
    timeout_s: float = 30.0,
) -> Ended:
    """Run a command that ends by itself."""
    process = await started(command, environment, folder)
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, (output or b"").decode(), errors.decode())
