"""Snowflakes: ids that carry the sandbox's clock and never come twice."""

from collections.abc import Callable
from datetime import datetime

DISCORD_EPOCH_MS = 1_420_070_400_000


class Snowflakes:
    """Calling it gives the next id; a clock that stands still or jumps back still gives rising ids."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last = 0

    def __call__(self) -> int:
        milliseconds = int(self._now().timestamp() * 1000) - DISCORD_EPOCH_MS
        self._last = max(milliseconds << 22, self._last + 1)
        return self._last
