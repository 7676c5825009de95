"""Lives of the bot under a tripwire, as a test sees them: started quickly, watched point by point, ended for sure."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bot.sandbox.discord.bell import Bell
from tests.scenarios.kill_points import Point
from tests.scenarios.process import ROOT, Stage

KILLED = -signal.SIGKILL
LIFE_MAX_S = 60.0
REST_WITHIN_S = 30.0


@dataclass
class WiredLife:
    """One run of the bot. `exit_code` is negative where a signal ended it, None while it runs."""

    log_path: Path
    pid: int | None = None
    exit_code: int | None = None
    points: list[Point] = field(default_factory=list)
    bell: Bell = field(default_factory=Bell)

    async def listen(self, reader: asyncio.StreamReader) -> None:
        while self.exit_code is None:
            word, _, rest = (await reader.readline()).decode().strip().partition(" ")
            if word == "point":
                self.points.append(Point.read(rest))
            elif word == "born":
                self.pid = int(rest)
            else:
                self.exit_code = int(rest)
            self.bell.ring()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Ask at every point that is passed whether something holds."""
        await self.bell.until(lambda: holds() or None, timeout_s=REST_WITHIN_S, what=what)

    async def ended(self) -> int:
        return await self.bell.until(lambda: self.exit_code, timeout_s=LIFE_MAX_S, what="the end of the life")

    async def stop(self) -> int:
        return await self._end_by(signal.SIGTERM)

    async def kill(self) -> int:
        return await self._end_by(signal.SIGKILL)

    async def _end_by(self, number: signal.Signals) -> int:
        pid = await self.bell.until(lambda: self.pid, timeout_s=LIFE_MAX_S, what="the birth")
        if self.exit_code is None:
            with suppress(ProcessLookupError):  # it has ended, and the word of it is on its way
                os.kill(pid, number)
        return await self.ended()


class Nursery:
    """Forks lives from a process that has everything imported: each takes a tenth of a second to start."""

    def __init__(self, orders: asyncio.StreamWriter) -> None:
        self._orders = orders
        self._numbers = count(1)

    @asynccontextmanager
    async def life(self, stage: Stage, *, kill_at: Point | None = None, **changes: Any) -> AsyncIterator[WiredLife]:
        """Run the bot until the block ends; what still runs then is killed."""
        number = next(self._numbers)
        life = WiredLife(stage.folder / f"{number}.log")
        report = stage.folder / f"{number}.report"
        async with _lines_of(report) as reader:
            listening = asyncio.create_task(life.listen(reader))
            order = {
                "environment": {**os.environ, **stage.environment(**changes)},
                "folder": str(stage.folder),
                "log": str(life.log_path),
                "report": str(report),
                "kill_at": str(kill_at or ""),
            }
            self._orders.write(json.dumps(order).encode() + b"\n")
            try:
                yield life
            finally:
                if life.exit_code is None:
                    await life.kill()
                await listening
        await stage.theatre.discord.gone()


@asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.scenarios.kill_points"),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default,ignore:'audioop':DeprecationWarning"},
        stdin=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        yield Nursery(process.stdin)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _lines_of(path: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Make a named pipe and read it; it is opened for both ways, so that it does not end before somebody writes."""
    os.mkfifo(path)
    pipe = os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        yield reader
    finally:
        transport.close()
