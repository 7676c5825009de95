"""Runs one piece of media work in a child process that is bounded in time and memory, and is always reaped."""

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


async def run(work: str, request: Mapping[str, object], *, timeout_s: float) -> dict[str, Any]:
    """Have the worker do `work` and return its answer. Cancelling the caller kills the child.

    Raises:
        VideoUnusable: the worker could not do it, died, or took longer than `timeout_s`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot.adapters.media.worker", work),
        env=_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, complaint = await process.communicate(json.dumps(dict(request)).encode())
    except TimeoutError as error:
        log.warning("media work timed out work=%s timeout_s=%s", work, timeout_s)
        raise VideoUnusable("media", f"{work} timed out") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        # The last line of a traceback: an exception's class and FFmpeg's words for it.
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2][:200]
        log.warning("media work failed work=%s exit=%s complaint=%s", work, process.returncode, last)
        raise VideoUnusable("media", f"{work} ended with {process.returncode}")
    result: dict[str, Any] = json.loads(answer)
    return result


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # Each malloc arena reserves 64 MiB of address space, which is what the memory bound counts.
    return {**kept, "PYTHONPATH": str(_PACKAGE_FOLDER), "MALLOC_ARENA_MAX": "2"}
