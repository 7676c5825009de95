"""Following accepted jobs: free reads until there is a verdict, then the video into the library and the settle."""

import logging
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.domain.errors import GatewayUnavailable, Refusal, VideoUnusable
from bot.domain.job import BilledSource, Delivery, Ending, Job, JobState, Video
from bot.domain.job_views import JobViews
from bot.domain.ports import Clock, Gateway, Library, Measures, Progress, Reading
from bot.domain.pricing import Overbilled
from bot.domain.request_pace import RequestPace
from bot.domain.store import Billing, End, Store
from bot.domain.watch_times import WatchTimes

log = logging.getLogger(__name__)

_GROWTH = 1.3
_NO_ADDRESS_S = 120.0
_LINK_LIFE_S = 86_400.0  # what upstream keeps a video for, where the gateway does not say (gateways.md 4.2)
_TRY_AGAIN_S = (2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# Past the life of a link: for how long a gateway that does not answer is asked on, and for how long one is that hands
# out ever new links to nothing.
_NO_ANSWER_MAX = timedelta(days=1)
_TRIES_MAX = timedelta(days=7)
# A lost job is still looked at: hourly, as long as the longest-lived gateway keeps its files (HiAPI, 7 days).
_LATE_LOOK_S = 3_600.0
_LATE_LOOKS_UNTIL_S = 7 * 86_400.0
_HEARD_OF_S = 600.0
# So long past its task life, and after so many looks since the start, a job is lost whatever its gateway's trouble is.
_NO_VERDICT_MAX = timedelta(days=1)
_NO_VERDICT_LOOKS = 10


class _Answer(Enum):
    """What asking for a fresh address brought."""

    NONE = auto()
    NOTHING_NEW = auto()
    NEW_ADDRESS = auto()


class Watcher:
    """Reads jobs and collects their videos. What it remembers between reads only tunes their times."""

    def __init__(
        self,
        *,
        store: Store,
        gateways: Mapping[str, Gateway],
        paces: Mapping[str, RequestPace],
        library: Library,
        views: JobViews,
        overbilled: Overbilled,
        measures: Measures,
        times: WatchTimes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._paces = paces
        self._library = library
        self._views = views
        self._overbilled = overbilled
        self._measures = measures
        self._times = times
        self._clock = clock
        self._looks: dict[str, int] = {}
        self._tries: dict[str, int] = {}
        self._heard: dict[str, tuple[str, datetime]] = {}

    async def watch(self, job: Job) -> None:
        """Read a running job once and move it on, or say when to look again. The request was already counted."""
        try:
            reading = await self._read(job)
        except GatewayUnavailable as error:
            log.warning("read failed job_id=%s gateway=%s detail=%s", job.job_id, error.gateway, error.detail)
            await self._look_again(job, failed=error)
            return
        if reading.progress is Progress.FINISHED:
            await self._finish(job, reading)
        elif reading.progress is Progress.FAILED:
            await self._fail(job, reading)
        else:
            await self._look_again(job, failed=None)

    async def collect(self, job: Job) -> None:
        """Bring a finished job's video into the library and settle; else try again until its link is dead."""
        video = await self._bring_in(job, job.video_address) if job.video_address else None
        if video is None:
            await self._try_again(job)
            return
        now = self._clock.now()
        if await self._store.store_video(job.job_id, video=video, settle_microusd=_settle_microusd(job), now=now):
            log.info("video stored job_id=%s bytes=%d", job.job_id, video.bytes_count)
            self._measures.video_stored(job.request.gateway, seconds=(now - job.created_at).total_seconds())
        self._forget(job)

    async def look_late(self, job: Job) -> None:
        """Look whether a lost job has a video after all; it is delivered free."""
        now = self._clock.now()
        next_at: datetime | None = now + timedelta(seconds=_LATE_LOOK_S)
        if job.submitted_at is None or now - job.submitted_at > timedelta(seconds=_LATE_LOOKS_UNTIL_S):
            next_at = None
        await self._store.schedule(job.job_id, state=job.state, next_at=next_at)
        if next_at is None or not self._paces[job.request.gateway].take():
            return
        try:
            reading = await self._read(job)
        except GatewayUnavailable:
            log.info("lost job cannot be read job_id=%s", job.job_id)
            return
        if not await self._named(job):
            return
        billing = _billing(reading)
        if billing is not None and job.attempt is not None:
            await self._store.bill(job.job_id, number=job.attempt.number, billing=billing)
        if reading.progress is Progress.FAILED:
            await self._store.schedule(job.job_id, state=job.state, next_at=None)
        if reading.video_address is None or reading.progress is not Progress.FINISHED:
            return
        video = await self._bring_in(job, reading.video_address)
        if video is None or await self._store.store_late_video(job.job_id, video=video, now=self._clock.now()):
            return
        present = await self._store.job(job.job_id)
        if present is None or present.is_erased:
            # Its person asked to be forgotten while the video came.
            await self._library.discard([video.name])

    async def lose(self, job: Job) -> None:
        """End an unconfirmed job that is still so; what it may have cost is booked as the operator's loss."""
        await self._lose(job, Billing(_price_microusd(job), BilledSource.PRICE))

    async def _named(self, job: Job) -> bool:
        """Write down the id that a callback named for a lost job; False where it is another job's."""
        attempt = job.attempt
        if attempt is None or attempt.gateway_job_id is not None or attempt.hinted_gateway_job_id is None:
            return True
        return await self._store.name_attempt(
            job.job_id, number=attempt.number, gateway_job_id=attempt.hinted_gateway_job_id
        )

    async def _read(self, job: Job) -> Reading:
        attempt, gateway_job_id = job.attempt, _known_id(job)
        if attempt is None or gateway_job_id is None:
            raise GatewayUnavailable(job.request.gateway, "no gateway job id")
        reading = await self._gateways[attempt.gateway].read(gateway_job_id)
        self._heard[attempt.gateway] = (job.job_id, self._clock.now())
        return reading

    async def _finish(self, job: Job, reading: Reading) -> None:
        await self._check_bill(job, reading)
        await self._store.finish(
            job.job_id,
            address=reading.video_address,
            until=reading.video_until,
            billing=_billing(reading),
            now=self._clock.now(),
        )
        log.info("gateway finished job_id=%s address=%s", job.job_id, "yes" if reading.video_address else "not yet")

    async def _check_bill(self, job: Job, reading: Reading) -> None:
        if reading.billed_microusd is not None:
            facts = self._gateways[job.request.gateway].capabilities
            await self._overbilled.add(facts, job.request, billed_microusd=reading.billed_microusd)

    async def _fail(self, job: Job, reading: Reading) -> None:
        await self._check_bill(job, reading)
        log.warning("gateway failed job_id=%s refusal=%s refunded=%s", job.job_id, reading.refusal, reading.refunded)
        end = End(Ending.GATEWAY_FAILED, reading.refusal, reading.refused_picture, billing=_billing(reading))
        await self._store.end(
            job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=end, now=self._clock.now()
        )
        self._forget(job)

    async def _look_again(self, job: Job, *, failed: GatewayUnavailable | None) -> None:
        now = self._clock.now()
        submitted_at = job.submitted_at or job.created_at
        overdue = now - submitted_at - timedelta(seconds=self._times.task_life_s)
        looks = self._looks.get(job.job_id, 0)
        no_verdict = overdue >= _NO_VERDICT_MAX and looks >= _NO_VERDICT_LOOKS
        if overdue >= timedelta(0) and (no_verdict or await self._may_lose(job, failed)):
            await self._lose(job, None)
            return
        self._looks[job.job_id] = looks + 1
        slow_s = (await self._views.pace(job)).slow_s or self._times.slow_after_s
        slow = job.slow or now - submitted_at >= timedelta(seconds=slow_s)
        delay_s = await self._interval_s(job, looks)
        await self._store.schedule(
            job.job_id, state=JobState.RUNNING, next_at=now + timedelta(seconds=delay_s), slow=slow
        )

    async def _interval_s(self, job: Job, looks: int) -> float:
        """Grow with the looks so far, and with the number of jobs, so that all reads stay within the limit."""
        times = self._times
        interval_s = min(times.interval_s * _GROWTH ** min(looks, 20), max(times.interval_s, times.interval_max_s))
        watched = (await self._store.watched()).get(job.request.gateway, 1)
        per_min = self._gateways[job.request.gateway].capabilities.requests_per_min
        return max(interval_s, watched * 60 / per_min) * random.uniform(0.9, 1.1)  # noqa: S311 - spreads reads, no secret

    async def _may_lose(self, job: Job, failed: GatewayUnavailable | None) -> bool:
        """Say whether a job past its task life may be given up now.

        Not while the gateway itself is in trouble: when it does not answer, or when reads of its other jobs fail too.
        """
        if failed is None:
            return True
        if failed.reason.about_gateway:
            return False
        gateway = job.request.gateway
        alone = (await self._store.watched()).get(gateway, 1) <= 1
        heard_of = self._heard.get(gateway)
        if alone or heard_of is None:
            return alone
        other, heard_at = heard_of[0] != job.job_id, heard_of[1]
        return other and self._clock.now() - heard_at < timedelta(seconds=_HEARD_OF_S)

    async def _lose(self, job: Job, billing: Billing | None) -> None:
        log.error("job is lost job_id=%s state=%s", job.job_id, job.state.value)
        await self._store.end(
            job.job_id,
            states=(job.state,),
            to=JobState.LOST,
            end=End(Ending.TASK_LIFE_OVER, billing=billing),
            now=self._clock.now(),
        )
        self._forget(job)

    async def _try_again(self, job: Job) -> None:
        """Ask for a fresh address and set the next try; give up only when the gateway answers that it has no other."""
        now = self._clock.now()
        answer = await self._renew(job)
        finished_at = job.finished_at or job.since_at
        ends_at = job.video_until or finished_at + timedelta(seconds=_LINK_LIFE_S)
        if job.video_address is None:
            ends_at = finished_at + timedelta(seconds=_NO_ADDRESS_S)
        tried = job.job_id in self._tries
        over = {
            _Answer.NOTHING_NEW: now >= ends_at,
            _Answer.NONE: tried and now >= ends_at + _NO_ANSWER_MAX,
            _Answer.NEW_ADDRESS: tried and now >= finished_at + _TRIES_MAX,
        }
        if over[answer]:
            await self._give_up(job)
            return
        tries = self._tries[job.job_id] = self._tries.get(job.job_id, 0) + 1
        next_at = now + timedelta(seconds=_TRY_AGAIN_S[min(tries, len(_TRY_AGAIN_S)) - 1])
        if now < ends_at < next_at:
            next_at = ends_at
        await self._store.schedule(job.job_id, state=JobState.FINISHED, next_at=next_at)

    async def _renew(self, job: Job) -> "_Answer":
        """Read a finished job again; a new address is kept. A failed read says nothing."""
        if not self._paces[job.request.gateway].take():
            return _Answer.NONE
        try:
            reading = await self._read(job)
        except GatewayUnavailable as error:
            log.warning("read failed job_id=%s gateway=%s detail=%s", job.job_id, error.gateway, error.detail)
            return _Answer.NONE
        if reading.progress is not Progress.FINISHED or reading.video_address in {None, job.video_address}:
            return _Answer.NOTHING_NEW
        await self._finish(job, reading)
        return _Answer.NEW_ADDRESS

    async def _bring_in(self, job: Job, address: str) -> Video | None:
        """Fetch the video into the library; None when it could not be fetched or used."""
        try:
            await self._gateways[job.request.gateway].fetch(address, self._library.incoming(job.job_id))
            return await self._library.keep_video(job.job_id)
        except (GatewayUnavailable, VideoUnusable) as error:
            log.warning("video could not be fetched job_id=%s detail=%s", job.job_id, error.detail)
            return None

    async def _give_up(self, job: Job) -> None:
        log.error("no usable video before the link died job_id=%s", job.job_id)
        end = End(Ending.NO_VIDEO, Refusal.OTHER)
        await self._store.end(
            job.job_id, states=(JobState.FINISHED,), to=JobState.FAILED, end=end, now=self._clock.now()
        )
        self._forget(job)

    def _forget(self, job: Job) -> None:
        self._looks.pop(job.job_id, None)
        self._tries.pop(job.job_id, None)


def is_late(job: Job) -> bool:
    """Say whether a job is lost with a gateway job id, so that its video may still turn up."""
    return job.state is JobState.LOST and job.delivery is Delivery.NONE and _known_id(job) is not None


def _known_id(job: Job) -> str | None:
    """Return the gateway's id of a job, for a lost one also an id that a callback named."""
    if job.attempt is None:
        return None
    hinted = job.attempt.hinted_gateway_job_id if job.state is JobState.LOST else None
    return job.attempt.gateway_job_id or hinted


def _price_microusd(job: Job) -> int:
    """Return what the job's gateway asks: after a failover that may be less than the hold."""
    return job.attempt.price_microusd if job.attempt is not None else job.request.price_microusd


def _billing(reading: Reading) -> Billing | None:
    if reading.refunded:
        return Billing(0, BilledSource.REFUNDED)
    if reading.billed_microusd is None:
        return None
    return Billing(reading.billed_microusd, BilledSource.REPORTED)


def _settle_microusd(job: Job) -> int:
    """The smaller of the gateway's price, at most the hold, and what it reported; without a report its price."""
    price = _price_microusd(job)
    attempt = job.attempt
    if attempt and attempt.billed_source is BilledSource.REPORTED and attempt.billed_microusd:
        return min(price, attempt.billed_microusd)
    return price
