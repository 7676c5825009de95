"""What is heard of attempts beside our own reads: the hints of callbacks, and ids found out later."""

import sqlite3
from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import ATTEMPT, JOB, attempt_of, job_of, ms
from bot.domain.job import Attempt, Job

ATTEMPTS = f"{ATTEMPT} WHERE attempts.job_id = :job_id ORDER BY attempts.number"
UNCONFIRMED = f"{JOB} WHERE jobs.state = 'unconfirmed' ORDER BY jobs.created_at_ms, jobs.rowid"

# Run before the hint itself is noted, so that it sees the one before. A clock that was set back makes nobody wait.
_MAKE_DUE = """
UPDATE jobs SET next_at_ms = min(
    coalesce(next_at_ms, :now_ms + 2000),
    coalesce(
        (
            SELECT max(:now_ms, min(hinted_at_ms, :now_ms) + 2000) FROM attempts
            WHERE job_id = :job_id AND number = :number
        ),
        :now_ms
    )
)
WHERE job_id = :job_id AND attempt_count = :number AND erased = 0
    AND (state IN ('unconfirmed', 'running', 'finished') OR (state = 'lost' AND delivery = 'none'))
"""
# A later id takes the place of one that could not be bound; once the attempt has its id, there is nothing to hint at.
_NOTE_HINT = """
UPDATE attempts
SET hinted_at_ms = :now_ms,
    hinted_gateway_job_id = iif(
        gateway_job_id IS NULL, coalesce(:gateway_job_id, hinted_gateway_job_id), hinted_gateway_job_id
    )
WHERE job_id = :job_id AND number = :number
"""
_BACK_TO_ITS_GATEWAY = """
UPDATE jobs SET gateway = (SELECT gateway FROM attempts WHERE job_id = :job_id AND number = :number)
WHERE job_id = :job_id AND state = 'held' AND attempt_count = :number AND :number > 0
"""
_DOUBT_THE_REFUSAL = """
UPDATE jobs SET state = 'unconfirmed', since_at_ms = :now_ms, next_at_ms = :now_ms, not_before_ms = NULL,
    submitted_at_ms = (SELECT submitted_at_ms FROM attempts WHERE job_id = :job_id AND number = :number)
WHERE job_id = :job_id AND state = 'held' AND attempt_count = :number AND :number > 0
"""
_NAME = """
UPDATE attempts SET gateway_job_id = :gateway_job_id
WHERE job_id = :job_id AND number = :number AND coalesce(gateway_job_id, :gateway_job_id) = :gateway_job_id
"""


class Callbacks(Connections):
    """The operations about attempts."""

    async def attempts(self, job_id: str) -> list[Attempt]:
        return [attempt_of(row) for row in await self._rows(ATTEMPTS, {"job_id": job_id})]

    async def hint(self, job_id: str, *, number: int, gateway_job_id: str | None, now: datetime) -> None:
        values = {"job_id": job_id, "number": number, "gateway_job_id": gateway_job_id, "now_ms": ms(now)}

        def work(db: sqlite3.Connection) -> None:
            db.execute(_MAKE_DUE, values)
            db.execute(_NOTE_HINT, values)
            db.execute(_BACK_TO_ITS_GATEWAY, values)
            db.execute(_DOUBT_THE_REFUSAL, values)

        await self._write(work)

    async def name_attempt(self, job_id: str, *, number: int, gateway_job_id: str) -> bool:
        """True also where it has that very id, False also where it has another or there is no such attempt."""
        values = {"job_id": job_id, "number": number, "gateway_job_id": gateway_job_id}
        return await self._write(lambda db: write_name(db, _NAME, values))

    async def unconfirmed(self) -> list[Job]:
        return [job_of(row) for row in await self._rows(UNCONFIRMED)]


def write_name(db: sqlite3.Connection, sql: str, values: dict[str, object]) -> bool:
    """Run a statement that gives an attempt its gateway job id; False where that is another attempt's."""
    try:
        return db.execute(sql, values).rowcount > 0
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        return False
