"""Carries accepted jobs to their end: pictures, rendering, the finished file, the callback."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import aiohttp

from bot.sandbox.gateways import pictures
from bot.sandbox.gateways.books import Phase, SandboxJob
from bot.sandbox.gateways.callbacks import Callbacks, Told
from bot.sandbox.gateways.faults import JobFault
from bot.sandbox.gateways.media import Media
from bot.sandbox.gateways.pace import Pace

__all__ = ["Pace", "Render", "Works"]

log = logging.getLogger(__name__)

CONTENT_TEXT = "DataInspectionFailed: output data may contain inappropriate content"


class Render(Protocol):
    """Makes the video of a job: MP4 bytes of the asked size and length, with `label` written on it."""

    async def __call__(
        self, *, prompt: str, pictures: Sequence[bytes], width: int, height: int, duration_s: int, label: str
    ) -> bytes: ...


class Works:
    """Runs the jobs of one emulator; `close` ends what still runs."""

    def __init__(
        self,
        *,
        label: str,
        render: Render,
        session: aiohttp.ClientSession,
        media: Media,
        pace: Pace,
        callbacks: Callbacks,
    ) -> None:
        self._label = label
        self._render = render
        self._session = session
        self._media = media
        self._pace = pace
        self._callbacks = callbacks
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: SandboxJob, *, told: Told) -> None:
        """Start a job."""
        task = asyncio.create_task(self._run(job, told))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, job))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None], job: SandboxJob) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("sandbox job broke gateway_job_id=%s", job.gateway_job_id, exc_info=error)
            job.end(Phase.FAILED, now=self._pace.now(), error="internal error", refund=True)

    async def _run(self, job: SandboxJob, told: Told) -> None:
        try:
            await self._pace.sleep(self._pace.job_s * 0.2)
            job.phase = Phase.HANDLING
            running = told(job)
            if job.fault is not JobFault.NEVER_FINISHES:
                await self._make(job)
                await self._callbacks.call_back(job, told=told, running=running)
        finally:
            job.called_back.set()

    async def _make(self, job: SandboxJob) -> None:
        pace = self._pace
        try:
            found = job.pictures = await pictures.fetch(self._session, job.asked)
        except pictures.BadPicture as error:
            job.end(Phase.FAILED, now=pace.now(), error=str(error), refund=True)
            return
        await pace.sleep(pace.job_s * 0.6)
        if job.fault is not None:
            refund = job.fault is JobFault.FAILS_REFUNDED
            job.end(Phase.FAILED, now=pace.now(), error=CONTENT_TEXT, refund=refund)
            return
        width, height = job.asked.size(pictures.size_of(found[0]) if found else None)
        video = await self._render(
            prompt=job.asked.prompt,
            pictures=found,
            width=width,
            height=height,
            duration_s=job.asked.duration_s,
            label=self._label,
        )
        job.phase = Phase.ARCHIVING
        await pace.sleep(pace.job_s * 0.2)
        self._media.keep(job.gateway_job_id, "video.mp4", video)
        self._media.keep(job.gateway_job_id, "first_frame.jpg", pictures.plain_jpeg())
        job.end(Phase.DONE, now=pace.now())
