"""Reads what reports are made of, on a connection of its own: a long read holds up no other one."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from sys import intern

from bot.adapters.store.migrate import inspect, known_schema, shipped_migrations
from bot.adapters.store.rows import at, at_or_none, ms
from bot.adapters.store.writer import describe
from bot.domain.errors import Refusal, StartFailed, StoreFailed
from bot.domain.job import Ending, JobState
from bot.domain.reports import Period, ReportJob
from bot.domain.windows import TimeZone, windows_at

log = logging.getLogger(__name__)

# All entries of a job are neighbours in the ledger, and all name the windows of its hold: one look-up for each job.
_JOBS = """
SELECT jobs.job_id, {day}, jobs.created_at_ms, jobs.guild_id, jobs.user_id,
    coalesce(ledger.channel_id, jobs.channel_id), jobs.gateway, jobs.mode, jobs.resolution, jobs.duration_s,
    jobs.state, jobs.ending, jobs.refusal, jobs.price_microusd,
    sum(iif(ledger.kind = 'settle', ledger.amount_microusd, 0)),
    sum(iif(ledger.kind = 'refund', ledger.amount_microusd, 0)),
    coalesce((SELECT sum(billed_microusd) FROM attempts WHERE attempts.job_id = jobs.job_id), 0),
    jobs.since_at_ms
FROM jobs LEFT JOIN ledger ON ledger.job_id = jobs.job_id
WHERE {where}jobs.created_at_ms BETWEEN :from_ms AND :until_ms
GROUP BY jobs.created_at_ms, jobs.rowid
ORDER BY jobs.created_at_ms, jobs.rowid
"""
JOBS_OF_GUILD = _JOBS.format(day="coalesce(ledger.guild_day, ledger.day)", where="jobs.guild_id = :guild_id AND ")
EVERY_JOB = _JOBS.format(day="ledger.day", where="")
TIME_ZONE = "SELECT time_zone, next_time_zone, next_time_zone_from_ms FROM guilds WHERE guild_id = :guild_id"
# No time zone is further from UTC than 14 hours.
_MARGIN = timedelta(hours=15)
_STATES = {state.value: state for state in JobState}
_ENDINGS: dict[str | None, Ending | None] = {None: None} | {ending.value: ending for ending in Ending}
_REFUSALS: dict[str | None, Refusal | None] = {None: None} | {refusal.value: refusal for refusal in Refusal}


class SqliteReports:
    """The ReportStore of bot.domain.reports on a database file, also while a bot runs on it."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s

    async def time_zone(self, guild_id: int) -> TimeZone:
        return await asyncio.to_thread(self._time_zone, guild_id)

    async def report_jobs(self, *, guild_id: int | None, period: Period) -> list[ReportJob]:
        return await asyncio.to_thread(self._report_jobs, guild_id, period)

    def _time_zone(self, guild_id: int) -> TimeZone:
        with self._open() as db:
            return _read_time_zone(db, guild_id)

    def _report_jobs(self, guild_id: int | None, period: Period) -> list[ReportJob]:
        first, last = period.first.isoformat(), period.last.isoformat()
        values = {
            "guild_id": guild_id,
            "from_ms": ms(_midnight(period.first) - _MARGIN),
            "until_ms": ms(_midnight(period.last) + timedelta(days=1) + _MARGIN),
        }
        with self._open() as db:
            db.execute("BEGIN")
            zone = TimeZone() if guild_id is None else _read_time_zone(db, guild_id)
            rows = db.execute(EVERY_JOB if guild_id is None else JOBS_OF_GUILD, values)
            return [job for job in _jobs(rows, zone) if first <= job.day <= last]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self._path.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_s, isolation_level=None)) as db:
                yield db
        except sqlite3.Error as error:
            log.error("report not read error=%s", describe(error))
            raise StoreFailed("the database could not be read") from error


def require_schema(path: Path) -> None:
    """Check that reports can be read from an existing database, changing nothing.

    Raises:
        StartFailed: it is none of Gallop's, or of another version.
    """
    inspect(path)
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        is_older = known_schema(db, path) < shipped_migrations()[-1].number
    if is_older:
        raise StartFailed(f"The database {path} was written by an older Gallop: start the bot once, then ask again.", 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _read_time_zone(db: sqlite3.Connection, guild_id: int) -> TimeZone:
    row = db.execute(TIME_ZONE, {"guild_id": guild_id}).fetchone()
    return TimeZone() if row is None else TimeZone(row[0], row[1], at_or_none(row[2]))


def _jobs(rows: sqlite3.Cursor, zone: TimeZone) -> Iterator[ReportJob]:
    for row in rows:
        job_id, day, created_at_ms, guild_id, user_id, channel_id, gateway, mode, resolution, duration_s, *rest = row
        state, ending, refusal, price, settled, refunded, billed, since_at_ms = rest
        took_s = (since_at_ms - created_at_ms) / 1000 if state == JobState.STORED else None
        # Words that come again and again are kept once.
        yield ReportJob(
            job_id,
            intern(day or _day_without_hold(created_at_ms, zone)),
            guild_id,
            user_id,
            channel_id,
            intern(gateway),
            intern(mode),
            intern(resolution),
            duration_s,
            _STATES[state],
            _ENDINGS[ending],
            _REFUSALS[refusal],
            price,
            settled,
            refunded,
            billed,
            took_s,
        )


def _day_without_hold(created_at_ms: int, zone: TimeZone) -> str:
    created_at = at(created_at_ms)
    return windows_at(created_at, zone.at(created_at)).day
