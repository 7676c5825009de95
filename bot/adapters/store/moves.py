"""The moves of a job from state to state, each with its ledger entry and its book entry, in one operation."""

import json
import sqlite3
from datetime import datetime

from bot.adapters.store.callbacks import write_name
from bot.adapters.store.connections import Connections
from bot.adapters.store.opening import PAUSED
from bot.adapters.store.rows import ms, ms_or_none
from bot.domain.job import Attempt, JobState, Video
from bot.domain.store import Billing, End
from bot.domain.windows import windows_at

# SQLite's largest: a release takes the whole hold.
_INTEGER_MAX = 2**63 - 1

_RESOLVE = """
INSERT INTO ledger (
    job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms, channel_id, guild_day,
    guild_week, guild_month
)
SELECT job_id, :kind, min(amount_microusd, :amount_max_microusd),
    iif(:kind = 'settle', amount_microusd - min(amount_microusd, :amount_max_microusd), amount_microusd),
    user_id, guild_id, day, week, month, :now_ms, channel_id, guild_day, guild_week, guild_month
FROM ledger WHERE job_id = :job_id AND kind = 'hold'
"""
_INSERT_ATTEMPT = """
INSERT INTO attempts (
    job_id, number, gateway, model, body, idempotency_key, callback_token, submitted_at_ms, price_microusd,
    gateway_job_id, month
) VALUES (
    :job_id, :number, :gateway, :model, :body, :idempotency_key, :callback_token, :now_ms, :price_microusd,
    :gateway_job_id,
    coalesce((SELECT month FROM ledger WHERE job_id = :job_id AND kind = 'hold'), :month)
)
"""
_BILL = """
UPDATE attempts SET billed_microusd = :microusd, billed_source = :source WHERE job_id = :job_id AND number = :number
"""
_BILL_NEWEST = """
UPDATE attempts SET billed_microusd = :microusd, billed_source = :source
WHERE job_id = :job_id AND number = (SELECT attempt_count FROM jobs WHERE job_id = :job_id)
"""
_CANCEL = """
UPDATE jobs SET state = 'cancelled', since_at_ms = :now_ms, next_at_ms = :now_ms
WHERE job_id = :job_id AND state = 'held' AND user_id = :user_id
"""
_BEGIN = """
UPDATE jobs SET state = 'submitting', attempt_count = :number, submitted_at_ms = :now_ms, since_at_ms = :now_ms,
    next_at_ms = :next_at_ms, not_before_ms = NULL
WHERE job_id = :job_id AND state = 'held' AND attempt_count = :number - 1
    AND NOT EXISTS (SELECT 1 FROM guilds WHERE guild_id = jobs.guild_id AND paused = 1)
    AND NOT EXISTS (
        SELECT 1 FROM blocks
        WHERE guild_id = jobs.guild_id AND user_id = jobs.user_id AND coalesce(until_ms, :now_ms + 1) > :now_ms
    )
"""
_ACCEPT = """
UPDATE jobs SET state = 'running', since_at_ms = :now_ms, next_at_ms = iif(
    EXISTS (SELECT 1 FROM attempts WHERE job_id = :job_id AND number = :number AND hinted_at_ms IS NOT NULL),
    :now_ms,
    :next_at_ms
)
WHERE job_id = :job_id AND state IN ('submitting', 'unconfirmed') AND attempt_count = :number
"""
_NAME_AND_BILL = """
UPDATE attempts SET gateway_job_id = :gateway_job_id, billed_microusd = :microusd, billed_source = :source
WHERE job_id = :job_id AND number = :number
"""
_LEAVE_UNCONFIRMED = """
UPDATE jobs SET state = 'unconfirmed', since_at_ms = :now_ms, next_at_ms = :next_at_ms
WHERE job_id = :job_id AND state = 'submitting'
"""
# A reading without an address takes nothing away from one that had it.
_FINISH = """
UPDATE jobs SET state = 'finished', since_at_ms = iif(state = 'running', :now_ms, since_at_ms),
    finished_at_ms = coalesce(finished_at_ms, :now_ms), next_at_ms = :now_ms,
    video_until_ms = iif(:address IS NULL, video_until_ms, :until_ms),
    video_address = coalesce(:address, video_address)
WHERE job_id = :job_id AND state IN ('running', 'finished')
"""
_KEEP_VIDEO = """
UPDATE jobs SET video_name = :name, video_bytes_count = :bytes_count, video_duration_s = :duration_s,
    video_width = :width, video_height = :height,
    delivery = 'due', delivery_count = 0, delivery_since_ms = :now_ms, next_at_ms = :now_ms
WHERE job_id = :job_id AND state = :state AND delivery = 'none' AND erased = 0
"""
_STORE = "UPDATE jobs SET state = 'stored', since_at_ms = :now_ms WHERE job_id = :job_id AND state = 'finished'"
_END = """
UPDATE jobs SET state = :to, since_at_ms = :now_ms, next_at_ms = :now_ms, ending = :ending, refusal = :refusal,
    refused_picture = :refused_picture
WHERE job_id = :job_id AND state IN (SELECT value FROM json_each(:states))
"""


class Moves(Connections):
    """The operations that move a job."""

    async def cancel(self, job_id: str, *, user_id: int, now: datetime) -> bool:
        return await self._write(lambda db: cancel_held(db, job_id, user_id=user_id, now=now))

    async def begin_attempt(self, attempt: Attempt, *, next_at: datetime) -> bool:
        values = {
            "job_id": attempt.job_id,
            "number": attempt.number,
            "gateway": attempt.gateway,
            "model": attempt.model,
            "body": attempt.body,
            "idempotency_key": attempt.idempotency_key,
            "callback_token": attempt.callback_token,
            "price_microusd": attempt.price_microusd,
            "gateway_job_id": attempt.gateway_job_id,
            "now_ms": ms(attempt.submitted_at),
            "next_at_ms": ms(next_at),
            "month": windows_at(attempt.submitted_at).month,
        }

        def work(db: sqlite3.Connection) -> bool:
            if db.execute(PAUSED).fetchone() or not db.execute(_BEGIN, values).rowcount:
                return False
            db.execute(_INSERT_ATTEMPT, values)
            return True

        return await self._write(work)

    async def accept(
        self, job_id: str, *, number: int, gateway_job_id: str, billing: Billing, now: datetime, next_at: datetime
    ) -> bool:
        values = {
            "job_id": job_id,
            "number": number,
            "gateway_job_id": gateway_job_id,
            "microusd": billing.microusd,
            "source": billing.source,
            "now_ms": ms(now),
            "next_at_ms": ms(next_at),
        }

        def work(db: sqlite3.Connection) -> bool:
            return db.execute(_ACCEPT, values).rowcount > 0 and write_name(db, _NAME_AND_BILL, values)

        return await self._write(work)

    async def leave_unconfirmed(self, job_id: str, *, now: datetime, next_at: datetime) -> bool:
        return await self._change(_LEAVE_UNCONFIRMED, {"job_id": job_id, "now_ms": ms(now), "next_at_ms": ms(next_at)})

    async def finish(
        self, job_id: str, *, address: str | None, until: datetime | None, billing: Billing | None, now: datetime
    ) -> bool:
        values = {"job_id": job_id, "address": address, "until_ms": ms_or_none(until), "now_ms": ms(now)}

        def work(db: sqlite3.Connection) -> bool:
            if not db.execute(_FINISH, values).rowcount:
                return False
            _bill_newest(db, job_id, billing)
            return True

        return await self._write(work)

    async def store_video(self, job_id: str, *, video: Video, settle_microusd: int, now: datetime) -> bool:
        """A settle of nothing is refused by the schema: StoreFailed."""
        values = _video_values(job_id, JobState.FINISHED, video, now)

        def work(db: sqlite3.Connection) -> bool:
            if not _is_in(db, job_id, JobState.FINISHED):
                return False
            _resolve(db, job_id, kind="settle", amount_max_microusd=settle_microusd, now=now)
            return db.execute(_KEEP_VIDEO, values).rowcount > 0 and db.execute(_STORE, values).rowcount > 0

        return await self._write(work)

    async def store_late_video(self, job_id: str, *, video: Video, now: datetime) -> bool:
        return await self._change(_KEEP_VIDEO, _video_values(job_id, JobState.LOST, video, now))

    async def end(self, job_id: str, *, states: tuple[JobState, ...], to: JobState, end: End, now: datetime) -> bool:
        return await self._write(lambda db: end_job(db, job_id, states=states, to=to, end=end, now=now))

    async def bill(self, job_id: str, *, number: int, billing: Billing) -> None:
        await self._change(
            _BILL,
            {"job_id": job_id, "number": number, "microusd": billing.microusd, "source": billing.source},
        )


def cancel_held(db: sqlite3.Connection, job_id: str, *, user_id: int, now: datetime) -> bool:
    """Cancel a held job with its release; where the answer is False the operation must be undone."""
    if not _is_in(db, job_id, JobState.HELD):
        return False
    _release(db, job_id, now)
    return db.execute(_CANCEL, {"job_id": job_id, "user_id": user_id, "now_ms": ms(now)}).rowcount > 0


def end_job(
    db: sqlite3.Connection, job_id: str, *, states: tuple[JobState, ...], to: JobState, end: End, now: datetime
) -> bool:
    """End a job with its release; where the answer is False the operation must be undone."""
    if not _is_in(db, job_id, *states):
        return False
    _release(db, job_id, now)
    _bill_newest(db, job_id, end.billing)
    values = {
        "job_id": job_id,
        "states": json.dumps(states),
        "to": to,
        "ending": end.ending,
        "refusal": end.refusal,
        "refused_picture": end.refused_picture,
        "now_ms": ms(now),
    }
    return db.execute(_END, values).rowcount > 0


def _is_in(db: sqlite3.Connection, job_id: str, *states: JobState) -> bool:
    # The schema wants the ledger entry before the end, so whether the job is still there must be known before both.
    row = db.execute("SELECT state FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return row is not None and row[0] in states


def _release(db: sqlite3.Connection, job_id: str, now: datetime) -> None:
    _resolve(db, job_id, kind="release", amount_max_microusd=_INTEGER_MAX, now=now)


def _resolve(db: sqlite3.Connection, job_id: str, *, kind: str, amount_max_microusd: int, now: datetime) -> None:
    """Turn the job's hold into a settle or release of at most that amount; nothing where the job is free."""
    values = {"job_id": job_id, "kind": kind, "amount_max_microusd": amount_max_microusd, "now_ms": ms(now)}
    db.execute(_RESOLVE, values)


def _bill_newest(db: sqlite3.Connection, job_id: str, billing: Billing | None) -> None:
    if billing is not None:
        db.execute(_BILL_NEWEST, {"job_id": job_id, "microusd": billing.microusd, "source": billing.source})


def _video_values(job_id: str, state: JobState, video: Video, now: datetime) -> dict[str, object]:
    return {
        "job_id": job_id,
        "state": state,
        "name": video.name,
        "bytes_count": video.bytes_count,
        "duration_s": video.duration_s,
        "width": video.width,
        "height": video.height,
        "now_ms": ms(now),
    }
