"""What reports are made of: whose jobs, of which days, with which amounts, and read without disturbing anybody."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest

from bot.adapters.store.migrate import migrate, shipped_migrations
from bot.adapters.store.reports import EVERY_JOB, JOBS_OF_GUILD, SqliteReports, require_schema
from bot.adapters.store.sqlite import open_store
from bot.domain.errors import Refusal, StartFailed, StoreFailed
from bot.domain.job import Ending, JobState
from bot.domain.reports import Period, ReportJob
from tests.adapters.store_fixtures import (
    CHANNEL,
    GUILD,
    LATER,
    NOW,
    PRICE,
    USER,
    VIDEO,
    accept,
    attempt,
    bad_end,
    billing,
    open_in,
    opening,
)

NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30), "UTC")
LATE_EVENING = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallop.db"


@pytest.fixture
async def store(path):
    async with open_store(path) as opened:
        yield opened


@pytest.fixture
def reports(path, store):
    return SqliteReports(path)


def sql(path, statement, *values):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)


def zone(path, name, next_name=None, next_from_ms=None):
    sql(path, "INSERT INTO guilds (guild_id, time_zone, next_time_zone, next_time_zone_from_ms) VALUES (?, ?, ?, ?)",
        GUILD, name, next_name, next_from_ms)  # fmt: skip


def day(number, name):
    return Period(date(2026, 11, number), date(2026, 11, number), name)


async def of(reports, period=NOVEMBER, guild_id=GUILD):
    return await reports.report_jobs(guild_id=guild_id, period=period)


async def test_a_finished_job_tells_all_but_its_prompt(reports, store):
    job = await open_in(store, JobState.FINISHED, at=NOW)
    await store.store_video(job.job_id, video=VIDEO, settle_microusd=600_000, now=LATER)
    await store.refund(job.job_id, amount_microusd=100_000, actor_id=1, reason="kind", now=LATER)

    assert await of(reports) == [
        ReportJob(
            job_id=job.job_id,
            day="2026-11-20",
            guild_id=GUILD,
            user_id=USER,
            channel_id=CHANNEL,
            gateway="hiapi",
            mode="reference",
            resolution="720p",
            duration_s=5,
            state=JobState.STORED,
            ending=None,
            refusal=None,
            price_microusd=PRICE,
            settled_microusd=600_000,
            refunded_microusd=100_000,
            billed_microusd=PRICE,
            took_s=60.0,
        )
    ]


async def test_a_failed_job_tells_why_and_what_was_billed_and_has_no_time(reports, store):
    job = await open_in(store, JobState.RUNNING)
    end = bad_end(Ending.GATEWAY_FAILED, Refusal.CONTENT, billed=PRICE)
    await store.end(job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=end, now=LATER)

    [found] = await of(reports)

    assert (found.state, found.ending, found.refusal) == (JobState.FAILED, Ending.GATEWAY_FAILED, Refusal.CONTENT)
    assert (found.settled_microusd, found.billed_microusd, found.took_s) == (0, PRICE, None)


async def test_a_job_that_was_sent_twice_is_one_job_with_all_bills(reports, store):
    job = await store.open_job(opening(pinned=False))
    await store.begin_attempt(attempt(job), next_at=NOW)
    await store.return_to_line(job.job_id, number=1, gateway="hiapi", not_before=None, now=NOW)
    await store.begin_attempt(attempt(job, 2), next_at=NOW)
    await store.accept(job.job_id, number=2, gateway_job_id="g", billing=billing(), now=NOW, next_at=NOW)

    [found] = await of(reports)

    assert (found.state, found.billed_microusd) == (JobState.RUNNING, PRICE)


async def test_jobs_come_oldest_first_and_of_one_guild_alone(reports, store):
    second = await open_in(store, JobState.HELD, at=LATER)
    first = await open_in(store, JobState.CANCELLED, at=NOW)
    elsewhere = await open_in(store, JobState.HELD, at=NOW, guild_id=99)
    direct = await open_in(store, JobState.HELD, at=LATER, guild_id=None)

    assert [job.job_id for job in await of(reports)] == [first.job_id, second.job_id]
    everything = await of(reports, guild_id=None)
    assert {job.job_id for job in everything} == {first.job_id, second.job_id, elsewhere.job_id, direct.job_id}
    assert {job.guild_id for job in everything} == {GUILD, 99, None}


async def test_the_day_is_that_of_the_hold_in_the_guilds_time_zone_and_utc_for_the_whole_bot(reports, store, path):
    zone(path, "Asia/Tokyo")
    await open_in(store, JobState.HELD, at=LATE_EVENING)

    assert [job.day for job in await of(reports, day(21, "Asia/Tokyo"))] == ["2026-11-21"]
    assert await of(reports, day(20, "Asia/Tokyo")) == []
    assert [job.day for job in await of(reports, day(20, "UTC"), guild_id=None)] == ["2026-11-20"]
    assert await of(reports, day(21, "UTC"), guild_id=None) == []


@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Etc/GMT+12"])
async def test_the_zones_furthest_from_utc_lose_no_hour_of_a_day(reports, store, path, name):
    zone(path, name)
    jobs = [await open_in(store, JobState.HELD, at=NOW + timedelta(hours=n), user_id=n) for n in range(-48, 49, 4)]

    found = [job for n in range(17, 24) for job in await of(reports, day(n, name))]

    assert [job.job_id for job in found] == [job.job_id for job in jobs]


async def test_a_changed_zone_leaves_what_was_held_before_on_its_day(reports, store, path):
    await open_in(store, JobState.HELD, at=LATE_EVENING)
    zone(path, "Asia/Tokyo")

    assert [job.day for job in await of(reports)] == ["2026-11-20"]


async def test_a_free_job_counts_on_the_day_of_its_command_in_the_zone_that_counted_then(reports, store, path):
    zone(path, "UTC", "Asia/Tokyo", int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() * 1000))
    free = {"price_microusd": 0, "gateway": "animatic"}
    await open_in(store, JobState.HELD, at=LATE_EVENING, **free)
    await open_in(store, JobState.HELD, at=LATE_EVENING + timedelta(days=1), **free)

    assert [(job.day, job.price_microusd) for job in await of(reports)] == [("2026-11-20", 0), ("2026-11-22", 0)]
    assert [job.day for job in await of(reports, guild_id=None)] == ["2026-11-20", "2026-11-21"]


async def test_a_hold_of_before_the_time_zones_counts_on_its_utc_day_in_its_channel(reports, store, path):
    await open_in(store, JobState.HELD, at=LATE_EVENING)
    sql(path, "DROP TRIGGER ledger_never_changes")
    sql(path, "UPDATE ledger SET guild_day = NULL, guild_week = NULL, guild_month = NULL, channel_id = NULL")
    zone(path, "Asia/Tokyo")

    assert [(job.day, job.channel_id) for job in await of(reports)] == [("2026-11-20", CHANNEL)]


async def test_a_thread_counts_as_its_channel(reports, store):
    await open_in(store, JobState.HELD, channel_id=77, parent_id=CHANNEL)

    assert [job.channel_id for job in await of(reports)] == [CHANNEL]


async def test_a_report_is_read_while_somebody_writes(reports, store, path):
    await open_in(store, JobState.HELD)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO notes VALUES ('a', 'b')")

        assert len(await of(reports)) == 1


async def test_the_time_zone_of_a_guild_is_the_one_that_was_set(reports, path):
    assert (await reports.time_zone(GUILD)).name == "UTC"
    zone(path, "Europe/Berlin")

    assert (await reports.time_zone(GUILD)).at(NOW) == "Europe/Berlin"


async def test_a_database_that_cannot_be_read_is_said_to_be_so(tmp_path):
    (tmp_path / "no.db").write_bytes(b"no database" * 100)

    with pytest.raises(StoreFailed):
        await of(SqliteReports(tmp_path / "no.db"))


@pytest.mark.parametrize(("statement", "index"), [(JOBS_OF_GUILD, "jobs_of_guild"), (EVERY_JOB, "jobs_by_time")])
async def test_a_report_searches_by_its_index_and_sorts_nothing(store, path, statement, index):
    with closing(sqlite3.connect(path)) as db:
        values = {"guild_id": 1, "from_ms": 0, "until_ms": 1}
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    assert any(f"SEARCH jobs USING INDEX {index}" in step for step in plan), plan
    assert not any(("SCAN" in step and "TEMP" not in step) or "TEMP B-TREE" in step for step in plan), plan


def test_a_database_of_an_older_gallop_is_named_in_one_sentence(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path, shipped_migrations()[:2])

    with pytest.raises(StartFailed, match="older Gallop: start the bot once"):
        require_schema(path)


async def test_a_database_of_this_gallop_is_good(store, path):
    require_schema(path)


async def test_an_accepted_job_has_no_time_yet(reports, store):
    job = await store.open_job(opening())
    await store.begin_attempt(attempt(job), next_at=NOW)
    await accept(store, job)

    assert [job.took_s for job in await of(reports)] == [None]
