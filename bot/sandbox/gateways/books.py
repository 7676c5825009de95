"""What an emulator remembers: every paid POST it received, every job it took, and what it billed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from bot.sandbox.gateways.faults import Faults, JobFault


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
    phase: Phase = Phase.QUEUED
    refunded: Decimal = Decimal(0)
    error: str = ""
    # The bytes of the pictures as they were fetched, in order.
    pictures: list[bytes] = field(default_factory=list, repr=False)
    ended_at: datetime | None = None
    callback_statuses: list[int] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when the callback was taken or given up.
    called_back: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, phase: Phase, *, now: datetime, error: str = "", refund: bool = False) -> None:
        self.phase, self.error, self.ended_at = phase, error, now
        if refund:
            self.refunded, self.billed = self.billed, Decimal(0)
        self.ended.set()


@dataclass
class Stand:
    """One emulator as the outside sees it: address, key, what it was sent, its books, and how to make it fail."""

    name: str
    key: str
    faults: Faults = field(default_factory=Faults)
    submissions: list[Received] = field(default_factory=list)
    jobs: dict[str, SandboxJob] = field(default_factory=dict)
    base_url: str = ""
    # Requests that hang (ACCEPT_THEN_HANG, STALL_THEN_ACCEPT) set the first and go on when the second is set.
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def hang(self) -> None:
        self.hanging.set()
        await self.released.wait()
