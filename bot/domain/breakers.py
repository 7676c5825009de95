"""Keeps submissions away from a gateway that is in trouble, until it may be well again."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.errors import Refusal
from bot.domain.ports import Clock

# A busy gateway gets at least this rest, whatever it asks for: a clock that is behind makes a date mean "now".
BUSY_MIN_S = 5.0
# A wrong key or no credit is mended by the operator; one submission in ten minutes finds out, and is refused for free.
_OUT_S = 600.0
# So many in a row, then a rest that doubles each time the one submission after it fails too.
_FAILURES_MAX = 3
_REST_S = 15.0
_REST_MAX_S = 300.0


class Trouble(StrEnum):
    """The classes of errors that count against a gateway."""

    KEY = "key"
    CREDIT = "credit"
    BUSY = "busy"
    CONNECTION = "connection"
    UNCONFIRMED = "unconfirmed"


# What only the operator can mend, and what it is called as a refusal.
_OUT = {Trouble.KEY: Refusal.KEY, Trouble.CREDIT: Refusal.CREDIT}
_OF_REFUSAL = {
    Refusal.KEY: Trouble.KEY,
    Refusal.CREDIT: Trouble.CREDIT,
    Refusal.BUSY: Trouble.BUSY,
    Refusal.CONNECTION: Trouble.CONNECTION,
}


class BreakerState(StrEnum):
    """CLOSED: everything passes. OPEN: nothing. HALF_OPEN: one submission, whose outcome decides."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(slots=True)
class _Breaker:
    """One gateway's. `trouble` is what opened it, None while it is closed."""

    trouble: Trouble | None = None
    until: float = 0.0
    rest_s: float = _REST_S
    trying: bool = False


class Breakers:
    """One breaker for each gateway. What it knows is gone with the process: the next one finds out again, for free."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: defaultdict[str, _Breaker] = defaultdict(_Breaker)
        self._worked: set[str] = set()
        self._failures: defaultdict[tuple[str, Trouble], int] = defaultdict(int)

    def state(self, gateway: str) -> BreakerState:
        breaker = self._of[gateway]
        if breaker.trouble is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock.monotonic() < breaker.until else BreakerState.HALF_OPEN

    def out(self) -> dict[str, Refusal]:
        """Return the gateways that refused for want of key or credit and have taken nothing since, with the reason."""
        opened = {gateway: breaker.trouble for gateway, breaker in self._of.items()}
        return {
            gateway: _OUT[trouble] for gateway, trouble in opened.items() if trouble is not None and trouble in _OUT
        }

    def has_worked(self, gateway: str) -> bool:
        """Say whether the gateway has taken a job, and not refused one for want of key or credit since."""
        return gateway in self._worked

    def is_out(self, gateway: str) -> bool:
        """Say whether the gateway is out and not yet to be asked again: new jobs need not wait for it."""
        return self._of[gateway].trouble in _OUT and self.state(gateway) is BreakerState.OPEN

    def wait_s(self, gateway: str) -> float:
        """Return how long a submission must wait; 0 when it may go now."""
        breaker = self._of[gateway]
        if breaker.trouble is None:
            return 0.0
        left_s = breaker.until - self._clock.monotonic()
        return max(0.0, left_s) if left_s > 0 or not breaker.trying else 1.0

    def take(self, gateway: str) -> bool:
        """Let one submission through if one may go; say whether it may. Its outcome must be told."""
        if self.wait_s(gateway) > 0:
            return False
        self._of[gateway].trying = self._of[gateway].trouble is not None
        return True

    def put_back(self, gateway: str) -> None:
        """Say that the submission let through was not sent after all."""
        self._of[gateway].trying = False

    def worked(self, gateway: str) -> None:
        """The gateway took a job, or refused one for its content: all is well."""
        self._worked.add(gateway)
        self._of.pop(gateway, None)
        for trouble in Trouble:
            self._failures.pop((gateway, trouble), None)

    def refused(self, gateway: str, reason: Refusal, *, retry_after_s: float | None = None) -> None:
        """The gateway certainly refused a job. A refusal about the request says that the gateway itself is well."""
        trouble = _OF_REFUSAL.get(reason)
        if trouble is None:
            self.worked(gateway)
        elif trouble in _OUT:
            self._worked.discard(gateway)
            self._open(gateway, trouble, _OUT_S)
        elif trouble is Trouble.BUSY:
            self._open(gateway, trouble, max(retry_after_s or 0.0, BUSY_MIN_S))
        else:
            self._count(gateway, trouble)

    def unconfirmed(self, gateway: str) -> None:
        """The gateway left a submission without a certain answer."""
        self._count(gateway, Trouble.UNCONFIRMED)

    def _count(self, gateway: str, trouble: Trouble) -> None:
        breaker = self._of[gateway]
        self._failures[gateway, trouble] += 1
        if breaker.trouble is trouble:
            breaker.rest_s = min(breaker.rest_s * 2, _REST_MAX_S)
        elif self._failures[gateway, trouble] < _FAILURES_MAX:
            breaker.trying = False
            return
        else:
            breaker.rest_s = _REST_S
        self._open(gateway, trouble, breaker.rest_s)

    def _open(self, gateway: str, trouble: Trouble, rest_s: float) -> None:
        breaker = self._of[gateway]
        breaker.trouble, breaker.until, breaker.trying = trouble, self._clock.monotonic() + rest_s, False
