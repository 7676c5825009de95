"""The one submission path: a held job, checked once more, becomes an attempt that is written down and then sent."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from bot.domain.breakers import BUSY_MIN_S, Breakers
from bot.domain.errors import Refusal, StoreFailed, SubmissionRefused, SubmissionUnconfirmed, UploadFailed
from bot.domain.guild_store import GuildStore
from bot.domain.job import Attempt, BilledSource, Ending, Job, JobState
from bot.domain.job_views import JobViews
from bot.domain.line import LINE_MAX_S
from bot.domain.offers import elsewhere
from bot.domain.ports import Callbacks, Clock, Gateway, Hosting, Library, Messenger, Submission
from bot.domain.pricing import Capabilities, Overbilled
from bot.domain.quota import FAILURES_PER_DAY_MAX
from bot.domain.store import Billing, End, Store
from bot.domain.watch_times import WatchTimes

log = logging.getLogger(__name__)

T = TypeVar("T")
# Below this nothing is submitted: a paid video must find room.
FREE_BYTES_MIN = 1_000_000_000
WATCH_FIRST_DEFAULT_S = 20.0
_WRITE_AGAIN_S = 1.0
# How soon a job in line looks again whether its guild's managers have ended their pause.
_GUILD_PAUSED_S = 5.0
# Longer than a POST can take: a job still submitting then, without anybody sending it, has lost its sender.
_SEND_MAX_S = 600.0


class Submitter:
    """Sends each attempt at most once, and writes down what came of it, however often the disk fails."""

    def __init__(
        self,
        *,
        store: Store,
        guild_store: GuildStore,
        gateways: Mapping[str, Gateway],
        library: Library,
        messenger: Messenger,
        hosting: Hosting,
        views: JobViews,
        overbilled: Overbilled,
        breakers: Breakers,
        callbacks: Callbacks,
        times: WatchTimes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._guild_store = guild_store
        self._gateways = gateways
        self._library = library
        self._messenger = messenger
        self._hosting = hosting
        self._views = views
        self._overbilled = overbilled
        self._breakers = breakers
        self._callbacks = callbacks
        self._times = times
        self._clock = clock

    async def prepare(self, job: Job) -> Attempt | float:
        """Check a held job once more and make its attempt.

        Returns the attempt, or for how many seconds the job must rest: 0 when it has just ended or changed its gateway.
        """
        gateway = self._gateways[job.request.gateway]
        price = self._price(gateway.capabilities, job)
        rest_s = await self._rest_of_gateway_s(job, price)
        if rest_s is None:
            rest_s = await self._rest_of_job_s(job)
        if rest_s is not None or price is None:
            return rest_s or 0.0
        addresses: tuple[str, ...] = ()
        if job.images and gateway.capabilities.fetches_pictures:
            try:
                addresses = await self._hosting.addresses(job)
            except UploadFailed as error:
                log.warning("pictures have no address job_id=%s permanent=%s: %s", job.job_id, error.permanent, error)
                return await self._end(job, Ending.UPLOAD_IMPOSSIBLE) if error.permanent else 15.0
        return self._attempt(job, gateway, addresses, price)

    async def _rest_of_gateway_s(self, job: Job, price_microusd: int | None) -> float | None:
        """Return how long the job must rest because of its gateway: 0 when it ended or moved, None for not at all."""
        name = job.request.gateway
        wait_s = self._breakers.wait_s(name)
        if price_microusd is not None and not wait_s:
            return None
        if await self._moved(job):
            return 0.0
        if price_microusd is None:
            return await self._end(job, Ending.UNPRICED)
        if self._breakers.is_out(name):
            return await self._end(job, Ending.REFUSED, self._breakers.out()[name])
        return wait_s

    async def _rest_of_job_s(self, job: Job) -> float | None:
        """Return how long the job must rest for other reasons, 0 when it has ended, None for not at all."""
        ending = await self._ending_now(job)
        if ending is not None:
            return await self._end(job, ending)
        if await self._is_paused(job):
            return _GUILD_PAUSED_S
        if await self._library.free_bytes() < FREE_BYTES_MIN:
            log.error("disk is nearly full, nothing is submitted job_id=%s", job.job_id)
            return 60.0
        return None

    async def _ending_now(self, job: Job) -> Ending | None:
        """Return why the job can never be submitted, None where it can."""
        if self._clock.now() - job.created_at >= timedelta(seconds=LINE_MAX_S):
            return Ending.LINE_TOO_LONG
        if await self._is_blocked(job):
            return Ending.BLOCKED
        if job.request.price_microusd and await self._failures_today(job) >= FAILURES_PER_DAY_MAX:
            return Ending.TOO_MANY_FAILURES
        return None if await self._messenger.may_deliver(job) else Ending.PLACE_GONE

    async def _moved(self, job: Job) -> bool:
        """Give a held job to another gateway where there is one for it; its own one would keep it waiting."""
        other = await self._elsewhere(job)
        if other is None:
            return False
        log.info("job moved job_id=%s gateway=%s to=%s", job.job_id, job.request.gateway, other.gateway)
        await self._store.reroute(job.job_id, gateway=job.request.gateway, to=other.gateway)
        return True

    async def _elsewhere(self, job: Job) -> Capabilities | None:
        """Return where else a job of ``auto`` may go; a gateway that a person named is never left."""
        if job.request.pinned or not job.request.price_microusd:
            return None
        tried = {attempt.gateway for attempt in await self._store.attempts(job.job_id)} | {job.request.gateway}
        ready = [
            self._overbilled.without(gateway.capabilities, job.request.mode)
            for name, gateway in self._gateways.items()
            if not self._breakers.wait_s(name)
        ]
        return elsewhere(ready, job, tried=tried)

    async def may_replay(self, job: Job) -> bool:
        """Say whether an unconfirmed job may be sent again: should the first POST never have arrived, this one buys."""
        gateway = self._gateways[job.request.gateway]
        allowed = (
            self._price(gateway.capabilities, job) is not None
            and not self._breakers.wait_s(job.request.gateway)
            and await self._library.free_bytes() >= FREE_BYTES_MIN
            and not await self._store.paused()
            and not await self._is_paused(job)
            and not await self._is_blocked(job)
            and await self._messenger.may_deliver(job)
        )
        if not allowed:
            return False
        # Last, with nothing to wait for before the POST: an operator may have closed the job, its person gone.
        present = await self._store.job(job.job_id)
        return (
            present is not None
            and present.state is JobState.UNCONFIRMED
            and present.attempt_count == job.attempt_count
            and not present.forgotten
        )

    async def _is_paused(self, job: Job) -> bool:
        """Say whether the job's guild is paused by its managers."""
        return job.guild_id is not None and (await self._guild_store.guild(job.guild_id)).paused

    async def _is_blocked(self, job: Job) -> bool:
        if job.guild_id is None:
            return False
        now = self._clock.now()
        return await self._guild_store.block_of(user_id=job.user_id, guild_id=job.guild_id, now=now) is not None

    async def _failures_today(self, job: Job) -> int:
        return await self._store.failures_today(user_id=job.user_id, now=self._clock.now())

    async def begin(self, attempt: Attempt) -> bool:
        """Write the attempt down; False where nothing may be sent now: the job left the line, a pause, a breaker."""
        if not self._breakers.take(attempt.gateway):
            return False
        begun = False
        try:
            next_at = attempt.submitted_at + timedelta(seconds=_SEND_MAX_S)
            begun = await self._store.begin_attempt(attempt, next_at=next_at)
        finally:
            if not begun:
                self._breakers.put_back(attempt.gateway)
        return begun

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
            self._breakers.refused(attempt.gateway, error.reason, retry_after_s=error.retry_after_s)
            await self._refused(job, attempt, error)
        except SubmissionUnconfirmed as error:
            log.error(
                "gateway has not confirmed job_id=%s gateway=%s detail=%s", job.job_id, error.gateway, error.detail
            )
            self._breakers.unconfirmed(attempt.gateway)
            await self.leave_unconfirmed(job)
        except Exception:
            # Whatever broke after the first byte may have left, the job may be running: that must never be forgotten.
            log.exception("submission broke, the job is unconfirmed job_id=%s gateway=%s", job.job_id, attempt.gateway)
            self._breakers.unconfirmed(attempt.gateway)
            await self.leave_unconfirmed(job)
        else:
            log.info(
                "gateway accepted job_id=%s gateway=%s gateway_job_id=%s",
                job.job_id,
                attempt.gateway,
                accepted.gateway_job_id,
            )
            self._breakers.worked(attempt.gateway)
            if not await self.confirmed(job, attempt, accepted.gateway_job_id, accepted.billed_microusd):
                # An id that another job has already: it cannot be told whose video that would be.
                log.error("gateway job id is taken job_id=%s gateway_job_id=%s", job.job_id, accepted.gateway_job_id)
                await self.leave_unconfirmed(job)

    async def confirmed(self, job: Job, attempt: Attempt, gateway_job_id: str, billed_microusd: int | None) -> bool:
        """Write down that the gateway has the job: submitting or unconfirmed -> running, watched from then on.

        False where the id is another job's or the job has moved on. A lost job still gets its id, so that its video
        can be looked for.
        """
        billing = Billing(attempt.price_microusd, BilledSource.PRICE)
        if billed_microusd is not None:
            billing = Billing(billed_microusd, BilledSource.REPORTED)
        number, now = attempt.number, self._clock.now()
        # An unconfirmed job was sent some time ago: it may be done.
        next_at = now if job.state is JobState.UNCONFIRMED else await self._first_look_at(job)
        moved = await self._write(
            lambda: self._store.accept(
                job.job_id, number=number, gateway_job_id=gateway_job_id, billing=billing, now=now, next_at=next_at
            )
        )
        named = moved
        if not moved and job.state is JobState.UNCONFIRMED:
            named = await self._write(
                lambda: self._store.name_attempt(job.job_id, number=number, gateway_job_id=gateway_job_id)
            )
            if named and billed_microusd is not None:
                await self._write(lambda: self._store.bill(job.job_id, number=number, billing=billing))
            await self._store.schedule(job.job_id, state=JobState.LOST, next_at=now)
        # The bill of another job's id says nothing of this one's price.
        if named:
            facts = self._gateways[attempt.gateway].capabilities
            await self._write(lambda: self._overbilled.add(facts, job.request, billed_microusd=billing.microusd))
        return moved

    async def _refused(self, job: Job, attempt: Attempt, error: SubmissionRefused) -> None:
        """Send the job elsewhere or back into the line where the gateway was the reason; else it has failed.

        A gateway that has called back for this very attempt has the job, whatever it answered.
        """
        (*_, newest) = await self._write(lambda: self._store.attempts(job.job_id))
        if newest.hinted_at is not None:
            await self._disbelieve(job, attempt)
            return
        other = await self._write(lambda: self._elsewhere(job)) if error.reason.about_gateway else None
        now = self._clock.now()
        if other is not None or error.reason is Refusal.BUSY:
            wait_s = max(error.retry_after_s or 0.0, BUSY_MIN_S)
            to, not_before = (other.gateway, None) if other else (attempt.gateway, now + timedelta(seconds=wait_s))
            log.info("job returns to the line job_id=%s gateway=%s", job.job_id, to)
            returned = await self._write(
                lambda: self._store.return_to_line(
                    job.job_id, number=attempt.number, gateway=to, not_before=not_before, now=now
                )
            )
            if not returned:
                await self._disbelieve(job, attempt)
            return
        billing = Billing(0, BilledSource.REPORTED)
        end = End(Ending.REFUSED, error.reason, refused_picture=error.picture, billing=billing)
        await self._write(lambda: self._fail(job, end))

    async def _disbelieve(self, job: Job, attempt: Attempt) -> None:
        log.error("gateway refused what it called back for job_id=%s gateway=%s", job.job_id, attempt.gateway)
        await self.leave_unconfirmed(job)

    async def leave_unconfirmed(self, job: Job) -> None:
        """Move a submitting job to unconfirmed; its card is due at once."""
        now = self._clock.now()
        await self._write(lambda: self._store.leave_unconfirmed(job.job_id, now=now, next_at=now))

    async def _fail(self, job: Job, end: End) -> bool:
        return await self._store.end(
            job.job_id, states=(JobState.SUBMITTING,), to=JobState.FAILED, end=end, now=self._clock.now()
        )

    async def _write(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation until the disk takes it: what a gateway said of money may not be forgotten."""
        while True:
            try:
                return await operation()
            except StoreFailed:
                log.exception("outcome of a submission could not be written; trying again")
                await self._clock.sleep(_WRITE_AGAIN_S)

    async def _end(self, job: Job, ending: Ending, refusal: Refusal | None = None) -> float:
        log.warning("job ends unsubmitted job_id=%s ending=%s", job.job_id, ending.value)
        end = End(ending, refusal)
        await self._store.end(job.job_id, states=(JobState.HELD,), to=JobState.FAILED, end=end, now=self._clock.now())
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
        """Return what the gateway asks now, None where that is unknown or more than was set aside."""
        priced = self._overbilled.without(capabilities, job.request.mode)
        price = priced.price_microusd(resolution=job.request.resolution, duration_s=job.request.duration_s)
        return None if price is None or price > job.request.price_microusd else price

    def _attempt(self, job: Job, gateway: Gateway, addresses: tuple[str, ...], price_microusd: int) -> Attempt:
        number, token, name = job.attempt_count + 1, secrets.token_urlsafe(24), job.request.gateway
        callback_address = None
        if gateway.capabilities.callback_field is not None:
            callback_address = self._callbacks.address(gateway=name, job_id=job.job_id, token=token)
        submission = Submission(job.request, job.images, addresses, callback_address)
        return Attempt(
            job_id=job.job_id,
            number=number,
            gateway=name,
            model=gateway.capabilities.modes[job.request.mode].model,
            body=gateway.body(submission),
            idempotency_key=f"{job.job_id}-{number}",
            callback_token=token,
            submitted_at=self._clock.now(),
            price_microusd=price_microusd,
        )
