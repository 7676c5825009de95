"""The line: who waits in it, who returns to it, and which gateway they wait for."""

import sqlite3
from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import at, ms, ms_or_none
from bot.domain.job import LineEntry

LINE = """
SELECT job_id, user_id, guild_id, gateway, created_at_ms, card_message_id, not_before_ms, pinned, user_jobs_max,
    guild_jobs_max
FROM jobs
WHERE state = 'held' ORDER BY created_at_ms, rowid
"""
_IS_SUBMITTING = "SELECT 1 FROM jobs WHERE job_id = :job_id AND state = 'submitting' AND attempt_count = :number"
# The schema lets a job return only when its attempt costs nothing, so that comes first.
_REFUSED = """
UPDATE attempts SET billed_microusd = 0, billed_source = 'reported' WHERE job_id = :job_id AND number = :number
"""
_RETURN = """
UPDATE jobs SET state = 'held', since_at_ms = :now_ms, submitted_at_ms = NULL, slow = 0, gateway = :gateway,
    not_before_ms = :not_before_ms, next_at_ms = coalesce(:not_before_ms, :now_ms)
WHERE job_id = :job_id AND state = 'submitting' AND (pinned = 0 OR gateway = :gateway)
    AND NOT EXISTS (
        SELECT 1 FROM attempts WHERE job_id = :job_id AND number = :number AND hinted_at_ms IS NOT NULL
    )
"""
_REROUTE = """
UPDATE jobs SET gateway = :to, not_before_ms = NULL
WHERE job_id = :job_id AND state = 'held' AND gateway = :gateway AND (pinned = 0 OR gateway = :to)
"""


class Line(Connections):
    """The operations on held jobs. A job whose gateway was named by its person is given to no other: False."""

    async def line(self, now: datetime) -> list[LineEntry]:
        return [
            LineEntry(
                job_id=row["job_id"],
                user_id=row["user_id"],
                guild_id=row["guild_id"],
                gateway=row["gateway"],
                created_at=at(row["created_at_ms"]),
                ready=row["card_message_id"] is not None and (row["not_before_ms"] or 0) <= ms(now),
                pinned=bool(row["pinned"]),
                user_jobs_max=row["user_jobs_max"],
                guild_jobs_max=row["guild_jobs_max"],
            )
            for row in await self._rows(LINE)
        ]

    async def return_to_line(
        self, job_id: str, *, number: int, gateway: str, not_before: datetime | None, now: datetime
    ) -> bool:
        values = {
            "job_id": job_id,
            "number": number,
            "gateway": gateway,
            "not_before_ms": ms_or_none(not_before),
            "now_ms": ms(now),
        }

        def work(db: sqlite3.Connection) -> bool:
            if not db.execute(_IS_SUBMITTING, values).fetchone():
                return False
            db.execute(_REFUSED, values)
            return db.execute(_RETURN, values).rowcount > 0

        return await self._write(work)

    async def reroute(self, job_id: str, *, gateway: str, to: str) -> bool:
        """What the job waited for was asked by its old gateway: it waits no more."""
        return await self._change(_REROUTE, {"job_id": job_id, "gateway": gateway, "to": to})
