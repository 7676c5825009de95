"""Probes and fits videos and takes their last frame, each in a bounded child process."""

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.adapters.media import child
from bot.adapters.media.facts import VideoFacts, plays_inline

__all__ = ["KeptProbe", "VideoFacts", "fit", "last_frame", "plays_inline", "probe", "written_whole"]

_PROBE_TIMEOUT_S = 30.0
# 15 s at 1080p takes about 10 s a try on two cores, and there are three tries.
_FIT_TIMEOUT_S = 240.0


async def probe(path: Path) -> VideoFacts:
    """Measure a video; its first frame is really decoded.

    Raises:
        VideoUnusable: it is no video that can be played.
    """
    return VideoFacts(**await child.run("probe", {"path": str(path)}, timeout_s=_PROBE_TIMEOUT_S))


class KeptProbe:
    """Does as `probe` does, by a child that is kept for the next video."""

    def __init__(self) -> None:
        self._child = child.KeptChild("probe")

    async def __call__(self, path: Path) -> VideoFacts:
        return VideoFacts(**await self._child.run({"path": str(path)}, timeout_s=_PROBE_TIMEOUT_S))

    async def aclose(self) -> None:
        await self._child.aclose()


async def fit(path: Path, target: Path, *, bytes_max: int) -> VideoFacts:
    """Write `target` (replaced if it exists) so that it plays inline and has at most `bytes_max` bytes.

    Only rewrapped where that is enough, else re-encoded; tags such as AIGC are kept.

    Raises:
        VideoUnusable: it cannot be done; `target` is untouched.
    """
    async with written_whole(target) as half:
        request = {"path": str(path), "target": str(half), "bytes_max": bytes_max}
        return VideoFacts(**await child.run("fit", request, timeout_s=_FIT_TIMEOUT_S))


async def last_frame(path: Path) -> bytes:
    """Return the last picture of a video as PNG.

    Raises:
        VideoUnusable: it is no video that can be played.
    """
    answer = await child.run("last_frame", {"path": str(path)}, timeout_s=_PROBE_TIMEOUT_S)
    return base64.b64decode(answer["png"])


@asynccontextmanager
async def written_whole(target: Path) -> AsyncIterator[Path]:
    """Yield a path to write to, which becomes `target` when the block ends well and vanishes when it does not."""
    half = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield half
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
