"""What a report says about a span of days: the contract of its source, and how single jobs become its figures."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

from bot.domain.errors import Refusal
from bot.domain.job import FINAL_STATES, Ending, JobState
from bot.domain.windows import TimeZone


class ReportJob(NamedTuple):
    """One job as reports see it: no prompt. A tuple, since there are a hundred thousand of them in a year.

    `day` is the day of the hold, in the time zone that counted then. `settled_microusd` is what was charged at first.
    `billed_microusd` is what the gateway billed. `took_s`: from the command to the stored video, None without one.
    """

    job_id: str
    day: str
    guild_id: int | None
    user_id: int
    channel_id: int
    gateway: str
    mode: str
    resolution: str
    duration_s: int
    state: JobState
    ending: Ending | None
    refusal: Refusal | None
    price_microusd: int
    settled_microusd: int
    refunded_microusd: int
    billed_microusd: int
    took_s: float | None


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, the first and the last included, as `zone` counts them."""

    first: date
    last: date
    zone: str

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class ReportStore(Protocol):
    """Where reports come from: the database of Store, read beside it. Both may raise StoreFailed."""

    async def time_zone(self, guild_id: int) -> TimeZone: ...

    async def report_jobs(self, *, guild_id: int | None, period: Period) -> list[ReportJob]:
        """Return every job whose hold was made in the period, oldest first, all of one moment.

        A job without a hold counts on the day of its command. A guild's days are those of its holds; those of the
        whole bot (`guild_id` None) are UTC.
        """


@dataclass(frozen=True, slots=True)
class DaySpend:
    """What was spent (charged less refunded) by the holds of one day at one gateway."""

    day: date
    gateway: str
    spent_microusd: int


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one member, channel or guild. `subject_id` None: outside of guilds."""

    subject_id: int | None
    spent_microusd: int
    videos: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many jobs ended, or stand, like this."""

    state: JobState
    ending: Ending | None
    refusal: Refusal | None
    jobs: int


@dataclass(frozen=True, slots=True)
class TimeToVideo:
    """How long videos of a gateway took from the command until they were stored: of ten, nine took at most `p90_s`."""

    gateway: str
    videos: int
    median_s: float
    p90_s: float


@dataclass(frozen=True, slots=True)
class Loss:
    """What a gateway billed for ended jobs, and what people paid for them."""

    gateway: str
    billed_microusd: int
    paid_microusd: int

    @property
    def loss_microusd(self) -> int:
        return self.billed_microusd - self.paid_microusd


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a guild, or (`guild_id` None) of the whole bot. Shares are complete, the largest first.

    `previews` are the free ones of `videos`. `times` are by gateway, the most used first. `losses` None: not asked for.
    """

    guild_id: int | None
    period: Period
    jobs: int
    videos: int
    previews: int
    spent_microusd: int
    refunded_microusd: int
    on_hold_microusd: int
    days: tuple[DaySpend, ...]
    members: tuple[Share, ...]
    channels: tuple[Share, ...]
    guilds: tuple[Share, ...]
    outcomes: tuple[Outcome, ...]
    time_to_paid_video: TimeToVideo | None
    times: tuple[TimeToVideo, ...]
    losses: tuple[Loss, ...] | None

    @property
    def loss_microusd(self) -> int:
        return sum(loss.loss_microusd for loss in self.losses or ())

    @property
    def gateways(self) -> dict[str, int]:
        """What was spent at each gateway, the dearest first."""
        spent: Counter[str] = Counter()
        for day in self.days:
            spent[day.gateway] += day.spent_microusd
        return dict(spent.most_common())


def report_of(jobs: Iterable[ReportJob], *, guild_id: int | None, period: Period, with_loss: bool) -> Report:
    """Add jobs up. Every figure comes from the same rows, so that tables, files and picture agree."""
    tally = _Tally()
    tally.add(jobs)
    return tally.report(guild_id=guild_id, period=period, with_loss=with_loss)


class _Tally:
    """The sums on their way."""

    def __init__(self) -> None:
        self._jobs = self._videos = self._previews = self._refunded = self._on_hold = 0
        self._days: Counter[tuple[str, str]] = Counter()
        self._members: defaultdict[int | None, list[int]] = defaultdict(lambda: [0, 0])
        self._channels: defaultdict[int | None, list[int]] = defaultdict(lambda: [0, 0])
        self._guilds: defaultdict[int | None, list[int]] = defaultdict(lambda: [0, 0])
        self._outcomes: Counter[tuple[JobState, Ending | None, Refusal | None]] = Counter()
        self._times: defaultdict[str, list[float]] = defaultdict(list)
        self._paid_times: list[float] = []
        self._losses: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, jobs: Iterable[ReportJob]) -> None:
        for job in jobs:
            self._jobs += 1
            self._outcomes[job.state, job.ending, job.refusal] += 1
            spent, video = job.settled_microusd - job.refunded_microusd, job.state is JobState.STORED
            if spent:
                self._days[job.day, job.gateway] += spent
            # What is outside of guilds was asked for in direct messages, whose channels say nothing.
            channel_id = None if job.guild_id is None else job.channel_id
            shares = (self._members[job.user_id], self._channels[channel_id], self._guilds[job.guild_id])
            for share in shares:
                share[0] += spent
                share[1] += video
            if video:
                self._add_video(job)
            self._add_money(job, spent)

    def _add_video(self, job: ReportJob) -> None:
        self._videos += 1
        self._previews += job.price_microusd == 0
        if job.took_s is not None:
            self._times[job.gateway].append(job.took_s)
            if job.price_microusd:
                self._paid_times.append(job.took_s)

    def _add_money(self, job: ReportJob, spent_microusd: int) -> None:
        self._refunded += job.refunded_microusd
        if job.state not in FINAL_STATES:
            self._on_hold += job.price_microusd
        elif job.price_microusd:
            loss = self._losses[job.gateway]
            loss[0] += job.billed_microusd
            loss[1] += spent_microusd

    def report(self, *, guild_id: int | None, period: Period, with_loss: bool) -> Report:
        days = sorted(self._days.items())
        times = [_times(gateway, values) for gateway, values in self._times.items()]
        losses = [Loss(gateway, *amounts) for gateway, amounts in self._losses.items()]
        return Report(
            guild_id=guild_id,
            period=period,
            jobs=self._jobs,
            videos=self._videos,
            previews=self._previews,
            spent_microusd=self._days.total(),
            refunded_microusd=self._refunded,
            on_hold_microusd=self._on_hold,
            days=tuple(DaySpend(date.fromisoformat(day), gateway, spent) for (day, gateway), spent in days),
            members=_shares(self._members),
            channels=_shares(self._channels),
            guilds=_shares(self._guilds),
            outcomes=tuple(Outcome(*kind, jobs) for kind, jobs in self._outcomes.most_common()),
            time_to_paid_video=_times("", self._paid_times) if self._paid_times else None,
            times=tuple(sorted(times, key=lambda time: (-time.videos, time.gateway))),
            losses=tuple(sorted(losses, key=lambda loss: (-loss.loss_microusd, loss.gateway))) if with_loss else None,
        )


def _shares(found: dict[int | None, list[int]]) -> tuple[Share, ...]:
    shares = [Share(subject_id, *counted) for subject_id, counted in found.items()]
    return tuple(sorted(shares, key=lambda share: (-share.spent_microusd, -share.videos, share.subject_id or 0)))


def _times(gateway: str, values: list[float]) -> TimeToVideo:
    """Return the nearest ranks: figures that really occurred."""
    values.sort()
    median_s, p90_s = (values[-(-len(values) * percent // 100) - 1] for percent in (50, 90))
    return TimeToVideo(gateway, len(values), median_s, p90_s)
