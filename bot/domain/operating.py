"""What operators may do about jobs that nobody but the gateway knows the truth of."""

import logging
from collections.abc import Callable, Mapping

from bot.domain.binding import BindProblem, BindRejected
from bot.domain.confirming import Confirmer
from bot.domain.errors import NotAnOperator
from bot.domain.job import Job, JobState
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.ports import CardView, Gateway
from bot.domain.store import Store
from bot.domain.watching import Watcher

log = logging.getLogger(__name__)


class OperatorService:
    """Every call checks who asks: nobody but an operator learns even whether a job is there."""

    def __init__(
        self,
        *,
        store: Store,
        gateways: Mapping[str, Gateway],
        views: JobViews,
        watcher: Watcher,
        confirmer: Confirmer,
        runner: JobRunner,
        operator_ids: Callable[[], frozenset[int]],
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._views = views
        self._watcher = watcher
        self._confirmer = confirmer
        self._runner = runner
        self._operator_ids = operator_ids

    async def unconfirmed(self, *, actor_id: int) -> list[CardView]:
        """Return every unconfirmed job, oldest first; what is known of each stands in its attempt.

        Raises:
            NotAnOperator
        """
        self._check(actor_id)
        return [self._views.plain_view(job) for job in await self._store.unconfirmed()]

    async def close_as_lost(self, job_id: str, *, actor_id: int) -> CardView:
        """End an unconfirmed job: its hold is released, what it may have cost is booked as the operator's loss.

        A video that turns up later is still delivered, free.

        Raises:
            NotAnOperator, BindRejected: nothing was changed.
        """
        job = await self._unconfirmed(job_id, actor_id)
        await self._watcher.lose(job)
        log.warning("unconfirmed job closed as lost job_id=%s actor_id=%s", job.job_id, actor_id)
        return await self._after(job)

    async def bind(self, job_id: str, gateway_job_id: str, *, actor_id: int) -> CardView:
        """Give an unconfirmed job the id that its gateway knows it by, read first; it is watched from then on.

        Raises:
            NotAnOperator, BindRejected: nothing was changed.
        """
        job = await self._unconfirmed(job_id, actor_id)
        named = gateway_job_id.strip()
        is_id = named.isprintable() and " " not in named and bool(named.strip("."))
        problem = await self._confirmer.bind(job, named) if is_id else BindProblem.NOT_READABLE
        if problem is not None:
            raise BindRejected(problem, self._title(job))
        log.warning("gateway job id bound job_id=%s actor_id=%s", job.job_id, actor_id)
        return await self._after(job)

    def _check(self, actor_id: int) -> None:
        if actor_id not in self._operator_ids():
            raise NotAnOperator

    async def _unconfirmed(self, job_id: str, actor_id: int) -> Job:
        self._check(actor_id)
        job = await self._store.job(job_id.strip().casefold())
        if job is None or job.state is not JobState.UNCONFIRMED:
            raise BindRejected(BindProblem.NOT_UNCONFIRMED, self._title(job) if job is not None else "")
        return job

    async def _after(self, job: Job) -> CardView:
        self._runner.wake()
        return await self._views.view(await self._store.job(job.job_id) or job)

    def _title(self, job: Job) -> str:
        return self._gateways[job.request.gateway].capabilities.title
