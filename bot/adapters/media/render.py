"""Renders an animatic, a real and playable MP4 of a prompt and pictures, in a bounded child process."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bot.adapters.media import child
from bot.adapters.media.video import written_whole
from bot.domain.request import Resolution

# 15 s at 1080p takes about 12 s on one core.
_RENDER_TIMEOUT_S = 180.0
_SHORT_SIDES_PX = {Resolution.P720: 720, Resolution.P1080: 1080}


def frame_size(resolution: Resolution, ratio: str) -> tuple[int, int]:
    """Return width and height in pixels, both even: the resolution is the short side, whatever the ratio.

    `ratio` is two whole numbers, such as ``16:9`` or a picture's own ``1024:768``.
    """
    wide, high = (int(part) for part in ratio.split(":"))
    short = _SHORT_SIDES_PX[resolution]
    long = round(short * max(wide, high) / min(wide, high) / 2) * 2
    return (long, short) if wide >= high else (short, long)


async def render(
    *, prompt: str, pictures: Sequence[bytes], width: int, height: int, duration_s: int, label: str
) -> bytes:
    """Return an MP4 (H.264, AAC stereo, 24 fps, fast start) of exactly that size (even numbers) and length.

    It shows the pictures one after the other (a drawn landscape where there are none), the prompt at the foot and the
    label in a corner.

    Raises:
        VideoUnusable: it could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="gallop-") as name:
        folder = Path(name)
        paths = [folder / f"{number}.picture" for number in range(len(pictures))]
        await asyncio.to_thread(_write_all, paths, pictures)
        target = folder / "video.mp4"
        await render_to(
            target, prompt=prompt, pictures=paths, width=width, height=height, duration_s=duration_s, label=label
        )
        return await asyncio.to_thread(target.read_bytes)


def _write_all(paths: Sequence[Path], contents: Sequence[bytes]) -> None:
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)


async def render_to(
    target: Path, *, prompt: str, pictures: Sequence[Path], width: int, height: int, duration_s: int, label: str
) -> None:
    """Do as `render` does, from files to a file; an existing target is replaced, and never half written."""
    async with written_whole(target) as half:
        request = {
            "target": str(half),
            "prompt": prompt,
            "pictures": [str(path) for path in pictures],
            "width": width,
            "height": height,
            "duration_s": duration_s,
            "label": label,
        }
        await child.run("render", request, timeout_s=_RENDER_TIMEOUT_S)
