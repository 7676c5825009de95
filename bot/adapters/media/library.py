"""Keeps files on disk: the pictures taken in and the videos bought. One name is one content, for ever."""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from bot.adapters.media.facts import VideoFacts
from bot.adapters.media.video import probe as probe_file
from bot.domain.errors import InvariantBroken, StoreFailed, VideoUnusable
from bot.domain.job import Video

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FOLDERS = {".jpg": "pictures", ".png": "pictures", ".mp4": "videos"}
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
_HALF = ".part"
_PROBES_AT_ONCE = 2
# Also what the animatic and the fitting of videos leave beside the library. Never the folder itself: the database may
# lie in it.
_PURGED = ("pictures", "videos", "incoming", "fitted", "animatic")


class FileLibrary:
    """The library under one folder: ``pictures/``, ``videos/`` and ``incoming/``. A name is a bare file name.

    Pictures get a new random name each, even the same one taken twice: so discarding one request's pictures never
    touches another's, and a name in an address tells nothing.
    """

    def __init__(self, folder: Path, *, probe: Callable[[Path], Awaitable[VideoFacts]] = probe_file) -> None:
        self._folder = folder
        self._probe = probe
        self._probes = asyncio.Semaphore(_PROBES_AT_ONCE)

    def path(self, name: str) -> Path:
        stem, suffix = os.path.splitext(name)
        if suffix not in _FOLDERS or not _ID.fullmatch(stem):
            raise InvariantBroken(f"not a name of the library: {name!r}")
        return self._folder / _FOLDERS[suffix] / name

    def incoming(self, job_id: str) -> Path:
        if not _ID.fullmatch(job_id):
            raise InvariantBroken(f"not a job id: {job_id!r}")
        target = self._folder / "incoming" / f"{job_id}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    async def keep_video(self, job_id: str) -> Video:
        """Called again after the file was kept, it returns the kept one; a newer incoming file replaces it."""
        name = f"{job_id}.mp4"
        incoming, kept = self.incoming(job_id), self.path(name)
        arrived = await asyncio.to_thread(incoming.exists)
        if not arrived and not await asyncio.to_thread(kept.exists):
            raise VideoUnusable("library", "no file")
        try:
            async with self._probes:
                facts = await self._probe(incoming if arrived else kept)
        except VideoUnusable:
            await _on_disk(partial(incoming.unlink, missing_ok=True))
            raise
        if arrived:
            await _on_disk(partial(_keep, incoming, kept))
        return Video(name, facts.bytes_count, facts.duration_s, facts.width, facts.height)

    async def tidy(self) -> None:
        """Delete what a life before was writing when it was killed. Nobody may be writing yet."""

        def delete() -> None:
            for half in self._folder.glob(f"*/*{_HALF}"):
                half.unlink(missing_ok=True)

        await asyncio.to_thread(delete)

    async def free_bytes(self) -> int:
        def measure() -> int:
            self._folder.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self._folder).free

        return await asyncio.to_thread(measure)

    async def purge(self, *, before: datetime, keep: frozenset[str]) -> int:
        """Delete every file last written before then, except the names in `keep`; return how many there were."""
        return await asyncio.to_thread(self._purge, before.timestamp(), keep)

    def _purge(self, before_s: float, keep: frozenset[str]) -> int:
        old = [
            path
            for folder in _PURGED
            for path in (self._folder / folder).glob("*")
            if path.name not in keep and path.is_file() and path.stat().st_mtime < before_s
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    async def keep_picture(self, data: bytes, content_type: str) -> str:
        """Keep a checked picture durably and return its new name.

        Raises:
            StoreFailed: it could not be written; nothing was kept.
        """
        name = secrets.token_hex(16) + _SUFFIXES[content_type]
        await _on_disk(partial(write_durably, self.path(name), data))
        return name

    async def discard(self, names: Sequence[str]) -> None:
        """Delete files; those that are gone already do not matter."""
        for name in names:
            await _on_disk(partial(self.path(name).unlink, missing_ok=True))


async def _on_disk(work: Callable[[], object]) -> None:
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        raise StoreFailed(f"the library's disk: {type(error).__name__}") from error


def write_durably(target: Path, data: bytes) -> None:
    """Write a file that after a crash is there whole or not at all. The folder is made where it is missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f"{target.name}.{secrets.token_hex(4)}{_HALF}")
    try:
        half.write_bytes(data)
        _keep(half, target)
    finally:
        half.unlink(missing_ok=True)


def _keep(half: Path, target: Path) -> None:
    """Give a written file its name durably: its bytes first, then the name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(half)
    half.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
