"""Decides which file of a video Discord will take: the place's upload limit, what it learned, and fitting to it."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import discord

from bot.domain.errors import InvariantBroken
from bot.domain.job import Job
from bot.domain.ports import Clock, Library

log = logging.getLogger(__name__)

MIB: Final = 2**20
# A file of this size was taken everywhere at any time so far (Discord's lowest default was 10 MiB, in 2025).
BYTES_SAFE: Final = 9 * MIB + MIB // 2
REMEMBERED: Final = timedelta(days=7)

PlaysInline = Callable[[Path], Awaitable[bool]]


class Fit(Protocol):
    """Writes a copy of a video, whole or not at all; VideoUnusable where it cannot be done."""

    async def __call__(self, path: Path, target: Path, *, bytes_max: int) -> object: ...


class Notes(Protocol):
    """The part of the store that remembers small facts."""

    async def note(self, key: str) -> str | None: ...

    async def set_note(self, key: str, value: str) -> None: ...


class UploadLimits:
    """What a guild takes: the setting or its boost tier, lowered for a week by a refusal."""

    def __init__(self, notes: Notes, clock: Clock, *, bytes_default: int) -> None:
        self._notes = notes
        self._clock = clock
        self._bytes_default = bytes_default

    async def bytes_max(self, guild_id: int | None, guild: discord.Guild | None) -> int:
        """Return how large a file may be now."""
        # discord.py 2.7.1 still says 10 MiB for the lower tiers (guild.py:454); only the higher ones are right.
        boosted = guild.filesize_limit if guild is not None and guild.premium_tier >= 2 else 0
        known = max(self._bytes_default, boosted)
        stored = await self._notes.note(_key(guild_id))
        if stored is None:
            return known
        learned = json.loads(stored)
        return min(known, learned["bytes_max"]) if _millis(self._clock.now()) < learned["until_ms"] else known

    async def refused(self, guild_id: int | None, bytes_count: int) -> int:
        """Remember that a file of this size was refused; return how large the next may be."""
        bytes_max = min(bytes_count // 2, BYTES_SAFE)
        learned = {"bytes_max": bytes_max, "until_ms": _millis(self._clock.now() + REMEMBERED)}
        await self._notes.set_note(_key(guild_id), json.dumps(learned))
        log.warning("upload limit lowered guild_id=%s refused_bytes=%s bytes_max=%s", guild_id, bytes_count, bytes_max)
        return bytes_max


def _key(guild_id: int | None) -> str:
    return f"upload_limit:{guild_id or 'direct'}"


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class VideoFiles:
    """The file to upload for a video: the original where it plays and fits, else a fitted copy kept until delivery."""

    def __init__(self, library: Library, *, work_dir: Path, fit: Fit, plays_inline: PlaysInline) -> None:
        self._library = library
        self._work_dir = work_dir
        self._fit = fit
        self._plays_inline = plays_inline

    async def fitting(self, job: Job, *, bytes_max: int) -> Path:
        """Return a file of at most `bytes_max` that plays inline. A copy once made is used again.

        Raises:
            VideoUnusable: there can be none.
        """
        if job.video is None:
            raise InvariantBroken(f"job {job.job_id} is delivered without a video")
        original = self._library.path(job.video.name)
        if job.video.bytes_count <= bytes_max and await self._plays_inline(original):
            return original
        target = self._work_dir / f"{job.job_id}-{bytes_max}.mp4"
        if not await asyncio.to_thread(target.is_file):
            await asyncio.to_thread(self._work_dir.mkdir, parents=True, exist_ok=True)
            await self._fit(original, target, bytes_max=bytes_max)
        return target

    async def forget(self, job_id: str) -> None:
        """Remove the copies of a job's video."""
        await asyncio.to_thread(self._remove, job_id)

    def _remove(self, job_id: str) -> None:
        for copy in self._work_dir.glob(f"{job_id}-*.mp4"):
            copy.unlink(missing_ok=True)
