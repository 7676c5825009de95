"""Which days a report is of, who may see what, and how its figures add up."""

import json
from dataclasses import asdict
from datetime import UTC, date, datetime

import pytest

from bot.domain.charts import Bar, Chart, NoPicture, Panel, Series, Tile, Tone, chart_from
from bot.domain.errors import ChangeProblem, ChangeRejected, Refusal
from bot.domain.job import Ending, JobState
from bot.domain.reporting import AskedPeriod, PeriodProblem, PeriodRejected, ReportService, period_of
from bot.domain.reports import DaySpend, Loss, Outcome, Period, ReportJob, Share, TimeToVideo, report_of
from bot.domain.windows import TimeZone, Window
from tests.fakes import FakeClock, FakePlotter

TODAY = date(2026, 11, 20)
OPERATOR, MANAGER, GUILD = 900, 1, 7
PERIOD = Period(date(2026, 11, 1), TODAY, "UTC")
CHART = Chart(
    titles=("A", "B"),
    subtitle="s",
    tiles=(Tile("spent", "$1.00"),),
    heading="h",
    bins=("1 Nov",),
    series=(Series("HiAPI", (1.5,)),),
    empty="Nothing",
    columns=((Panel("p", (Bar(("mia", "member 1"), 1.5, "$1.50", Tone.REST, marked=2.0),), "none"),), ()),
    notes=("n",),
)


class Jobs:
    """A ReportStore that remembers what it was asked for."""

    def __init__(self, *jobs: ReportJob, zone: str = "UTC") -> None:
        self.jobs, self.zone, self.asked = list(jobs), zone, []

    async def time_zone(self, guild_id: int) -> TimeZone:
        return TimeZone(self.zone)

    async def report_jobs(self, *, guild_id: int | None, period: Period) -> list[ReportJob]:
        self.asked.append((guild_id, period))
        return self.jobs


def service(store: Jobs, plotter: FakePlotter | None = None, now: datetime | None = None) -> ReportService:
    clock = FakeClock()
    if now is not None:
        clock.now = lambda: now
    return ReportService(
        store=store, plotter=plotter or FakePlotter(), clock=clock, operator_ids=lambda: frozenset({OPERATOR})
    )


def job(**changes) -> ReportJob:
    fields = {
        "job_id": "j",
        "day": "2026-11-20",
        "guild_id": GUILD,
        "user_id": 1,
        "channel_id": 50,
        "gateway": "hiapi",
        "mode": "text",
        "resolution": "720p",
        "duration_s": 5,
        "state": JobState.STORED,
        "ending": None,
        "refusal": None,
        "price_microusd": 645_000,
        "settled_microusd": 645_000,
        "refunded_microusd": 0,
        "billed_microusd": 645_000,
        "took_s": 60.0,
    }
    return ReportJob(**(fields | changes))


def failed(**changes) -> ReportJob:
    facts = {"state": JobState.FAILED, "ending": Ending.REFUSED, "settled_microusd": 0, "took_s": None}
    return job(**(facts | {"billed_microusd": 0} | changes))


def added(*jobs: ReportJob, with_loss: bool = True):
    return report_of(jobs, guild_id=GUILD, period=PERIOD, with_loss=with_loss)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        (AskedPeriod(), "2026-11-01", "2026-11-20"),
        (AskedPeriod(Window.DAY), "2026-11-20", "2026-11-20"),
        (AskedPeriod(Window.WEEK), "2026-11-16", "2026-11-20"),
        (AskedPeriod(Window.MONTH), "2026-11-01", "2026-11-20"),
        (AskedPeriod(first="2026-10-31"), "2026-10-31", "2026-11-20"),
        (AskedPeriod(first=" 2026-10-30 ", last="2026-10-31"), "2026-10-30", "2026-10-31"),
        (AskedPeriod(first="2024-02-29", last="2024-02-29"), "2024-02-29", "2024-02-29"),
        (AskedPeriod(first="2025-11-20"), "2025-11-20", "2026-11-20"),
    ],
)
def test_a_period_is_the_running_one_or_the_days_that_were_typed(asked: AskedPeriod, first: str, last: str) -> None:
    period = period_of(asked, today=TODAY, zone="UTC")

    assert (str(period.first), str(period.last)) == (first, last)


@pytest.mark.parametrize(
    ("asked", "problem", "detail"),
    [
        (AskedPeriod(first="20.11.2026"), PeriodProblem.NOT_A_DATE, "from"),
        (AskedPeriod(first="20261120"), PeriodProblem.NOT_A_DATE, "from"),
        (AskedPeriod(first="2026-W47-5"), PeriodProblem.NOT_A_DATE, "from"),
        (AskedPeriod(first="0000-01-01"), PeriodProblem.NOT_A_DATE, "from"),
        (AskedPeriod(first="2026-11-0५"), PeriodProblem.NOT_A_DATE, "from"),
        (AskedPeriod(first=""), PeriodProblem.NOT_A_DATE, "from"),
        (AskedPeriod(first="2026-11-01", last="2025-02-29"), PeriodProblem.NOT_A_DATE, "until"),
        (AskedPeriod(first="2026-11-01", last="yesterday"), PeriodProblem.NOT_A_DATE, "until"),
        (AskedPeriod(Window.DAY, first="2026-11-01"), PeriodProblem.TWO_WAYS, "day"),
        (AskedPeriod(last="2026-11-01"), PeriodProblem.NO_FIRST, "from"),
        (AskedPeriod(first="2026-11-10", last="2026-11-09"), PeriodProblem.BACKWARDS, "2026-11-10 to 2026-11-09"),
        (AskedPeriod(first="2026-11-21"), PeriodProblem.FUTURE, "2026-11-21"),
        (AskedPeriod(first="2026-11-01", last="9999-12-31"), PeriodProblem.FUTURE, "9999-12-31"),
        (AskedPeriod(first="2025-11-19"), PeriodProblem.TOO_LONG, "367"),
        (AskedPeriod(first="0001-01-01"), PeriodProblem.TOO_LONG, "739,940"),
    ],
)
def test_nonsense_is_refused(asked: AskedPeriod, problem: PeriodProblem, detail: str) -> None:
    with pytest.raises(PeriodRejected) as refused:
        period_of(asked, today=TODAY, zone="UTC")

    assert (refused.value.problem, refused.value.detail, refused.value.today) == (problem, detail, TODAY)


async def test_today_is_that_of_the_guild_and_utc_for_the_whole_bot() -> None:
    store = Jobs(zone="Asia/Tokyo")
    reports = service(store, now=datetime(2026, 11, 20, 23, tzinfo=UTC))
    today = AskedPeriod(Window.DAY)

    await reports.make(today, guild_id=GUILD, with_loss=False)
    await reports.make(today, guild_id=None, with_loss=False)

    assert store.asked == [
        (GUILD, Period(date(2026, 11, 21), date(2026, 11, 21), "Asia/Tokyo")),
        (None, Period(date(2026, 11, 20), date(2026, 11, 20), "UTC")),
    ]


async def test_managers_see_their_guild_without_the_loss_and_operators_with_it() -> None:
    reports = service(Jobs(failed(billed_microusd=645_000)))

    seen = (await reports.make_for(MANAGER, AskedPeriod(), guild_id=GUILD)).report
    told = (await reports.make_for(OPERATOR, AskedPeriod(), guild_id=GUILD)).report

    assert (seen.losses, seen.loss_microusd) == (None, 0)
    assert (told.losses, told.loss_microusd) == ((Loss("hiapi", 645_000, 0),), 645_000)


async def test_the_whole_bot_is_for_operators_alone() -> None:
    store = Jobs()
    reports = service(store)

    with pytest.raises(ChangeRejected) as refused:
        await reports.make_for(MANAGER, AskedPeriod(), guild_id=None)
    made = await reports.make_for(OPERATOR, AskedPeriod(), guild_id=None)

    assert refused.value.problem is ChangeProblem.NO_GUILD
    assert made.report.guild_id is None
    assert len(store.asked) == 1


async def test_whoever_draws_is_told_before_the_jobs_are_read_and_not_for_nonsense() -> None:
    plotter = FakePlotter()
    store = Jobs()
    reports = service(store, plotter)

    with pytest.raises(PeriodRejected):
        await reports.make(AskedPeriod(first="x"), guild_id=None, with_loss=False)
    await reports.make(AskedPeriod(), guild_id=None, with_loss=False, with_picture=False)
    assert plotter.prepared == 0
    await reports.make(AskedPeriod(), guild_id=None, with_loss=False)

    assert plotter.prepared == 1


def test_a_chart_comes_whole_through_json() -> None:
    assert chart_from(json.loads(json.dumps(asdict(CHART)))) == CHART


async def test_a_drawing_is_the_plotters() -> None:
    plotter = FakePlotter()
    reports = service(Jobs(), plotter)

    assert await reports.draw(CHART) == plotter.answer
    plotter.answer = NoPicture.FAILED
    assert await reports.draw(CHART) is NoPicture.FAILED


def test_spend_is_what_was_charged_less_what_was_refunded_by_the_day_of_the_hold() -> None:
    report = added(
        job(day="2026-11-02", settled_microusd=500_000),
        job(day="2026-11-02", gateway="shortapi", settled_microusd=300_000),
        job(day="2026-11-01", settled_microusd=645_000, refunded_microusd=45_000),
        job(day="2026-11-03", refunded_microusd=645_000),
    )

    assert report.days == (
        DaySpend(date(2026, 11, 1), "hiapi", 600_000),
        DaySpend(date(2026, 11, 2), "hiapi", 500_000),
        DaySpend(date(2026, 11, 2), "shortapi", 300_000),
    )
    assert (report.spent_microusd, report.refunded_microusd) == (1_400_000, 690_000)
    assert report.gateways == {"hiapi": 1_100_000, "shortapi": 300_000}


@pytest.mark.parametrize(
    "state", [JobState.HELD, JobState.SUBMITTING, JobState.UNCONFIRMED, JobState.RUNNING, JobState.FINISHED]
)
def test_what_has_not_ended_is_on_hold_and_no_loss(state: JobState) -> None:
    report = added(job(state=state, settled_microusd=0, took_s=None))

    assert (report.on_hold_microusd, report.spent_microusd, report.videos) == (645_000, 0, 0)
    assert report.losses == ()


def test_shares_are_the_largest_first_and_complete() -> None:
    report = added(
        job(user_id=3, channel_id=51),
        job(user_id=2, settled_microusd=900_000),
        job(user_id=2, settled_microusd=100_000, channel_id=51),
        failed(user_id=4),
        job(user_id=5, guild_id=None, channel_id=99, settled_microusd=1),
    )

    assert report.members == (
        Share(2, 1_000_000, 2), Share(3, 645_000, 1), Share(5, 1, 1), Share(4, 0, 0),
    )  # fmt: skip
    assert report.channels == (Share(50, 900_000, 1), Share(51, 745_000, 2), Share(None, 1, 1))
    assert report.guilds == (Share(GUILD, 1_645_000, 3), Share(None, 1, 1))


def test_outcomes_are_counted_with_their_reasons() -> None:
    face = failed(refusal=Refusal.FACE)
    report = added(face, face, failed(ending=Ending.LINE_TOO_LONG), job(), job(), job())

    assert report.outcomes == (
        Outcome(JobState.STORED, None, None, 3),
        Outcome(JobState.FAILED, Ending.REFUSED, Refusal.FACE, 2),
        Outcome(JobState.FAILED, Ending.LINE_TOO_LONG, None, 1),
    )
    assert report.jobs == 6


def test_times_are_figures_that_occurred_and_previews_stand_apart() -> None:
    slow = [job(took_s=float(n)) for n in range(1, 11)]
    quick = [job(gateway="animatic", price_microusd=0, settled_microusd=0, took_s=1.0) for _ in range(20)]

    report = added(*reversed(slow), *quick)

    assert report.times == (TimeToVideo("animatic", 20, 1.0, 1.0), TimeToVideo("hiapi", 10, 5.0, 9.0))
    assert report.time_to_paid_video == TimeToVideo("", 10, 5.0, 9.0)
    assert (report.videos, report.previews) == (30, 20)


def test_a_single_video_is_its_own_median_and_no_video_has_none() -> None:
    assert added(job(took_s=7.0)).time_to_paid_video == TimeToVideo("", 1, 7.0, 7.0)
    assert added(failed()).time_to_paid_video is None
    assert added().times == ()


def test_the_loss_is_what_was_billed_less_what_was_paid_by_gateway() -> None:
    report = added(
        failed(billed_microusd=645_000),
        job(billed_microusd=600_000),
        job(gateway="shortapi", refunded_microusd=45_000),
        job(gateway="animatic", price_microusd=0, settled_microusd=0, billed_microusd=0),
    )

    assert report.losses == (Loss("hiapi", 1_245_000, 645_000), Loss("shortapi", 645_000, 600_000))
    assert report.loss_microusd == 645_000


def test_a_period_without_jobs_has_a_report_of_nothing() -> None:
    report = added()

    assert (report.jobs, report.spent_microusd, report.days, report.members) == (0, 0, (), ())
