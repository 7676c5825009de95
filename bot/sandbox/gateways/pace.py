"""How long things take at an emulator, and what time it is there."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pace:
    """`job_s` is spent around the rendering; a callback is tried after each of the delays."""

    job_s: float = 2.0
    link_life_s: int = 86_400
    callback_delays_s: tuple[float, ...] = (0, 1, 5)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = _utc_now
