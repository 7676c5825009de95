"""The end of content: what people asked to be forgotten, and what is kept no longer, leaves the database for good."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime

from bot.adapters.store.connections import Connections, Parameters
from bot.adapters.store.moves import cancel_held
from bot.adapters.store.people import DELETE_PERSON
from bot.adapters.store.rows import ms
from bot.domain.store import Forgotten

# One operation keeps the others waiting while it runs.
ERASED_AT_ONCE_MAX = 1_000

# Ended, and everything shown that people should see of it: see bot.domain.telling.is_told.
_TOLD = """
erased = 0 AND state IN ('stored', 'cancelled', 'failed', 'lost')
AND card_face = CASE delivery WHEN 'none' THEN state WHEN 'posted' THEN 'delivered' WHEN 'given_up' THEN 'kept' END
"""
HELD_OF = "SELECT job_id FROM jobs WHERE user_id = :user_id AND state = 'held'"
_FORGET = "UPDATE jobs SET forgotten = 1 WHERE user_id = :user_id AND forgotten = 0"
TOLD_OF = f"SELECT job_id FROM jobs WHERE user_id = :user_id AND {_TOLD}"  # noqa: S608 - fixed text
NOT_ERASED_OF = "SELECT count(*) FROM jobs WHERE user_id = :user_id AND erased = 0"
TO_FORGET = f"SELECT job_id FROM jobs WHERE forgotten = 1 AND {_TOLD} LIMIT :limit"  # noqa: S608 - fixed text
TO_ERASE = f"""
SELECT job_id FROM jobs WHERE since_at_ms < :before_ms AND {_TOLD} ORDER BY since_at_ms LIMIT :limit
"""  # noqa: S608 - fixed text
# The plus keeps SQLite from reading all jobs of the guild, also those erased long ago.
TO_ERASE_IN_GUILD = f"""
SELECT job_id FROM jobs WHERE since_at_ms < :before_ms AND +guild_id = :guild_id AND {_TOLD}
ORDER BY since_at_ms LIMIT :limit
"""  # noqa: S608 - fixed text
# In this order: the schema lets go of bodies and pictures only of a job that is erased.
_ERASE = (
    """
    INSERT OR IGNORE INTO unwanted_files
    SELECT name FROM job_images WHERE job_id IN (SELECT value FROM json_each(:job_ids))
    UNION
    SELECT video_name FROM jobs
    WHERE video_name IS NOT NULL AND job_id IN (SELECT value FROM json_each(:job_ids))
    """,
    """
    UPDATE jobs SET erased = 1, prompt = '', negative_prompt = NULL, video_address = NULL, next_at_ms = NULL
    WHERE job_id IN (SELECT value FROM json_each(:job_ids))
    """,
    "UPDATE attempts SET body = x'' WHERE job_id IN (SELECT value FROM json_each(:job_ids))",
    "DELETE FROM job_images WHERE job_id IN (SELECT value FROM json_each(:job_ids))",
)


class Content(Connections):
    """The operations that delete content. A lost job is no longer looked at once it is erased."""

    async def forget(self, user_id: int, *, now: datetime) -> Forgotten:
        values = {"user_id": user_id}

        def work(db: sqlite3.Connection) -> Forgotten:
            held = [job_id for (job_id,) in db.execute(HELD_OF, values).fetchall()]
            cancelled = sum(cancel_held(db, job_id, user_id=user_id, now=now) for job_id in held)
            db.execute(_FORGET, values)
            erased = _erase(db, TOLD_OF, values)
            settings = db.execute(DELETE_PERSON, values).rowcount > 0
            (left,) = db.execute(NOT_ERASED_OF, values).fetchone()
            return Forgotten(cancelled=cancelled, erased=erased, later=left - cancelled, settings=settings)

        forgotten = await self._write(work)
        await self._writer.empty_log()
        return forgotten

    async def erase(self, *, before: datetime, guilds: Mapping[int, datetime] | None = None) -> int:
        """At most 1,000 of each kind at once: what is left is erased by the next call."""

        def work(db: sqlite3.Connection) -> int:
            values = {"before_ms": ms(before), "limit": ERASED_AT_ONCE_MAX}
            count = _erase(db, TO_FORGET, values) + _erase(db, TO_ERASE, values)
            for guild_id, its_before in (guilds or {}).items():
                count += _erase(db, TO_ERASE_IN_GUILD, {**values, "before_ms": ms(its_before), "guild_id": guild_id})
            return count

        count = await self._write(work)
        if count:
            await self._writer.empty_log()
        return count

    async def compact(self) -> None:
        """Write the database file anew, so that not even a scrap of erased content is left between its rows.

        SQLite overwrites what it deletes, but not the copies it leaves behind when it moves rows from page to page.
        """
        await self._writer.rewrite()

    async def unwanted_files(self) -> list[str]:
        return [name for (name,) in await self._rows("SELECT name FROM unwanted_files")]

    async def files_deleted(self, names: list[str]) -> None:
        sql = "DELETE FROM unwanted_files WHERE name IN (SELECT value FROM json_each(:names))"
        await self._change(sql, {"names": json.dumps(names)})


def _erase(db: sqlite3.Connection, which: str, values: Parameters) -> int:
    """Erase the jobs that the statement names; return how many."""
    job_ids = [job_id for (job_id,) in db.execute(which, values).fetchall()]
    for statement in _ERASE if job_ids else ():
        db.execute(statement, {"job_ids": json.dumps(job_ids)})
    return len(job_ids)
