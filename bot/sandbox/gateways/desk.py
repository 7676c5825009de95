"""What the three emulators share behind their fronts: their parts, taking a job, and the addresses of its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from aiohttp import web

from bot.sandbox.gateways.books import Asked, SandboxJob, Stand
from bot.sandbox.gateways.front import Front, Refuse
from bot.sandbox.gateways.media import Media
from bot.sandbox.gateways.works import Pace, Works


@dataclass(frozen=True)
class Desk:
    """The parts of one emulator."""

    stand: Stand
    front: Front
    works: Works
    media: Media
    pace: Pace

    def take(
        self,
        *,
        gateway_job_id: str,
        asked: Asked,
        billed: Decimal,
        told: Callable[[SandboxJob], Mapping[str, object]],
    ) -> SandboxJob:
        """Book a job and start it. `told` makes the body of its callback."""
        job = SandboxJob(gateway_job_id, asked, billed, self.pace.now(), fault=self.stand.faults.next_job())
        self.stand.jobs[gateway_job_id] = job
        self.works.begin(job, told=told)
        return job

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
    concurrent_max: int = 100
    body_bytes_max: int = 50_000_000
