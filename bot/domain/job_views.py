"""What can be said about a job beside the job itself: its place in line and when it is usually done."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from statistics import median, quantiles

from bot.domain.job import Job, JobState
from bot.domain.line import order_of_line
from bot.domain.ports import CardView, Clock, Gateway
from bot.domain.quota import Caps
from bot.domain.request import VideoRequest
from bot.domain.store import Store
from bot.domain.watch_times import WatchTimes

_HISTORY_MIN = 5
PREVIEW_REMARK = (
    "No paid gateway may be used here, so this is a free preview: pictures in slow moves, no generated video."
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long jobs of a kind take, from submission on: the middle one, a quick one, and nine of ten."""

    usual_s: float | None
    early_s: float | None
    slow_s: float | None


def pace_of(times_s: list[float]) -> Pace:
    """Judge by the newest jobs of the kind; with fewer than five there is no history to go by."""
    if len(times_s) < _HISTORY_MIN:
        return Pace(None, None, None)
    tenths = quantiles(times_s, n=10, method="inclusive")
    return Pace(median(times_s), tenths[0], tenths[8])


class JobViews:
    """Puts job cards' facts together; reads only."""

    def __init__(
        self, *, store: Store, gateways: Mapping[str, Gateway], caps: Caps, times: WatchTimes, clock: Clock
    ) -> None:
        self._store = store
        self._caps = caps
        self._times = times
        self._gateways = gateways
        self._clock = clock

    async def pace(self, job: Job) -> Pace:
        return await self.pace_for(job.request)

    async def pace_for(self, request: VideoRequest) -> Pace:
        return pace_of(
            await self._store.usual_times_s(
                gateway=request.gateway, mode=request.mode, resolution=request.resolution, duration_s=request.duration_s
            )
        )

    async def view(self, job: Job) -> CardView:
        place = await self._place(job)
        done_at = await self._usually_done_at(job, place=place or 1)
        return replace(self.plain_view(job), place_in_line=place, usually_done_at=done_at)

    def plain_view(self, job: Job) -> CardView:
        """Return the view without what only the store knows."""
        capabilities = self._gateways[job.request.gateway].capabilities
        return CardView(
            job=job,
            gateway_title=capabilities.title,
            model_title=capabilities.model_title,
            free=capabilities.free,
            remark=PREVIEW_REMARK if capabilities.free and not job.request.pinned else "",
        )

    async def _place(self, job: Job) -> int | None:
        if job.state is not JobState.HELD:
            return None
        overdue_before = self._clock.now() - timedelta(seconds=self._times.overdue_after_s)
        line = [entry for entry in await self._store.line(self._clock.now()) if entry.gateway == job.request.gateway]
        running = await self._store.running(overdue_before=overdue_before)
        order = [entry.job_id for entry in order_of_line(line, running)]
        return order.index(job.job_id) + 1 if job.job_id in order else None

    async def _usually_done_at(self, job: Job, *, place: int) -> datetime | None:
        """Return when the job is usually done, by own history; None without one, and when that is past.

        In line, a job waits for as many rounds as the caps make of the jobs before it.
        """
        if job.slow or job.state not in {JobState.HELD, JobState.SUBMITTING, JobState.RUNNING}:
            return None
        now, usual_s = self._clock.now(), (await self.pace(job)).usual_s
        if usual_s is None:
            return None
        start = job.submitted_at if job.submitted_at and job.state is not JobState.HELD else now
        rounds = ceil(place / max(1, min(self._caps.per_user, self._caps.per_gateway)))
        done_at = start + timedelta(seconds=usual_s * rounds)
        return done_at if done_at > now else None
