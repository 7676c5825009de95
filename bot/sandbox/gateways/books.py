"""What an emulator remembers: every paid POST it received, every job it took, and what it billed."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from bot.sandbox.gateways.faults import CallbackFault, Faults, JobFault


class Phase(StrEnum):
    """How far a job is; each emulator has its own words or numbers for them."""

    QUEUED = "queued"
    HANDLING = "handling"
    ARCHIVING = "archiving"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Received:
    """One paid POST as it arrived. `headers` has lower-case names."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Asked:
    """What a submission asks for, in words all three share. `ratio` is None where the picture is the ratio."""

    model: str
    prompt: str
    addresses: tuple[str, ...]
    short_side_min_px: int
    bytes_max: int
    resolution: str
    ratio: str | None
    duration_s: int
    callback_address: str | None = None

    def size(self, picture: tuple[int, int] | None) -> tuple[int, int]:
        """Return even width and height; `picture` is the first picture's size."""
        short = 720 if self.resolution.lower() == "720p" else 1080
        width, height = (int(part) for part in self.ratio.split(":")) if self.ratio else picture or (16, 9)
        scale = Fraction(short, min(width, height))
        return int(width * scale) // 2 * 2, int(height * scale) // 2 * 2


@dataclass
class SandboxJob:
    """A job at an emulator. `billed` is in the gateway's own unit (dollars or credits), less what was given back."""

    gateway_job_id: str
    asked: Asked
    billed: Decimal
    created_at: datetime
    fault: JobFault | None = None
    callback_fault: CallbackFault | None = None
    phase: Phase = Phase.QUEUED
    refunded: Decimal = Decimal(0)
    error: str = ""
    # How often its state was read: then whoever submitted it knows its id.
    reads: int = 0
    # The bytes of the pictures as they were fetched, in order.
    pictures: list[bytes] = field(default_factory=list, repr=False)
    ended_at: datetime | None = None
    callback_statuses: list[int] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when no callback is to come any more: it was taken or given up, or there never was one.
    called_back: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, phase: Phase, *, now: datetime, error: str = "", refund: bool = False) -> None:
        self.phase, self.error, self.ended_at = phase, error, now
        if refund:
            self.refunded, self.billed = self.billed, Decimal(0)
        self.ended.set()


@dataclass
class Key:
    """An idempotency key: the hash of its raw body, and its job once there is one."""

    body_hash: str
    since: datetime
    gateway_job_id: str | None = None


@dataclass
class Stand:
    """One emulator as the outside sees it: address, key, what it was sent, its books, and how to make it fail.

    `reports_refunds`: a read says what was given back; else whoever reads cannot know it.
    """

    name: str
    key: str
    reports_refunds: bool = False
    faults: Faults = field(default_factory=Faults)
    submissions: list[Received] = field(default_factory=list)
    jobs: dict[str, SandboxJob] = field(default_factory=dict)
    # Idempotency keys by their text; a test may clear them.
    keys: dict[str, Key] = field(default_factory=dict)
    replays: int = 0
    base_url: str = ""
    # Requests that hang (ACCEPT_THEN_HANG, STALL_THEN_ACCEPT) set the first and go on when the second is set.
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def billed(self) -> Decimal:
        """Everything billed so far in the gateway's own unit, less what was given back."""
        return sum((job.billed for job in self.jobs.values()), Decimal(0))

    def known_bill(self, job: SandboxJob) -> Decimal:
        """Return what whoever submitted a job can know of its bill: an unreported refund is no part of it."""
        return job.billed if self.reports_refunds else job.billed + job.refunded

    async def hang(self) -> None:
        self.hanging.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.faults.hang_s):
                await self.released.wait()
