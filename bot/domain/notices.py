"""What operators must know: looked for again and again, told once each."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bot.domain.breakers import Breakers
from bot.domain.errors import DeliveryFailed, Refusal
from bot.domain.job import Job
from bot.domain.ports import Clock, Library
from bot.domain.pricing import Overbilled
from bot.domain.store import Store
from bot.domain.submitting import FREE_BYTES_MIN
from bot.domain.windows import windows_at

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0
# Told while there is still room for what runs; told again only after there was plenty in between.
DISK_LOW_BYTES = 2 * FREE_BYTES_MIN
_DISK_PLENTY_BYTES = 3 * FREE_BYTES_MIN
# A delivery is given up after three days at the latest; older ones were told long ago.
_GIVEN_UP_SINCE = timedelta(days=7)
# Where nobody can be told, somebody may open direct messages or correct the channel.
_REFUSED_AGAIN_S = 86_400.0
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
RECURRING = frozenset({NoticeKind.GATEWAY_OUT, NoticeKind.DISK_LOW})


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `key` is the same for the same thing.

    `job`: UNCONFIRMED and DELIVERY_GIVEN_UP. `gateway_title`: all but LOSS and DISK_LOW. `reason`: GATEWAY_OUT.
    `detail`: the month of a LOSS; mode and resolution of what was OVERBILLED ("text at 720p"). `loss_microusd` and
    `limit_microusd`, from which on it is told: LOSS. `free_bytes`: DISK_LOW. `since`: when it was first seen to be so
    without having been told.
    """

    key: str
    kind: NoticeKind
    job: Job | None = None
    gateway_title: str = ""
    reason: Refusal | None = None
    detail: str = ""
    loss_microusd: int = 0
    limit_microusd: int = 0
    free_bytes: int = 0
    since: datetime | None = None


class Operators(Protocol):
    """Where operators are told: their channel, else each one's direct messages."""

    async def tell(self, notice: Notice) -> None:
        """Tell it. A message of the same key that is there already is not repeated.

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
        self._seen_at: dict[str, datetime] = {}

    async def run(self) -> None:
        """Look now and every 15 seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                # Whatever breaks here, jobs go on, and the next look is another chance.
                log.exception("notices could not be looked for; trying again")
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell what was not told yet."""
        found = await self._found()
        told = await self._store.told()
        present = {notice.key for notice in found}
        for key in told - present:
            if await self._is_over(key):
                await self._store.forget_told(key)
        untold = [notice for notice in found if notice.key not in told]
        now = self._clock.now()
        self._seen_at = {notice.key: self._seen_at.get(notice.key, now) for notice in untold}
        for notice in untold:
            if self._clock.monotonic() >= self._not_before.get(notice.key, 0.0):
                await self._tell(replace(notice, since=self._seen_at[notice.key]))

    async def _tell(self, notice: Notice) -> None:
        tries = self._tries.get(notice.key, 0)
        try:
            await self._operators.tell(notice)
        except DeliveryFailed as error:
            self._tries[notice.key] = tries + 1
            delay_s = _TELL_AGAIN_S[min(tries, len(_TELL_AGAIN_S) - 1)]
            self._not_before[notice.key] = self._clock.monotonic() + (_REFUSED_AGAIN_S if error.permanent else delay_s)
            log.error("operators not told key=%s permanent=%s: %s", notice.key, error.permanent, error)
            return
        log.warning("operators told key=%s", notice.key)
        self._tries.pop(notice.key, None)
        self._not_before.pop(notice.key, None)
        await self._store.note_told(notice.key, now=self._clock.now())

    async def _found(self) -> list[Notice]:
        since = self._clock.now() - _GIVEN_UP_SINCE
        return [
            *self._gateways_out(),
            *self._overbilled_rows(),
            *await self._loss(),
            *await self._disk_low(),
            *self._of_jobs(NoticeKind.UNCONFIRMED, await self._store.unconfirmed()),
            *self._of_jobs(NoticeKind.DELIVERY_GIVEN_UP, await self._store.given_up(since=since)),
        ]

    def _of_jobs(self, kind: NoticeKind, jobs: Iterable[Job]) -> list[Notice]:
        return [
            Notice(f"{kind}/{job.job_id}", kind, job=job, gateway_title=self._title(job.request.gateway))
            for job in jobs
        ]

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
        if self._loss_microusd is None:
            return []
        month, limit = windows_at(self._clock.now()).month, self._loss_microusd
        loss = await self._store.loss_microusd(month=month)
        if loss < max(limit, 1):
            return []
        key = f"{NoticeKind.LOSS}/{month}"
        return [Notice(key, NoticeKind.LOSS, detail=month, loss_microusd=loss, limit_microusd=limit)]

    async def _disk_low(self) -> list[Notice]:
        free_bytes = await self._library.free_bytes()
        kind = NoticeKind.DISK_LOW
        return [Notice(kind.value, kind, free_bytes=free_bytes)] if free_bytes < DISK_LOW_BYTES else []

    async def _is_over(self, key: str) -> bool:
        """Say whether the reason of a notice that was told is gone, so that it must be told when it comes back.

        A gateway is well again once it took a job in this life of the process; breakers forget at a restart. A disk
        that is a little above the mark is still low: it would be told again with every file.
        """
        kind, _, subject = key.partition("/")
        if kind == NoticeKind.GATEWAY_OUT:
            return self._breakers.has_worked(subject.partition("/")[0])
        return kind == NoticeKind.DISK_LOW and await self._library.free_bytes() >= _DISK_PLENTY_BYTES

    def _title(self, gateway: str) -> str:
        return self._titles.get(gateway, gateway)
