"""Opens a job: every limit checked and job, pictures and hold written, in one operation."""

import json
import sqlite3
from datetime import datetime, timedelta

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import JOB, job_of, kept, ms
from bot.adapters.store.standing import COMMITTED, committed_parameters, standings_of
from bot.domain.errors import Paused, QuotaExceeded, Refusal, TooManyFailures, TooManyPreviews
from bot.domain.job import UNCOUNTED_ENDINGS, Ending, Job, JobState
from bot.domain.quota import day_ends_at, windows_at
from bot.domain.store import Opening

_UNCOUNTED = json.dumps(sorted(UNCOUNTED_ENDINGS))
_ABOUT_GATEWAY = json.dumps([refusal for refusal in Refusal if refusal.about_gateway])

PAUSED = "SELECT 1 FROM switches WHERE name = 'paused'"

_FAILURES = """
SELECT count(*) FROM jobs
WHERE user_id = :user_id AND state IN ('failed', 'lost') AND since_at_ms >= :day_began_at_ms
    AND ending NOT IN (SELECT value FROM json_each(:uncounted))
    AND NOT (ending = :refused AND coalesce(refusal, '') IN (SELECT value FROM json_each(:about_gateway)))
"""
FREE_JOBS = """
SELECT count(*) FROM jobs
WHERE user_id = :user_id AND created_at_ms >= :day_began_at_ms AND price_microusd = 0 AND state != 'cancelled'
"""
_INSERT_JOB = """
INSERT INTO jobs (
    job_id, interaction_id, user_id, guild_id, channel_id, created_at_ms, mode, prompt, negative_prompt, resolution,
    ratio, duration_s, seed, gateway, pinned, private, price_microusd, since_at_ms, next_at_ms
) VALUES (
    :job_id, :interaction_id, :user_id, :guild_id, :channel_id, :now_ms, :mode, :prompt, :negative_prompt, :resolution,
    :ratio, :duration_s, :seed, :gateway, :pinned, :private, :price_microusd, :now_ms, :now_ms
)
"""
_INSERT_IMAGE = "INSERT INTO job_images VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_HOLD = """
INSERT INTO ledger (job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms)
VALUES (:job_id, 'hold', :price_microusd, 0, :user_id, :guild_id, :day, :week, :month, :now_ms)
"""


class Opens(Connections):
    """The operations that begin a job."""

    async def open_job(self, opening: Opening) -> Job:
        return await self._write(lambda db: _open_job(db, opening))

    async def failures_today(self, *, user_id: int, now: datetime) -> int:
        return int((await self._rows(_FAILURES, _failure_parameters(user_id, now)))[0][0])


def _open_job(db: sqlite3.Connection, opening: Opening) -> Job:
    first = db.execute(f"{JOB} WHERE jobs.interaction_id = ?", (opening.interaction_id,)).fetchone()
    if first is not None:
        return job_of(first)
    if db.execute(PAUSED).fetchone():
        raise Paused
    if opening.request.price_microusd == 0:
        _check_previews(db, opening)
    else:
        _check_failures(db, opening)
        _check_limits(db, opening)
    _insert(db, opening)
    now = kept(opening.now)
    return Job(
        job_id=opening.job_id,
        user_id=opening.user_id,
        guild_id=opening.guild_id,
        channel_id=opening.channel_id,
        request=opening.request,
        images=opening.images,
        state=JobState.HELD,
        created_at=now,
        since_at=now,
        next_at=now,
    )


def _check_failures(db: sqlite3.Connection, opening: Opening) -> None:
    (failures,) = db.execute(_FAILURES, _failure_parameters(opening.user_id, opening.now)).fetchone()
    if failures >= opening.failures_max:
        raise TooManyFailures(limit=opening.failures_max, window_ends_at=day_ends_at(opening.now))


def _failure_parameters(user_id: int, now: datetime) -> dict[str, object]:
    return {
        "user_id": user_id,
        "day_began_at_ms": _day_began_at_ms(now),
        "uncounted": _UNCOUNTED,
        "refused": Ending.REFUSED,
        "about_gateway": _ABOUT_GATEWAY,
    }


def _check_previews(db: sqlite3.Connection, opening: Opening) -> None:
    if opening.free_jobs_max is None:
        return
    parameters = {"user_id": opening.user_id, "day_began_at_ms": _day_began_at_ms(opening.now)}
    (previews,) = db.execute(FREE_JOBS, parameters).fetchone()
    if previews >= opening.free_jobs_max:
        raise TooManyPreviews(limit=opening.free_jobs_max, window_ends_at=day_ends_at(opening.now))


def _check_limits(db: sqlite3.Connection, opening: Opening) -> None:
    guild_id, now = opening.guild_id, opening.now
    rows = db.execute(COMMITTED, committed_parameters(user_id=opening.user_id, guild_id=guild_id, now=now))
    price_microusd = opening.request.price_microusd
    for standing in standings_of(rows, guild_id=guild_id, limits=opening.limits, now=now):
        if not standing.allows(price_microusd):
            raise QuotaExceeded(
                limit=standing.limit,
                needed_microusd=price_microusd,
                available_microusd=standing.available_microusd or 0,
                window_ends_at=standing.window_ends_at,
            )


def _insert(db: sqlite3.Connection, opening: Opening) -> None:
    request, windows = opening.request, windows_at(opening.now)
    values = {
        "job_id": opening.job_id,
        "interaction_id": opening.interaction_id,
        "user_id": opening.user_id,
        "guild_id": opening.guild_id,
        "channel_id": opening.channel_id,
        "now_ms": ms(opening.now),
        "mode": request.mode,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "resolution": request.resolution,
        "ratio": request.ratio,
        "duration_s": request.duration_s,
        "seed": request.seed,
        "gateway": request.gateway,
        "pinned": request.pinned,
        "private": request.private,
        "price_microusd": request.price_microusd,
        "day": windows.day,
        "week": windows.week,
        "month": windows.month,
    }
    db.execute(_INSERT_JOB, values)
    for position, image in enumerate(opening.images, start=1):
        size = (image.width, image.height, image.bytes_count)
        db.execute(_INSERT_IMAGE, (opening.job_id, position, image.name, image.content_type, *size, image.note))
    if request.price_microusd:
        db.execute(_INSERT_HOLD, values)


def _day_began_at_ms(now: datetime) -> int:
    return ms(day_ends_at(now) - timedelta(days=1))
