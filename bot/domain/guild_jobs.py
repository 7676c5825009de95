"""What a guild's managers may do about its jobs: look, release a hold, refund, deliver again."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import Act, GuildJob
from bot.domain.guild_store import GuildStore
from bot.domain.job import Delivery, Job, JobState
from bot.domain.money import amount_from_text, show_usd
from bot.domain.ports import Clock, Library
from bot.domain.rule_input import reason_from_text
from bot.domain.store import Store

log = logging.getLogger(__name__)

JOBS_MAX = 200


@dataclass(frozen=True, slots=True)
class Refunded:
    """What a refund gave back. Not `by_operator`, what the operator's limits count stays as it was."""

    job: GuildJob
    amount_microusd: int
    by_operator: bool


class GuildJobService:
    """Every call names the guild: a job of another guild is no job here."""

    def __init__(
        self,
        *,
        store: Store,
        guild_store: GuildStore,
        library: Library,
        clock: Clock,
        operator_ids: Callable[[], frozenset[int]],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._guild_store = guild_store
        self._library = library
        self._clock = clock
        self._operator_ids = operator_ids
        self._wake = wake

    @property
    def now(self) -> datetime:
        return self._clock.now()

    async def jobs(
        self, guild_id: int, *, user_id: int | None = None, states: frozenset[JobState] = frozenset()
    ) -> list[GuildJob]:
        """Return the guild's 200 newest jobs in those states (empty: all), newest first."""
        return await self._guild_store.guild_jobs(guild_id, user_id=user_id, states=states, limit=JOBS_MAX)

    async def release(self, job_id: str, *, guild_id: int, actor_id: int) -> GuildJob:
        """End a job that is in line; its hold is released.

        Raises:
            ChangeRejected: NO_JOB, NOT_IN_LINE (`detail` is its state); nothing was changed.
        """
        job = await self._found(job_id, guild_id)
        if not await self._guild_store.release_held(job.job_id, act=self._act(guild_id, actor_id)):
            job = await self._found(job_id, guild_id)
            raise ChangeRejected(ChangeProblem.NOT_IN_LINE, job.state.value)
        log.warning("hold released by a manager job_id=%s actor_id=%s", job.job_id, actor_id)
        return await self._after(job)

    async def refund(self, job_id: str, *, guild_id: int, actor_id: int, amount: str | None, reason: str) -> Refunded:
        """Give back what a job's person was charged, or the part of it that was typed; once for a job.

        Raises:
            AmountRejected, ChangeRejected: NO_JOB, BAD_VALUE (the reason), NOT_CHARGED,
                REFUNDED_ALREADY and MORE_THAN_CHARGED (`detail` is how much); nothing was changed.
        """
        job = await self._found(job_id, guild_id)
        wanted_microusd = None if amount is None else amount_from_text(amount)
        said = reason_from_text(reason)
        if not job.charged_microusd or job.refunded_microusd:
            raise _not_refundable(job)
        amount_microusd = job.charged_microusd if wanted_microusd is None else wanted_microusd
        if amount_microusd > job.charged_microusd:
            raise ChangeRejected(ChangeProblem.MORE_THAN_CHARGED, show_usd(job.charged_microusd))
        act = self._act(guild_id, actor_id)
        if not await self._guild_store.refund_job(job.job_id, amount_microusd=amount_microusd, reason=said, act=act):
            raise _not_refundable(await self._found(job_id, guild_id))
        log.warning("refunded by a manager job_id=%s actor_id=%s microusd=%s", job.job_id, actor_id, amount_microusd)
        return Refunded(await self._after(job), amount_microusd, act.by_operator)

    async def deliver_again(self, job_id: str, *, guild_id: int, actor_id: int) -> GuildJob:
        """Let a kept video be posted again, unless its message is still there; while it is being posted, do nothing.

        Raises:
            ChangeRejected: NO_JOB, NO_VIDEO (there is none, or not any more); nothing was changed.
        """
        job = await self._found(job_id, guild_id)
        if not await self._is_kept(job):
            raise ChangeRejected(ChangeProblem.NO_VIDEO)
        if job.delivery is Delivery.DUE:
            return GuildJob.of(job)
        if not await self._guild_store.deliver_again(job.job_id, act=self._act(guild_id, actor_id)):
            job = await self._found(job_id, guild_id)
            if job.delivery is not Delivery.DUE:
                raise ChangeRejected(ChangeProblem.NO_VIDEO)
            return GuildJob.of(job)
        log.info("video to be posted again job_id=%s actor_id=%s", job.job_id, actor_id)
        return await self._after(job)

    async def _is_kept(self, job: Job) -> bool:
        if job.video is None or job.is_erased or job.forgotten:
            return False
        return await asyncio.to_thread(self._library.path(job.video.name).is_file)

    async def _found(self, job_id: str, guild_id: int) -> Job:
        job = await self._store.job(job_id.strip(" `").casefold())
        if job is None or job.guild_id != guild_id:
            raise ChangeRejected(ChangeProblem.NO_JOB)
        return job

    def _act(self, guild_id: int, actor_id: int) -> Act:
        return Act(guild_id, actor_id, self.now, by_operator=actor_id in self._operator_ids())

    async def _after(self, job: Job) -> GuildJob:
        self._wake()
        return GuildJob.of(await self._store.job(job.job_id) or job)


def _not_refundable(job: Job) -> ChangeRejected:
    if job.refunded_microusd:
        return ChangeRejected(ChangeProblem.REFUNDED_ALREADY, show_usd(job.refunded_microusd))
    return ChangeRejected(ChangeProblem.NOT_CHARGED)
