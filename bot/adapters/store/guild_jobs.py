"""What managers see of their guild's jobs, and may do about them. A job of another guild is no job here."""

import json
import sqlite3

from bot.adapters.store.accounts import REFUND
from bot.adapters.store.audit import record
from bot.adapters.store.connections import Connections
from bot.adapters.store.moves import end_job
from bot.adapters.store.rows import JOB, job_of, ms
from bot.domain.guild import Act, ActKind, GuildJob
from bot.domain.job import Ending, JobState
from bot.domain.money import show_usd
from bot.domain.store import End

GUILD_JOBS = f"""{JOB}
WHERE jobs.guild_id = :guild_id AND (:user_id IS NULL OR jobs.user_id = :user_id)
    AND (:states = '[]' OR jobs.state IN (SELECT value FROM json_each(:states)))
ORDER BY jobs.created_at_ms DESC, jobs.rowid DESC LIMIT :limit
"""  # noqa: S608 - fixed text
_JOB = """
SELECT job_id, user_id, price_microusd, delivery,
    (SELECT amount_microusd FROM ledger WHERE job_id = jobs.job_id AND kind = 'settle') AS settled_microusd
FROM jobs WHERE job_id = :job_id AND guild_id = :guild_id
"""
# Counted as tried once: the message may be there, so it is looked for before it is posted. The card has to show what
# becomes of it.
_DELIVER_AGAIN = """
UPDATE jobs SET delivery = 'due', delivery_count = 1, delivery_since_ms = :now_ms, next_at_ms = :now_ms,
    card_face = 'posting'
WHERE job_id = :job_id AND delivery IN ('posted', 'given_up') AND erased = 0 AND forgotten = 0
"""


class GuildJobs(Connections):
    """The operations on a guild's jobs."""

    async def guild_jobs(
        self, guild_id: int, *, user_id: int | None, states: frozenset[JobState], limit: int
    ) -> list[GuildJob]:
        values = {"guild_id": guild_id, "user_id": user_id, "states": json.dumps(sorted(states)), "limit": limit}
        return [GuildJob.of(job_of(row)) for row in await self._rows(GUILD_JOBS, values)]

    async def release_held(self, job_id: str, *, act: Act) -> bool:
        states, end = (JobState.HELD,), End(Ending.RELEASED)

        def work(db: sqlite3.Connection) -> bool:
            job = _read_job(db, job_id, act)
            if job is None or not end_job(db, job_id, states=states, to=JobState.FAILED, end=end, now=act.at):
                return False
            before = f"{show_usd(job['price_microusd'])} on hold"
            _record(db, ActKind.RELEASED, act, job, before=before, after="released")
            return True

        return await self._write(work)

    async def refund_job(self, job_id: str, *, amount_microusd: int, reason: str, act: Act) -> bool:
        """More than the settle, nothing at all and an empty reason are refused by the schema: StoreFailed."""
        values = {
            "job_id": job_id,
            "amount_microusd": amount_microusd,
            "actor_id": act.actor_id,
            "reason": reason,
            "now_ms": ms(act.at),
            "by_operator": act.by_operator,
        }

        def work(db: sqlite3.Connection) -> bool:
            job = _read_job(db, job_id, act)
            if job is None or not db.execute(REFUND, values).rowcount:
                return False
            before = f"{show_usd(job['settled_microusd'])} charged"
            after = f"{show_usd(amount_microusd)} refunded: {reason}"
            _record(db, ActKind.REFUNDED, act, job, before=before, after=after)
            return True

        return await self._write(work)

    async def deliver_again(self, job_id: str, *, act: Act) -> bool:
        """The job is due at once."""
        values = {"job_id": job_id, "now_ms": ms(act.at)}

        def work(db: sqlite3.Connection) -> bool:
            job = _read_job(db, job_id, act)
            if job is None or not db.execute(_DELIVER_AGAIN, values).rowcount:
                return False
            _record(
                db, ActKind.DELIVERED_AGAIN, act, job, before=_DELIVERY_WORDS[job["delivery"]], after="to be posted"
            )
            return True

        return await self._write(work)


_DELIVERY_WORDS = {"posted": "posted", "given_up": "not posted"}


def _read_job(db: sqlite3.Connection, job_id: str, act: Act) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(_JOB, {"job_id": job_id, "guild_id": act.guild_id}).fetchone()
    return row


def _record(db: sqlite3.Connection, kind: ActKind, act: Act, job: sqlite3.Row, *, before: str, after: str) -> None:
    record(db, kind, act, before=before, after=after, user_id=job["user_id"], job_id=job["job_id"])
