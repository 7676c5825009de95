"""What operators must know: looked for again and again, told once each."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bot.domain.breakers import Breakers
from bot.domain.errors import DeliveryFailed, Refusal, StoreFailed
from bot.domain.job import Job
from bot.domain.ports import Clock, Library
from bot.domain.pricing import Overbilled
from bot.domain.quota import windows_at
from bot.domain.store import Store
from bot.domain.submitting import FREE_BYTES_MIN

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0
# Told while there is still room for what runs; told again only after there was plenty in between.
DISK_LOW_BYTES = 2 * FREE_BYTES_MIN
_DISK_PLENTY_BYTES = 3 * FREE_BYTES_MIN
# A delivery is given up after three days at the latest; older ones were told long ago.
_GIVEN_UP_SINCE = timedelta(days=7)
_TELL_AGAIN_S = (15.0, 60.0, 300.0, 900.0, 3_600.0)


class NoticeKind(StrEnum):
    """What an operator must know."""

    UNCONFIRMED = "unconfirmed"
    GATEWAY_OUT = "gateway_out"
    OVERBILLED = "overbilled"
    LOSS = "loss"
    DELIVERY_GIVEN_UP = "delivery_given_up"
    DISK_LOW = "disk_low"


# Reasons that may come back: when one is gone, the next time is told again.
_RECURRING = frozenset({NoticeKind.GATEWAY_OUT, NoticeKind.DISK_LOW})


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `key` is the same for the same thing.

    `job`: UNCONFIRMED and DELIVERY_GIVEN_UP. `gateway_title`: all but LOSS and DISK_LOW. `reason`: GATEWAY_OUT.
    `detail`: the month of a LOSS; mode and resolution of what was OVERBILLED ("text at 720p"). `amount`: microdollars
    of a LOSS, free bytes of DISK_LOW. `limit` is what the amount is measured against.
    """

    key: str
    kind: NoticeKind
    job: Job | None = None
    gateway_title: str = ""
    reason: Refusal | None = None
    detail: str = ""
    amount: int = 0
    limit: int = 0


class Operators(Protocol):
    """Where operators are told: their channel, else each one's direct messages."""

    async def tell(self, notice: Notice, *, look_first: bool) -> None:
        """Tell it. With `look_first` a message of the same key that is there already is not repeated.

        Raises:
            DeliveryFailed: permanent where nobody can be told.
        """


class Notices:
    """Looks for what operators must know. What was told is in the database, so that a restart repeats nothing."""

    def __init__(
        self,
        *,
        store: Store,
        operators: Operators,
        breakers: Breakers,
        overbilled: Overbilled,
        library: Library,
        titles: Mapping[str, str],
        loss_microusd: int | None,
        clock: Clock,
    ) -> None:
        """`titles` are the gateways' by name; `loss_microusd` is the loss of a month from which it is told."""
        self._store = store
        self._operators = operators
        self._breakers = breakers
        self._overbilled = overbilled
        self._library = library
        self._titles = titles
        self._loss_microusd = loss_microusd
        self._clock = clock
        self._tries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Look now and every 15 seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except (StoreFailed, OSError):
                log.exception("notices could not be looked for; trying again")
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell what was not told yet."""
        found = await self._found()
        told = await self._store.told()
        present = {notice.key for notice in found}
        for key in told - present:
            if key.partition("/")[0] in _RECURRING and not await self._still_stands(key):
                await self._store.forget_told(key)
        for notice in found:
            if notice.key not in told and self._clock.monotonic() >= self._not_before.get(notice.key, 0.0):
                await self._tell(notice)

    async def _tell(self, notice: Notice) -> None:
        tries = self._tries.get(notice.key, 0)
        try:
            # A bot that died between telling and writing it down has told already.
            await self._operators.tell(notice, look_first=True)
        except DeliveryFailed as error:
            if not error.permanent:
                self._tries[notice.key] = tries + 1
                delay_s = _TELL_AGAIN_S[min(tries, len(_TELL_AGAIN_S) - 1)]
                self._not_before[notice.key] = self._clock.monotonic() + delay_s
                log.warning("operators not told key=%s: %s", notice.key, error)
                return
            log.error("operators cannot be told key=%s: %s", notice.key, error)
        else:
            log.warning("operators told key=%s", notice.key)
        self._tries.pop(notice.key, None)
        self._not_before.pop(notice.key, None)
        await self._store.note_told(notice.key, now=self._clock.now())

    async def _found(self) -> list[Notice]:
        return [
            *self._of_jobs(NoticeKind.UNCONFIRMED, await self._store.unconfirmed()),
            *self._of_jobs(NoticeKind.DELIVERY_GIVEN_UP, await self._store.given_up(since=self._given_up_since())),
            *self._gateways_out(),
            *self._overbilled_rows(),
            *await self._loss(),
            *await self._disk_low(),
        ]

    def _of_jobs(self, kind: NoticeKind, jobs: Iterable[Job]) -> list[Notice]:
        return [
            Notice(f"{kind}/{job.job_id}", kind, job=job, gateway_title=self._title(job.request.gateway))
            for job in jobs
        ]

    def _given_up_since(self) -> datetime:
        return self._clock.now() - _GIVEN_UP_SINCE

    def _gateways_out(self) -> list[Notice]:
        kind = NoticeKind.GATEWAY_OUT
        return [
            Notice(f"{kind}/{gateway}/{reason}", kind, gateway_title=self._title(gateway), reason=reason)
            for gateway, reason in self._breakers.out().items()
        ]

    def _overbilled_rows(self) -> list[Notice]:
        kind = NoticeKind.OVERBILLED
        return [
            Notice(
                f"{kind}/{row}", kind, gateway_title=self._title(row.gateway), detail=f"{row.mode} at {row.resolution}"
            )
            for row in self._overbilled.rows()
        ]

    async def _loss(self) -> list[Notice]:
        month = windows_at(self._clock.now()).month
        limit = self._loss_microusd
        loss = await self._store.loss_microusd(month=month) if limit is not None else 0
        if limit is None or loss < limit:
            return []
        return [Notice(f"{NoticeKind.LOSS}/{month}", NoticeKind.LOSS, detail=month, amount=loss, limit=limit)]

    async def _disk_low(self) -> list[Notice]:
        free = await self._library.free_bytes()
        kind = NoticeKind.DISK_LOW
        return [Notice(kind.value, kind, amount=free, limit=FREE_BYTES_MIN)] if free < DISK_LOW_BYTES else []

    async def _still_stands(self, key: str) -> bool:
        """A disk that is a little above the mark is still low: it would be told again with every file."""
        return key == NoticeKind.DISK_LOW.value and await self._library.free_bytes() < _DISK_PLENTY_BYTES

    def _title(self, gateway: str) -> str:
        return self._titles.get(gateway, gateway)
