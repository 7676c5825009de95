"""Finds out whether a gateway took an unconfirmed job: by its callback, by replaying the very same POST, by its id."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.domain.binding import BindProblem
from bot.domain.breakers import Breakers
from bot.domain.errors import GatewayUnavailable, SubmissionRefused, SubmissionUnconfirmed
from bot.domain.job import Attempt, Job, JobState
from bot.domain.ports import Clock, Gateway, Reading
from bot.domain.pricing import Idempotency
from bot.domain.request_pace import RequestPace
from bot.domain.store import Store
from bot.domain.submitting import Submitter
from bot.domain.watch_times import WatchTimes
from bot.domain.watching import Watcher

log = logging.getLogger(__name__)

# A gateway with replay remembers a key for about a day; after this nobody can be sure of it any more.
REPLAY_MAX = timedelta(hours=20)
_REPLAY_DELAYS_S = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1_800.0)
_NAMED_AGAIN_S = 15.0
# So long past its task life a job is waited for that a callback named and whose gateway does not answer.
_NO_ANSWER_MAX = timedelta(days=1)


class _Named(Enum):
    """What a callback's id brought: no callback named one, it was not the job's, nobody could tell, or it was bound."""

    NOTHING = auto()
    NOTHING_NOW = auto()
    NOT_KNOWN = auto()
    BOUND = auto()


class Confirmer:
    """Heals unconfirmed jobs. It never buys twice: a replay carries the first POST's key and bytes."""

    def __init__(
        self,
        *,
        store: Store,
        gateways: Mapping[str, Gateway],
        paces: Mapping[str, RequestPace],
        submitter: Submitter,
        watcher: Watcher,
        breakers: Breakers,
        times: WatchTimes,
        clock: Clock,
        restored_at: datetime | None = None,
    ) -> None:
        """`restored_at`: what was sent before it may have been refused, and bought anew, since the backup."""
        self._store = store
        self._gateways = gateways
        self._paces = paces
        self._submitter = submitter
        self._watcher = watcher
        self._breakers = breakers
        self._restored_at = restored_at
        self._times = times
        self._clock = clock
        self._replays: dict[str, int] = {}
        # By the clock that never jumps.
        self._replay_at: dict[str, float] = {}
        self._mismatched: set[str] = set()

    async def confirm(self, job: Job, *, may_send: bool) -> datetime | None:
        """Try what can be tried now; return when to try again if it is still unconfirmed, None when it has moved.

        `may_send` False leaves the replay for later: the bot is stopping.
        """
        ends_at = (job.submitted_at or job.since_at) + timedelta(seconds=self._times.task_life_s)
        named = await self._named_by_callback(job)
        if named is _Named.BOUND:
            return None
        now = self._clock.now()
        again_at = now + timedelta(seconds=_NAMED_AGAIN_S)
        # A gateway in trouble has not said that it does not know the job.
        if now >= ends_at and (named is not _Named.NOT_KNOWN or now >= ends_at + _NO_ANSWER_MAX):
            await self._watcher.lose(job)
            self._forget(job)
            return None
        if now >= ends_at:
            return again_at
        replay_at = await self._replay(job, may_send=may_send) or ends_at
        return min(ends_at, replay_at, again_at if named is not _Named.NOTHING else ends_at)

    async def bind(self, job: Job, gateway_job_id: str) -> BindProblem | None:
        """Give an unconfirmed job its gateway's id, after reading it there; None when that is done.

        Whatever problem is returned, nothing was changed.
        """
        attempt = job.attempt
        if attempt is None:
            return BindProblem.NOT_UNCONFIRMED
        try:
            reading = await self._gateways[attempt.gateway].read(gateway_job_id)
        except GatewayUnavailable as error:
            log.warning("named job cannot be read job_id=%s detail=%s", job.job_id, error.detail)
            return BindProblem.NOT_READABLE
        return await self._bound(job, attempt, gateway_job_id, reading)

    async def _bound(self, job: Job, attempt: Attempt, gateway_job_id: str, reading: Reading) -> BindProblem | None:
        if (reading.billed_microusd or 0) > attempt.price_microusd:
            # What was billed above the price is sooner another job's id than a price that rose without a word.
            return BindProblem.OTHER_BILL
        if await self._submitter.confirmed(job, attempt, gateway_job_id, reading.billed_microusd):
            self._forget(job)
            return None
        present = await self._store.job(job.job_id)
        unconfirmed = present is not None and present.state is JobState.UNCONFIRMED
        return BindProblem.TAKEN if unconfirmed else BindProblem.NOT_UNCONFIRMED

    async def _named_by_callback(self, job: Job) -> "_Named":
        """Bind the id that a callback named, if it can be read."""
        attempt = job.attempt
        if attempt is None or attempt.hinted_gateway_job_id is None:
            return _Named.NOTHING
        if not self._paces[attempt.gateway].take():
            return _Named.NOT_KNOWN
        try:
            reading = await self._gateways[attempt.gateway].read(attempt.hinted_gateway_job_id)
        except GatewayUnavailable as error:
            log.warning("callback cannot be confirmed job_id=%s detail=%s", job.job_id, error.detail)
            return _Named.NOT_KNOWN if error.reason.about_gateway else _Named.NOTHING_NOW
        problem = await self._bound(job, attempt, attempt.hinted_gateway_job_id, reading)
        if problem is None:
            return _Named.BOUND
        log.warning("callback does not confirm job_id=%s problem=%s", job.job_id, problem.value)
        return _Named.NOTHING_NOW

    async def _replay(self, job: Job, *, may_send: bool) -> datetime | None:
        """Send the attempt again where the gateway keeps the first answer; return when to do it next, None for never.

        Only a 2xx with an id confirms; every other answer, a refusal too, leaves the job as it is.
        """
        attempt = job.attempt
        if attempt is None or not self._may_be_replayed(attempt):
            return None
        left_s = self._replay_at.get(job.job_id, 0.0) - self._clock.monotonic()
        if left_s > 0:
            return self._clock.now() + timedelta(seconds=left_s)
        wait_s = _REPLAY_DELAYS_S[min(self._replays.get(job.job_id, 0), len(_REPLAY_DELAYS_S) - 1)]
        if may_send and await self._submitter.may_replay(job) and self._paces[attempt.gateway].take():
            self._replays[job.job_id] = self._replays.get(job.job_id, 0) + 1
            # Before the POST, so that whatever breaks, the next one is not sent at once.
            self._replay_at[job.job_id] = self._clock.monotonic() + wait_s
            try:
                accepted = await self._gateways[attempt.gateway].submit(attempt)
            except SubmissionUnconfirmed as error:
                log.warning("replay not answered job_id=%s detail=%s", job.job_id, error.detail)
                if error.mismatch:
                    log.error("gateway has other bytes under the key job_id=%s", job.job_id)
                    self._mismatched.add(job.job_id)
                    return None
                wait_s = max(wait_s, error.retry_after_s or 0.0)
            except SubmissionRefused as error:
                log.warning("replay refused, the job stays unconfirmed job_id=%s detail=%s", job.job_id, error.detail)
                self._breakers.refused(attempt.gateway, error.reason, retry_after_s=error.retry_after_s)
                wait_s = max(wait_s, error.retry_after_s or 0.0)
            else:
                self._breakers.worked(attempt.gateway)
                log.info("replay confirmed job_id=%s gateway_job_id=%s", job.job_id, accepted.gateway_job_id)
                if await self._submitter.confirmed(job, attempt, accepted.gateway_job_id, accepted.billed_microusd):
                    self._forget(job)
                    return None
        self._replay_at[job.job_id] = self._clock.monotonic() + wait_s
        return self._clock.now() + timedelta(seconds=wait_s)

    def _may_be_replayed(self, attempt: Attempt) -> bool:
        if self._gateways[attempt.gateway].capabilities.idempotency is not Idempotency.REPLAY:
            return False
        if self._restored_at is not None and attempt.submitted_at < self._restored_at:
            return False
        return attempt.job_id not in self._mismatched and self._clock.now() - attempt.submitted_at < REPLAY_MAX

    def _forget(self, job: Job) -> None:
        self._replays.pop(job.job_id, None)
        self._replay_at.pop(job.job_id, None)
        self._mismatched.discard(job.job_id)
