"""Opens a job: every limit checked and job, pictures and hold written, in one operation."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import JOB, at_or_none, job_of, kept, ms
from bot.adapters.store.standing import (
    COMMITTED,
    FRAME,
    USED,
    Frame,
    frame_of,
    frame_parameters,
    standings_of,
    used_parameters,
)
from bot.domain.errors import (
    Blocked,
    GatewayRejected,
    Paused,
    QuotaExceeded,
    Refusal,
    TooManyFailures,
    TooManyPreviews,
    Unavailable,
)
from bot.domain.job import UNCOUNTED_ENDINGS, Ending, Job, JobState
from bot.domain.quota import Limits, Spender, Standing, granted_microusd, in_the_way
from bot.domain.rules import UNLIMITED, Scope, allowed_by, personal_bound, shared_bound
from bot.domain.store import Opening
from bot.domain.windows import day_ends_at, windows_at

_UNCOUNTED = json.dumps(sorted(UNCOUNTED_ENDINGS))
_ABOUT_GATEWAY = json.dumps([refusal for refusal in Refusal if refusal.about_gateway])

PAUSED = "SELECT 1 FROM switches WHERE name = 'paused'"

_OPENED_BY = f"{JOB} WHERE jobs.interaction_id = :interaction_id"
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
    ratio, duration_s, seed, gateway, pinned, private, price_microusd, since_at_ms, next_at_ms, user_jobs_max,
    guild_jobs_max, gateways
) VALUES (
    :job_id, :interaction_id, :user_id, :guild_id, :channel_id, :now_ms, :mode, :prompt, :negative_prompt, :resolution,
    :ratio, :duration_s, :seed, :gateway, :pinned, :private, :price_microusd, :now_ms, :now_ms, :user_jobs_max,
    :guild_jobs_max, :gateways
)
"""
_INSERT_IMAGE = "INSERT INTO job_images VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_HOLD = """
INSERT INTO ledger (
    job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms, channel_id, guild_day,
    guild_week, guild_month, granted_microusd
) VALUES (
    :job_id, 'hold', :price_microusd, 0, :user_id, :guild_id, :day, :week, :month, :now_ms, :rule_channel_id,
    :guild_day, :guild_week, :guild_month, :granted_microusd
)
"""
OPEN_GRANTS = """
SELECT grant_id, amount_microusd - (
    SELECT coalesce(sum(amount_microusd - returned_microusd), 0) FROM grant_uses WHERE grant_id = grants.grant_id
) AS left_microusd
FROM grants
WHERE guild_id = :guild_id AND user_id = :user_id AND expires_at_ms > :now_ms AND left_microusd > 0
ORDER BY expires_at_ms, grant_id
"""
_INSERT_USE = "INSERT INTO grant_uses (job_id, position, grant_id, amount_microusd) VALUES (?, ?, ?, ?)"
BLOCK = """
SELECT until_ms FROM blocks
WHERE guild_id = :guild_id AND user_id = :user_id AND coalesce(until_ms, :now_ms + 1) > :now_ms
"""


class Opens(Connections):
    """The operations that begin a job."""

    async def open_job(self, opening: Opening) -> Job:
        return await self._write(lambda db: _open_job(db, opening))

    async def failures_today(self, *, user_id: int, now: datetime) -> int:
        return int((await self._rows(_FAILURES, _failure_parameters(user_id, now)))[0][0])

    async def previews_today(self, *, user_id: int, now: datetime) -> int:
        return int((await self._rows(FREE_JOBS, _preview_parameters(user_id, now)))[0][0])

    async def opened_by(self, interaction_id: int) -> Job | None:
        rows = await self._rows(_OPENED_BY, {"interaction_id": interaction_id})
        return job_of(rows[0]) if rows else None


def _open_job(db: sqlite3.Connection, opening: Opening) -> Job:
    first = db.execute(_OPENED_BY, {"interaction_id": opening.interaction_id}).fetchone()
    if first is not None:
        return job_of(first)
    frame = read_frame(db, opening.spender, now=opening.now)
    _check_permission(db, opening, frame)
    granted = 0
    if opening.request.price_microusd == 0:
        _check_previews(db, opening)
    else:
        _check_failures(db, opening)
        granted = _check_limits(db, opening, frame)
    _insert(db, opening, frame, granted)
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
        gateways=allowed_by(frame.rules).gateways,
    )


def read_frame(db: sqlite3.Connection, spender: Spender, *, now: datetime) -> Frame:
    return frame_of(db.execute(FRAME, frame_parameters(spender)).fetchone(), now=now)


def read_standings(
    db: sqlite3.Connection, spender: Spender, frame: Frame, *, limits: Limits, now: datetime
) -> tuple[Standing, ...]:
    """Read where a person stands, holds of earlier operations of the same commit included."""
    values = used_parameters(spender, zone=frame.zone, now=now)
    used = db.execute(USED, values) if frame.needs_used else ()
    return standings_of(db.execute(COMMITTED, values), used, frame, guild_id=spender.guild_id, limits=limits, now=now)


def _check_permission(db: sqlite3.Connection, opening: Opening, frame: Frame) -> None:
    if db.execute(PAUSED).fetchone():
        raise Paused
    if frame.paused:
        raise Paused(by_guild=True)
    values = {"guild_id": opening.guild_id, "user_id": opening.user_id, "now_ms": ms(opening.now)}
    block = db.execute(BLOCK, values).fetchone()
    if block is not None:
        raise Blocked(at_or_none(block[0]))
    # A rule of this very moment: the job could go nowhere else later.
    request, allowed = opening.request, allowed_by(frame.rules).gateways
    if request.price_microusd and allowed is not None and request.gateway not in allowed:
        raise GatewayRejected(request.gateway, Unavailable.RULE, request.mode)


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


def _preview_parameters(user_id: int, now: datetime) -> dict[str, object]:
    return {"user_id": user_id, "day_began_at_ms": _day_began_at_ms(now)}


def _check_previews(db: sqlite3.Connection, opening: Opening) -> None:
    if opening.free_jobs_max is None:
        return
    (previews,) = db.execute(FREE_JOBS, _preview_parameters(opening.user_id, opening.now)).fetchone()
    if previews >= opening.free_jobs_max:
        raise TooManyPreviews(limit=opening.free_jobs_max, window_ends_at=day_ends_at(opening.now))


def _check_limits(db: sqlite3.Connection, opening: Opening, frame: Frame) -> int:
    """Check every limit; return what grants must pay of the price."""
    price_microusd = opening.request.price_microusd
    standings = read_standings(db, opening.spender, frame, limits=opening.limits, now=opening.now)
    standing = in_the_way(standings, price_microusd)
    if standing is not None:
        raise QuotaExceeded(price_microusd, standing)
    return granted_microusd(standings, price_microusd)


def _insert(db: sqlite3.Connection, opening: Opening, frame: Frame, granted: int) -> None:
    db.execute(_INSERT_JOB, _job_values(opening, frame))
    for position, image in enumerate(opening.images, start=1):
        size = (image.width, image.height, image.bytes_count)
        db.execute(_INSERT_IMAGE, (opening.job_id, position, image.name, image.content_type, *size, image.note))
    if opening.request.price_microusd:
        _take_from_grants(db, opening, granted)
        db.execute(_INSERT_HOLD, _hold_values(opening, frame, granted))


def _job_values(opening: Opening, frame: Frame) -> dict[str, object]:
    request = opening.request
    user_jobs = personal_bound(frame.rules, "jobs_max")
    guild_jobs = shared_bound(frame.rules, Scope.POOL, "jobs_max")
    gateways = allowed_by(frame.rules).gateways
    return {
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
        "user_jobs_max": None if user_jobs is None or user_jobs.value >= UNLIMITED else user_jobs.value,
        "guild_jobs_max": None if guild_jobs is None or guild_jobs.value >= UNLIMITED else guild_jobs.value,
        "gateways": None if gateways is None else json.dumps(sorted(gateways)),
    }


def _hold_values(opening: Opening, frame: Frame, granted: int) -> dict[str, object]:
    in_guild = opening.guild_id is not None
    windows = windows_at(opening.now)
    guild_windows = windows_at(opening.now, frame.zone) if in_guild else None
    return {
        "job_id": opening.job_id,
        "user_id": opening.user_id,
        "guild_id": opening.guild_id,
        "price_microusd": opening.request.price_microusd,
        "day": windows.day,
        "week": windows.week,
        "month": windows.month,
        "now_ms": ms(opening.now),
        "rule_channel_id": opening.spender.channel_id if in_guild else None,
        "guild_day": guild_windows.day if guild_windows else None,
        "guild_week": guild_windows.week if guild_windows else None,
        "guild_month": guild_windows.month if guild_windows else None,
        "granted_microusd": granted,
    }


def _take_from_grants(db: sqlite3.Connection, opening: Opening, amount_microusd: int) -> None:
    """Write down what the hold takes of which grant, of those that expire soonest first."""
    if not amount_microusd:
        return
    values = {"guild_id": opening.guild_id, "user_id": opening.user_id, "now_ms": ms(opening.now)}
    grants: Sequence[sqlite3.Row] = db.execute(OPEN_GRANTS, values).fetchall()
    for position, (grant_id, left_microusd) in enumerate(grants, start=1):
        taken_microusd = min(left_microusd, amount_microusd)
        db.execute(_INSERT_USE, (opening.job_id, position, grant_id, taken_microusd))
        amount_microusd -= taken_microusd
        if not amount_microusd:
            return


def _day_began_at_ms(now: datetime) -> int:
    return ms(day_ends_at(now) - timedelta(days=1))
