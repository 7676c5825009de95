"""What an emulator can be told to do wrong, next time it is asked, and a source that tells it by chance."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, TypeVar


class Refused(StrEnum):
    """Kinds of honest refusals; each emulator says them in its own envelope and status."""

    KEY = "key"
    CREDIT = "credit"
    BUSY = "busy"
    OVERLOADED = "overloaded"
    CONTENT = "content"
    MODEL = "model"
    REQUEST = "request"
    NOT_FOUND = "not_found"
    TYPE = "type"


class SubmitFault(StrEnum):
    """What happens to the next paid POST, beside an honest refusal."""

    DROP_UNREAD = "drop_unread"
    ACCEPT_THEN_DROP = "accept_then_drop"
    ACCEPT_THEN_HANG = "accept_then_hang"
    ACCEPT_THEN_500 = "accept_then_500"
    ACCEPT_THEN_HTML = "accept_then_html"
    ACCEPT_WITHOUT_ID = "accept_without_id"
    ACCEPT_BUT_SAY_REFUSED = "accept_but_say_refused"
    STALL_THEN_ACCEPT = "stall_then_accept"


class KeyFault(StrEnum):
    """What HiAPI says of the next paid POST's idempotency key, whether it knows the key or not."""

    PROCESSING = "processing"
    MISMATCH = "mismatch"


class ReadFault(StrEnum):
    """What happens to the next status read."""

    SERVER_ERROR = "server_error"
    NOT_FOUND = "not_found"
    ENVELOPE_ERROR = "envelope_error"
    HTML = "html"
    UNKNOWN_STATUS = "unknown_status"
    NO_ADDRESS = "no_address"
    KEY = "key"
    BUSY = "busy"
    DROP = "drop"


class JobFault(StrEnum):
    """How the next accepted job goes wrong. FAILS_CONTENT is billed all the same."""

    FAILS_CONTENT = "fails_content"
    FAILS_REFUNDED = "fails_refunded"
    NEVER_FINISHES = "never_finishes"


class BillFault(StrEnum):
    """What the next accepted job is billed where the gateway says so: HiAPI does not."""

    ABOVE_LIST = "above_list"


class MediaFault(StrEnum):
    """What happens to the next download of a video."""

    EXPIRED = "expired"
    TRUNCATED = "truncated"
    HTML = "html"
    EMPTY = "empty"
    REDIRECT = "redirect"
    STALLED = "stalled"


class CallbackFault(StrEnum):
    """How the callback of the next accepted job comes.

    The first three bring the true one: TWICE at once, EARLY before the POST is answered, WRONG_ORDER with one of the
    running job after it. The others come in its place: FORGED lies and is signed wrongly, FOREIGN_ID tells of another
    job that has been read before.
    """

    TWICE = "twice"
    EARLY = "early"
    WRONG_ORDER = "wrong_order"
    FORGED = "forged"
    GARBAGE = "garbage"
    OVERSIZE = "oversize"
    FOREIGN_ID = "foreign_id"
    NEVER = "never"


Submit = SubmitFault | Refused
FaultT = TypeVar("FaultT", bound=StrEnum)


class Chance:
    """Lets a `share` of everything fail, each fault of a kind equally often.

    `weights` make single faults rarer or more frequent, by the names that `Faults.met` counts. The same seed gives the
    same faults to the same requests: each kind counts its own.
    """

    def __init__(self, *, share: float, seed: int, weights: Mapping[str, float] | None = None) -> None:
        self._share = share
        self._seed = seed
        self._weights = weights or {}
        self._randoms: dict[str, Random] = {}

    def draw(self, kind: str, faults: tuple[FaultT, ...]) -> FaultT | None:
        left = self._randoms.setdefault(kind, Random(f"{self._seed} {kind}")).random() / self._share * len(faults)
        for fault in faults:
            left -= self._weights.get(_name(kind, fault), 1.0)
            if left < 0:
                return fault
        return None


def _name(kind: str, fault: StrEnum) -> str:
    return f"{kind} {fault}"


@dataclass
class Faults:
    """Queues of faults, each used once, oldest first: ``faults.submit.append(SubmitFault.ACCEPT_THEN_DROP)``.

    Where a queue is empty, `chance` decides. `retry_after_s` goes with refusals for being busy; None: they name no
    time. What hangs goes on after `hang_s`; None: when it is released. `met` counts what happened: ``submit busy``.
    """

    submit: deque[Submit] = field(default_factory=deque)
    key: deque[KeyFault] = field(default_factory=deque)
    read: deque[ReadFault] = field(default_factory=deque)
    job: deque[JobFault] = field(default_factory=deque)
    bill: deque[BillFault] = field(default_factory=deque)
    media: deque[MediaFault] = field(default_factory=deque)
    callback: deque[CallbackFault] = field(default_factory=deque)
    chance: Chance | None = None
    retry_after_s: int | None = None
    hang_s: float | None = None
    met: Counter[str] = field(default_factory=Counter)

    def mend(self) -> None:
        """Let nothing fail from now on."""
        self.chance = None
        queues: tuple[deque[Any], ...] = (
            self.submit,
            self.key,
            self.read,
            self.job,
            self.bill,
            self.media,
            self.callback,
        )
        for queue in queues:
            queue.clear()

    def next_submit(self) -> Submit | None:
        return self._next("submit", self.submit, (*SubmitFault, *Refused))

    def next_key(self) -> KeyFault | None:
        return self._next("key", self.key, tuple(KeyFault))

    def next_read(self) -> ReadFault | None:
        return self._next("read", self.read, tuple(ReadFault))

    def next_job(self) -> JobFault | None:
        return self._next("job", self.job, tuple(JobFault))

    def next_bill(self) -> BillFault | None:
        return self._next("bill", self.bill, tuple(BillFault))

    def next_media(self) -> MediaFault | None:
        return self._next("media", self.media, tuple(MediaFault))

    def next_callback(self) -> CallbackFault | None:
        return self._next("callback", self.callback, tuple(CallbackFault))

    def _next(self, kind: str, queue: deque[FaultT], listed: tuple[FaultT, ...]) -> FaultT | None:
        if queue:
            fault: FaultT | None = queue.popleft()
        else:
            fault = self.chance.draw(kind, listed) if self.chance is not None else None
        if fault is not None:
            self.met[_name(kind, fault)] += 1
        return fault
