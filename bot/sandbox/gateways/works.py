"""Carries accepted jobs to their end: pictures, rendering, the finished file, the callback."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import aiohttp

from bot.sandbox.gateways import pictures
from bot.sandbox.gateways.books import Phase, SandboxJob
from bot.sandbox.gateways.faults import JobFault
from bot.sandbox.gateways.media import Media

log = logging.getLogger(__name__)

CONTENT_TEXT = "DataInspectionFailed: output data may contain inappropriate content"
CALLBACK_TIMEOUT_S = 10


class Render(Protocol):
    """Makes the video of a job: MP4 bytes of the asked size and length, with `label` written on it."""

    async def __call__(
        self, *, prompt: str, pictures: Sequence[bytes], width: int, height: int, duration_s: int, label: str
    ) -> bytes: ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pace:
    """How long things take. `job_s` is spent around the rendering; a callback is tried after each of the delays."""

    job_s: float = 2.0
    link_life_s: int = 86_400
    callback_delays_s: tuple[float, ...] = (0, 1, 5)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = _utc_now


class Works:
    """Runs the jobs of one emulator; `close` ends what still runs."""

    def __init__(
        self, *, label: str, render: Render, session: aiohttp.ClientSession, media: Media, pace: Pace, signing_key: str
    ) -> None:
        self._label = label
        self._render = render
        self._session = session
        self._media = media
        self._pace = pace
        self._signing_key = signing_key
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: SandboxJob, *, told: Callable[[SandboxJob], Mapping[str, object]]) -> None:
        """Start a job; `told` makes the body of its callback."""
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

    async def _run(self, job: SandboxJob, told: Callable[[SandboxJob], Mapping[str, object]]) -> None:
        await self._pace.sleep(self._pace.job_s * 0.2)
        job.phase = Phase.HANDLING
        if job.fault is JobFault.NEVER_FINISHES:
            return
        await self._make(job)
        if job.asked.callback_address:
            await self._call_back(job, job.asked.callback_address, told(job))
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

    async def _call_back(self, job: SandboxJob, address: str, payload: Mapping[str, object]) -> None:
        body = json.dumps(payload).encode()
        for delay_s in self._pace.callback_delays_s:
            await self._pace.sleep(delay_s)
            headers = {"Content-Type": "application/json", **self._signed(body)}
            timeout = aiohttp.ClientTimeout(CALLBACK_TIMEOUT_S)
            try:
                async with self._session.post(address, data=body, headers=headers, timeout=timeout) as response:
                    job.callback_statuses.append(response.status)
            except (aiohttp.ClientError, TimeoutError, OSError):
                job.callback_statuses.append(0)
            if 200 <= job.callback_statuses[-1] < 300:
                return

    def _signed(self, body: bytes) -> dict[str, str]:
        """HiAPI's optional signature: hex(HMAC-SHA256(key, timestamp + "." + raw body)); nothing without a key."""
        if not self._signing_key:
            return {}
        stamp = str(int(self._pace.now().timestamp()))
        signature = hmac.new(self._signing_key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"X-HiAPI-Timestamp": stamp, "X-HiAPI-Signature": signature}
