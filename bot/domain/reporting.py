"""Makes reports: which days are meant, who may see what, and the picture."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from bot.domain.charts import Chart, NoPicture, Plotter
from bot.domain.errors import ChangeProblem, ChangeRejected, RequestRejected
from bot.domain.ports import Clock
from bot.domain.reports import Period, Report, ReportJob, ReportStore, report_of
from bot.domain.windows import UTC_NAME, Window, windows_at

REPORT_DAYS_MAX: Final = 366
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class PeriodProblem(StrEnum):
    """Why there is no report of what was asked for."""

    NOT_A_DATE = "not_a_date"
    TWO_WAYS = "two_ways"
    NO_FIRST = "no_first"
    BACKWARDS = "backwards"
    FUTURE = "future"
    TOO_LONG = "too_long"


@dataclass(eq=False)
class PeriodRejected(RequestRejected):
    """There is no report of such days. `detail` is which option, day or span is wrong, or how many days it would be."""

    problem: PeriodProblem
    detail: str
    today: date


@dataclass(frozen=True, slots=True)
class AskedPeriod:
    """What was asked for: the running day, week or month, or two dates as they were typed; nothing is the month."""

    window: Window | None = None
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A report, and the jobs that it adds up."""

    report: Report
    jobs: list[ReportJob]


class ReportService:
    """Makes reports for managers, of their guild, and for operators, of the whole bot too."""

    def __init__(
        self, *, store: ReportStore, plotter: Plotter, clock: Clock, operator_ids: Callable[[], frozenset[int]]
    ) -> None:
        self._store = store
        self._plotter = plotter
        self._clock = clock
        self._operator_ids = operator_ids

    async def make_for(self, actor_id: int, asked: AskedPeriod, *, guild_id: int | None) -> Made:
        """Make the report of a guild, or outside of guilds of the whole bot, which operators alone may see.

        Raises:
            ChangeRejected: there is no guild, and whoever asks is no operator.
            PeriodRejected: there are no such days.
        """
        is_operator = actor_id in self._operator_ids()
        if guild_id is None and not is_operator:
            raise ChangeRejected(ChangeProblem.NO_GUILD)
        return await self.make(asked, guild_id=guild_id, with_loss=is_operator)

    async def make(
        self, asked: AskedPeriod, *, guild_id: int | None, with_loss: bool, with_picture: bool = True
    ) -> Made:
        """Make a report for whoever runs the bot; `with_loss` tells what the operator lost.

        `with_picture`: `draw` follows soon.
        """
        zone, now = UTC_NAME, self._clock.now()
        if guild_id is not None:
            zone = (await self._store.time_zone(guild_id)).at(now)
        period = period_of(asked, today=date.fromisoformat(windows_at(now, zone).day), zone=zone)
        if with_picture:
            await self._plotter.prepare()
        jobs = await self._store.report_jobs(guild_id=guild_id, period=period)
        report = await asyncio.to_thread(report_of, jobs, guild_id=guild_id, period=period, with_loss=with_loss)
        return Made(report, jobs)

    async def draw(self, chart: Chart) -> bytes | NoPicture:
        """Return the picture of a report as a PNG."""
        return await self._plotter.draw(chart)


def period_of(asked: AskedPeriod, *, today: date, zone: str) -> Period:
    """Return the days that are meant; those of a running week or month end today.

    Raises:
        PeriodRejected: it cannot be said which, or they are too many or not yet there.
    """
    if asked.first is None and asked.last is None:
        return Period(_began(asked.window or Window.MONTH, today), today, zone)
    if asked.window is not None:
        raise PeriodRejected(PeriodProblem.TWO_WAYS, asked.window, today)
    if asked.first is None:
        raise PeriodRejected(PeriodProblem.NO_FIRST, "from", today)
    last = today if asked.last is None else _date(asked.last, "until", today)
    period = Period(_date(asked.first, "from", today), last, zone)
    for day in (period.first, period.last):
        if day > today:
            raise PeriodRejected(PeriodProblem.FUTURE, day.isoformat(), today)
    if period.days < 1:
        raise PeriodRejected(PeriodProblem.BACKWARDS, f"{period.first} to {period.last}", today)
    if period.days > REPORT_DAYS_MAX:
        raise PeriodRejected(PeriodProblem.TOO_LONG, f"{period.days:,}", today)
    return period


def _began(window: Window, today: date) -> date:
    match window:
        case Window.DAY:
            return today
        case Window.WEEK:
            return today - timedelta(days=today.weekday())
        case Window.MONTH:
            return today.replace(day=1)


def _date(text: str, option: str, today: date) -> date:
    typed = text.strip()
    try:
        if _DATE.fullmatch(typed):
            return date.fromisoformat(typed)
    except ValueError as error:
        raise PeriodRejected(PeriodProblem.NOT_A_DATE, option, today) from error
    raise PeriodRejected(PeriodProblem.NOT_A_DATE, option, today)
