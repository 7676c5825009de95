"""What the three emulators share behind their fronts: their parts, taking a job, and the addresses of its files."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from aiohttp import web

from bot.sandbox.gateways.books import Asked, SandboxJob, Stand
from bot.sandbox.gateways.callbacks import Told
from bot.sandbox.gateways.faults import BillFault, CallbackFault, ReadFault
from bot.sandbox.gateways.front import Front, Refuse
from bot.sandbox.gateways.media import Media
from bot.sandbox.gateways.pace import Pace
from bot.sandbox.gateways.works import Works

ABOVE_LIST = Decimal(2)


@dataclass(frozen=True)
class Desk:
    """The parts of one emulator."""

    stand: Stand
    front: Front
    works: Works
    media: Media
    pace: Pace

    def told_price(self, listed: Decimal) -> Decimal:
        """Return what a job is billed by a gateway that says so: its list price, or more where a fault says so."""
        return listed * ABOVE_LIST if self.stand.faults.next_bill() is BillFault.ABOVE_LIST else listed

    async def take(self, *, gateway_job_id: str, asked: Asked, billed: Decimal, told: Told) -> SandboxJob:
        """Book a job and start it."""
        faults = self.stand.faults
        job = SandboxJob(
            gateway_job_id,
            asked,
            billed,
            self.pace.now(),
            fault=faults.next_job(),
            callback_fault=faults.next_callback() if asked.callback_address else None,
        )
        self.stand.jobs[gateway_job_id] = job
        self.works.begin(job, told=told)
        if job.callback_fault is CallbackFault.EARLY:
            await job.called_back.wait()
        return job

    def read(self, gateway_job_id: str) -> SandboxJob | None:
        """Find a job for a status read of it."""
        job = self.stand.jobs.get(gateway_job_id)
        if job is not None:
            job.reads += 1
        return job

    @staticmethod
    def lacks_address(job: SandboxJob, fault: ReadFault | None) -> bool:
        """Say whether a read calls the job finished without an address; no gateway says so of one without a video."""
        return fault is ReadFault.NO_ADDRESS and job.fault is None

    def video_address(self, job: SandboxJob) -> str:
        return self.media.address(job.gateway_job_id, "video.mp4", since=job.ended_at or job.created_at)

    def frame_address(self, job: SandboxJob) -> str:
        return self.media.address(job.gateway_job_id, "first_frame.jpg", since=job.ended_at or job.created_at)

    def ends_at(self, job: SandboxJob) -> int:
        """Return the Unix second at which the job's files are gone."""
        return self.media.ends_at(job.ended_at or job.created_at)


class Emulator(Protocol):
    """One gateway's wire contract."""

    def routes(self) -> list[web.RouteDef]: ...


@dataclass(frozen=True)
class Kind:
    """What tells one emulator from the others, for the server that starts them."""

    name: str
    key_prefix: str
    label: str
    refuse: Refuse
    emulator: Callable[[Desk], Emulator]
    reports_refunds: bool = False
    concurrent_max: int = 100
    body_bytes_max: int = 50_000_000
