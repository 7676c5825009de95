"""How many requests a gateway may be sent now: a small bucket that refills at the gateway's rate."""

from bot.domain.ports import Clock


class RequestPace:
    """Counts requests against a limit per minute.

    After a rest a quarter of the limit may go at once, but not at the start, when everything is due. So in any minute
    at most one and a quarter of the limit is sent, which stays within what the gateways document for the limits set by
    default (PixelDojo: 8 set, 10 documented).
    """

    def __init__(self, per_min: float, clock: Clock) -> None:
        self._rate_per_s = per_min / 60
        self._size = max(1.0, per_min // 4)
        self._clock = clock
        self._filled = 1.0
        self._filled_at = clock.monotonic()

    def free(self) -> int:
        """Return how many requests may be sent now."""
        now = self._clock.monotonic()
        self._filled = min(self._size, self._filled + (now - self._filled_at) * self._rate_per_s)
        self._filled_at = now
        return int(self._filled)

    def take(self) -> bool:
        """Take one request if there is one to take."""
        if self.free() < 1:
            return False
        self._filled -= 1
        return True

    def give_back(self) -> None:
        """Say that a request that was taken is not sent after all."""
        self._filled = min(self._size, self._filled + 1)

    def free_in_s(self) -> float:
        """Return how long until one more request may be sent; 0 when one may be sent now."""
        self.free()
        return max(0.0, (1 - self._filled) / self._rate_per_s)
