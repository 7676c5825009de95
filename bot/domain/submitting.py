"""The one submission path: a held job, checked once more, becomes an attempt that is written down and then sent."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from bot.domain.errors import StoreFailed, SubmissionRefused, SubmissionUnconfirmed, UploadFailed
from bot.domain.job import Attempt, BilledSource, Ending, Job, JobState
from bot.domain.job_views import JobViews
from bot.domain.ports import Accepted, Billing, Clock, End, Gateway, Hosting, Library, Messenger, Store, Submission
from bot.domain.pricing import Capabilities, Overbilled
from bot.domain.quota import FAILURES_PER_DAY_MAX
from bot.domain.watch_times import WatchTimes

log = logging.getLogger(__name__)

# Below this nothing is submitted: a paid video must find room.
FREE_BYTES_MIN = 1_000_000_000
WATCH_FIRST_DEFAULT_S = 20.0
_WRITE_AGAIN_S = 1.0
# Longer than a POST can take: a job still submitting then, without anybody sending it, has lost its sender.
_SEND_MAX_S = 600.0


class Submitter:
    """Sends each attempt at most once, and writes down what came of it, however often the disk fails."""

    def __init__(
        self,
        *,
        store: Store,
        gateways: Mapping[str, Gateway],
        library: Library,
        messenger: Messenger,
        hosting: Hosting,
        views: JobViews,
        overbilled: Overbilled,
        times: WatchTimes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._library = library
        self._messenger = messenger
        self._hosting = hosting
        self._views = views
        self._overbilled = overbilled
        self._times = times
        self._clock = clock

    async def prepare(self, job: Job) -> Attempt | float:
        """Check a held job once more and make its attempt.

        Returns the attempt, or for how many seconds the job must rest: 0 when it has just ended.
        """
        gateway = self._gateways[job.request.gateway]
        price = self._price(gateway.capabilities, job)
        if price is None or price > job.request.price_microusd:
            return await self._end(job, Ending.UNPRICED)
        if price and await self._failures_today(job) >= FAILURES_PER_DAY_MAX:
            return await self._end(job, Ending.TOO_MANY_FAILURES)
        if not await self._messenger.may_deliver(job):
            return await self._end(job, Ending.PLACE_GONE)
        if await self._library.free_bytes() < FREE_BYTES_MIN:
            log.error("disk is nearly full, nothing is submitted job_id=%s", job.job_id)
            return 60.0
        addresses: tuple[str, ...] = ()
        if job.images and gateway.capabilities.fetches_pictures:
            try:
                addresses = await self._hosting.addresses(job)
            except UploadFailed as error:
                log.warning("pictures have no address job_id=%s permanent=%s: %s", job.job_id, error.permanent, error)
                return await self._end(job, Ending.UPLOAD_IMPOSSIBLE) if error.permanent else 15.0
        return self._attempt(job, gateway, addresses)

    async def _failures_today(self, job: Job) -> int:
        return await self._store.failures_today(user_id=job.user_id, now=self._clock.now())

    async def begin(self, attempt: Attempt) -> bool:
        """Write the attempt down; False when the job left the line or spending is paused, and nothing may be sent."""
        return await self._store.begin_attempt(attempt, next_at=attempt.submitted_at + timedelta(seconds=_SEND_MAX_S))

    async def send(self, job: Job, attempt: Attempt) -> None:
        """Send a begun attempt and write down what came of it."""
        gateway = self._gateways[attempt.gateway]
        try:
            accepted = await gateway.submit(attempt)
        except SubmissionRefused as error:
            log.warning(
                "gateway refused job_id=%s gateway=%s reason=%s detail=%s",
                job.job_id,
                error.gateway,
                error.reason.value,
                error.detail,
            )
            end = End(
                Ending.REFUSED, error.reason, refused_picture=error.picture, billing=Billing(0, BilledSource.REPORTED)
            )
            await self._write(lambda: self._fail(job, end))
        except SubmissionUnconfirmed as error:
            log.error(
                "gateway has not confirmed job_id=%s gateway=%s detail=%s", job.job_id, error.gateway, error.detail
            )
            await self.leave_unconfirmed(job)
        except Exception:
            # Whatever broke after the first byte may have left, the job may be running: that must never be forgotten.
            log.exception("submission broke, the job is unconfirmed job_id=%s gateway=%s", job.job_id, attempt.gateway)
            await self.leave_unconfirmed(job)
        else:
            log.info(
                "gateway accepted job_id=%s gateway=%s gateway_job_id=%s",
                job.job_id,
                attempt.gateway,
                accepted.gateway_job_id,
            )
            await self._accept(job, attempt, accepted)

    async def _accept(self, job: Job, attempt: Attempt, accepted: Accepted) -> None:
        price = job.request.price_microusd
        billing = Billing(price, BilledSource.PRICE)
        if accepted.billed_microusd is not None:
            billing = Billing(accepted.billed_microusd, BilledSource.REPORTED)
        first_look_at = await self._first_look_at(job)
        moved = await self._write(
            lambda: self._store.accept(
                job.job_id,
                number=attempt.number,
                gateway_job_id=accepted.gateway_job_id,
                billing=billing,
                now=self._clock.now(),
                next_at=first_look_at,
            )
        )
        if not moved:
            # An id that another job has already: it cannot be told whose video that would be.
            log.error("gateway job id is taken job_id=%s gateway_job_id=%s", job.job_id, accepted.gateway_job_id)
            await self.leave_unconfirmed(job)
        if billing.microusd > price:
            facts = self._gateways[attempt.gateway].capabilities
            await self._write(lambda: self._overbilled.add(facts, job.request))

    async def leave_unconfirmed(self, job: Job) -> None:
        """Move a submitting job to unconfirmed; its card is due at once."""
        now = self._clock.now()
        await self._write(lambda: self._store.leave_unconfirmed(job.job_id, now=now, next_at=now))

    async def _fail(self, job: Job, end: End) -> bool:
        return await self._store.end(
            job.job_id, states=(JobState.SUBMITTING,), to=JobState.FAILED, end=end, now=self._clock.now()
        )

    async def _write(self, operation: Callable[[], Awaitable[bool]]) -> bool:
        """Repeat a write until the disk takes it: what a gateway said of money may not be forgotten."""
        while True:
            try:
                return await operation()
            except StoreFailed:
                log.exception("outcome of a submission could not be written; trying again")
                await self._clock.sleep(_WRITE_AGAIN_S)

    async def _end(self, job: Job, ending: Ending) -> float:
        log.warning("job ends unsubmitted job_id=%s ending=%s", job.job_id, ending.value)
        await self._store.end(
            job.job_id, states=(JobState.HELD,), to=JobState.FAILED, end=End(ending), now=self._clock.now()
        )
        return 0.0

    async def _first_look_at(self, job: Job) -> datetime:
        first_s = self._times.first_s
        if first_s is None:
            try:
                first_s = (await self._views.pace(job)).early_s or WATCH_FIRST_DEFAULT_S
            except StoreFailed:
                first_s = WATCH_FIRST_DEFAULT_S
        return self._clock.now() + timedelta(seconds=first_s)

    def _price(self, capabilities: Capabilities, job: Job) -> int | None:
        priced = self._overbilled.without(capabilities, job.request.mode)
        return priced.price_microusd(resolution=job.request.resolution, duration_s=job.request.duration_s)

    def _attempt(self, job: Job, gateway: Gateway, addresses: tuple[str, ...]) -> Attempt:
        submission = Submission(job.request, job.images, addresses, callback_address=None)
        number = job.attempt_count + 1
        return Attempt(
            job_id=job.job_id,
            number=number,
            gateway=job.request.gateway,
            model=gateway.capabilities.modes[job.request.mode].model,
            body=gateway.body(submission),
            idempotency_key=f"{job.job_id}-{number}",
            callback_token=secrets.token_urlsafe(24),
            submitted_at=self._clock.now(),
        )
