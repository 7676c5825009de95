"""Runs media work in child processes that are bounded in time and memory, and are always reaped."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.domain.errors import VideoUnusable

log = logging.getLogger(__name__)

_PACKAGE_FOLDER = Path(__file__).resolve().parents[3]
# All a child gets of the environment: no token and no key.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_DATA_HOME", "XDG_DATA_DIRS", "SYSTEMROOT")

# Longer than the quick work of a kept child ever takes; the slow rest is done by a child of its own.
_KEPT_TIMEOUT_S = 5.0
_KEPT_IDLE_S = 30.0


async def run(
    work: str, request: Mapping[str, object], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Have the worker do `work` and return its answer. Cancelling the caller kills the child.

    `environment` is what the child gets beside the little that every child gets.

    Raises:
        VideoUnusable: the worker could not do it, died, or took longer than `timeout_s`.
    """
    process = await _start(work, environment, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(timeout_s):
            answer, complaint = await process.communicate(json.dumps(dict(request)).encode())
    except TimeoutError as error:
        log.warning("media work timed out work=%s timeout_s=%s", work, timeout_s)
        raise VideoUnusable("media", f"{work} timed out") from error
    finally:
        await _end(process)
    if process.returncode != 0:
        # The last line of a traceback: an exception's class and FFmpeg's words for it.
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2][:200]
        log.warning("media work failed work=%s exit=%s complaint=%s", work, process.returncode, last)
        raise VideoUnusable("media", f"{work} ended with {process.returncode}")
    result: dict[str, Any] = json.loads(answer)
    return result


class KeptChild:
    """A child that does one kind of quick work again and again: nine tenths of a probe are the start of its process.

    It ends when it has had nothing to do for a while, and with its owner. Where it fails or is slow, it is killed, and
    the work is done by a child of its own: no earlier work decides over a later one, and none keeps the others waiting.
    """

    def __init__(
        self, work: str, *, quick_s: float = _KEPT_TIMEOUT_S, environment: Mapping[str, str] | None = None
    ) -> None:
        """`quick_s` is how long the quick work may take at most."""
        self._work = work
        self._quick_s = quick_s
        self._environment = environment
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._rest: asyncio.TimerHandle | None = None

    async def run(self, request: Mapping[str, object], *, timeout_s: float) -> dict[str, Any]:
        """Do as the function `run` does."""
        async with self._turn:
            answer = await self._ask(request)
        if answer is not None:
            return answer
        return await run(self._work, request, timeout_s=timeout_s, environment=self._environment)

    async def start(self) -> None:
        """Start the child, where there is none, for a `run` that follows soon: it imports meanwhile what it needs."""
        if not self._turn.locked():
            async with self._turn:
                self._keep(self._take() or await self._start())

    async def aclose(self) -> None:
        """End the child; the next `run` starts another."""
        async with self._turn:
            process = self._take()
            if process is not None:
                await _end(process)

    async def _ask(self, request: Mapping[str, object]) -> dict[str, Any] | None:
        process = self._take() or await self._start()
        try:
            async with asyncio.timeout(self._quick_s):
                answer = await _exchange(process, request)
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError
            log.info("kept child failed work=%s error=%s", self._work, type(error).__name__)
            return None
        else:
            self._keep(process)
            return answer
        finally:
            if self._process is not process:
                await _end(process)

    async def _start(self) -> asyncio.subprocess.Process:
        return await _start(self._work, self._environment, stderr=asyncio.subprocess.DEVNULL)

    def _keep(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._rest = asyncio.get_running_loop().call_later(_KEPT_IDLE_S, self._dismiss)

    def _take(self) -> asyncio.subprocess.Process | None:
        if self._rest is not None:
            self._rest.cancel()
        process, self._process = self._process, None
        return process

    def _dismiss(self) -> None:
        process = self._take()
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends by itself, and the loop reaps it


async def _start(work: str, environment: Mapping[str, str] | None, *, stderr: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot.adapters.media.worker", work),
        env={**_environment(), **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def _exchange(process: asyncio.subprocess.Process, request: Mapping[str, object]) -> dict[str, Any]:
    """Send one line and read one line; ValueError where there is none."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("no pipes")
    process.stdin.write(json.dumps(dict(request)).encode() + b"\n")
    await process.stdin.drain()
    answer: dict[str, Any] = json.loads(await process.stdout.readline())
    return answer


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # Each malloc arena reserves 64 MiB of address space, which is what the memory bound counts.
    return {**kept, "PYTHONPATH": str(_PACKAGE_FOLDER), "MALLOC_ARENA_MAX": "2"}
