"""Reads what was written: jobs, what is in flight, where somebody stands, switches and notes."""

from collections import Counter
from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.opening import PAUSED
from bot.adapters.store.rows import JOB, at_or_none, job_of, ms
from bot.adapters.store.standing import (
    COMMITTED,
    FRAME,
    USED,
    frame_of,
    frame_parameters,
    standings_of,
    used_parameters,
)
from bot.domain.job import Job, Running
from bot.domain.quota import Limits, Spender, Standing
from bot.domain.request import Mode, Resolution

JOB_BY_ID = f"{JOB} WHERE jobs.job_id = :job_id"
JOBS_OF = f"""{JOB}
WHERE jobs.user_id = :user_id AND jobs.erased = 0
    AND (jobs.forgotten = 0 OR jobs.state NOT IN ('cancelled', 'failed', 'lost', 'stored') OR jobs.delivery = 'due')
ORDER BY jobs.created_at_ms DESC, jobs.rowid DESC LIMIT :limit
"""
EVERY_JOB_OF = f"{JOB} WHERE jobs.user_id = :user_id ORDER BY jobs.created_at_ms DESC, jobs.rowid DESC"
DUE = f"""{JOB}
WHERE jobs.next_at_ms IS NOT NULL AND jobs.state != 'running' AND jobs.state != 'held' AND jobs.next_at_ms <= :now_ms
ORDER BY jobs.next_at_ms LIMIT :limit
"""
DUE_HELD = f"""{JOB}
WHERE jobs.next_at_ms IS NOT NULL AND jobs.state = 'held' AND jobs.next_at_ms <= :now_ms
ORDER BY jobs.next_at_ms LIMIT :limit
"""
DUE_READS = f"""{JOB}
WHERE jobs.next_at_ms IS NOT NULL AND jobs.state = 'running' AND jobs.gateway = :gateway AND jobs.next_at_ms <= :now_ms
ORDER BY jobs.next_at_ms LIMIT :limit
"""
NEXT_DUE_AT = "SELECT min(next_at_ms) FROM jobs WHERE next_at_ms IS NOT NULL AND next_at_ms > :after_ms"
RUNNING = """
SELECT user_id, guild_id, gateway FROM jobs
WHERE state IN ('submitting', 'running') AND (state = 'submitting' OR submitted_at_ms > :overdue_before_ms)
"""
WATCHED = """
SELECT gateway, count(*) FROM jobs WHERE state IN ('submitting', 'running') AND state = 'running' GROUP BY gateway
"""
USUAL_TIMES = """
SELECT finished_at_ms - submitted_at_ms FROM jobs
WHERE gateway = :gateway AND mode = :mode AND resolution = :resolution AND duration_s = :duration_s
    AND finished_at_ms IS NOT NULL
ORDER BY finished_at_ms DESC LIMIT 50
"""
FILES_IN_USE = """
SELECT name FROM job_images JOIN jobs USING (job_id)
WHERE state IN ('held', 'submitting', 'unconfirmed', 'running', 'finished')
UNION SELECT video_name FROM jobs WHERE delivery = 'due'
"""


class Reads(Connections):
    """The operations that change nothing, and the two kinds of small facts."""

    async def job(self, job_id: str) -> Job | None:
        rows = await self._rows(JOB_BY_ID, {"job_id": job_id})
        return job_of(rows[0]) if rows else None

    async def jobs_of(self, user_id: int, *, limit: int) -> list[Job]:
        return [job_of(row) for row in await self._rows(JOBS_OF, {"user_id": user_id, "limit": limit})]

    async def every_job_of(self, user_id: int) -> list[Job]:
        return [job_of(row) for row in await self._rows(EVERY_JOB_OF, {"user_id": user_id})]

    async def due(self, now: datetime, *, held: bool, limit: int) -> list[Job]:
        rows = await self._rows(DUE_HELD if held else DUE, {"now_ms": ms(now), "limit": limit})
        return [job_of(row) for row in rows]

    async def due_reads(self, now: datetime, *, gateway: str, limit: int) -> list[Job]:
        values = {"now_ms": ms(now), "gateway": gateway, "limit": limit}
        return [job_of(row) for row in await self._rows(DUE_READS, values)]

    async def next_due_at(self, *, after: datetime) -> datetime | None:
        rows = await self._rows(NEXT_DUE_AT, {"after_ms": ms(after)})
        return at_or_none(rows[0][0])

    async def running(self, *, overdue_before: datetime) -> Running:
        by_user: Counter[int] = Counter()
        by_guild: Counter[int] = Counter()
        by_gateway: Counter[str] = Counter()
        for user_id, guild_id, gateway in await self._rows(RUNNING, {"overdue_before_ms": ms(overdue_before)}):
            by_user[user_id] += 1
            by_gateway[gateway] += 1
            if guild_id is not None:
                by_guild[guild_id] += 1
        return Running(by_user, by_guild, by_gateway)

    async def watched(self) -> dict[str, int]:
        return {gateway: count for gateway, count in await self._rows(WATCHED)}

    async def standings(self, spender: Spender, *, limits: Limits, now: datetime) -> tuple[Standing, ...]:
        frame = frame_of((await self._rows(FRAME, frame_parameters(spender)))[0], now=now)
        values = used_parameters(spender, zone=frame.zone, now=now)
        used = await self._rows(USED, values) if frame.needs_used else []
        committed = await self._rows(COMMITTED, values)
        return standings_of(committed, used, frame, guild_id=spender.guild_id, limits=limits, now=now)

    async def usual_times_s(self, *, gateway: str, mode: Mode, resolution: Resolution, duration_s: int) -> list[float]:
        values = {"gateway": gateway, "mode": mode, "resolution": resolution, "duration_s": duration_s}
        return sorted(time_ms / 1000 for (time_ms,) in await self._rows(USUAL_TIMES, values))

    async def files_in_use(self) -> frozenset[str]:
        return frozenset(name for (name,) in await self._rows(FILES_IN_USE))

    async def paused(self) -> bool:
        return bool(await self._rows(PAUSED))

    async def set_paused(self, paused: bool) -> None:
        on, off = "INSERT OR IGNORE INTO switches VALUES ('paused')", "DELETE FROM switches WHERE name = 'paused'"
        await self._write(lambda db: db.execute(on if paused else off).rowcount)

    async def note(self, key: str) -> str | None:
        rows = await self._rows("SELECT value FROM notes WHERE key = :key", {"key": key})
        return rows[0][0] if rows else None

    async def set_note(self, key: str, value: str) -> None:
        await self._change("INSERT OR REPLACE INTO notes VALUES (:key, :value)", {"key": key, "value": value})
