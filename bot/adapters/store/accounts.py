"""The books beside the moves of jobs: refunds, what people and gateways were paid, and the figures operators watch."""

from collections import Counter
from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import at, ms
from bot.domain.job import Delivery, JobBook, JobState, LedgerEntry, LedgerKind
from bot.domain.request import Mode
from bot.domain.store import Counts, Holds

REFUND = """
INSERT INTO ledger (
    job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms, actor_id, reason,
    channel_id, guild_day, guild_week, guild_month, by_operator
)
SELECT job_id, 'refund', :amount_microusd, :amount_microusd, user_id, guild_id, day, week, month, :now_ms, :actor_id,
    :reason, channel_id, guild_day, guild_week, guild_month, :by_operator
FROM ledger
WHERE job_id = :job_id AND kind = 'settle'
    AND NOT EXISTS (SELECT 1 FROM ledger WHERE job_id = :job_id AND kind = 'refund')
"""
ENTRIES_OF = """
SELECT ledger.job_id, kind, amount_microusd, at_ms, reason
FROM jobs CROSS JOIN ledger USING (job_id)
WHERE jobs.user_id = :user_id
ORDER BY at_ms, jobs.created_at_ms, jobs.rowid, CASE kind WHEN 'hold' THEN 0 WHEN 'refund' THEN 2 ELSE 1 END
"""
BOOKS = """
SELECT jobs.job_id, jobs.gateway, jobs.mode, jobs.state,
    coalesce(sum(iif(kind = 'hold', amount_microusd, 0)), 0),
    coalesce(sum(iif(kind = 'settle', amount_microusd, 0)), 0),
    coalesce(sum(iif(kind = 'release', amount_microusd, 0)), 0),
    coalesce(sum(iif(kind = 'refund', amount_microusd, 0)), 0),
    coalesce((SELECT sum(billed_microusd) FROM attempts WHERE job_id = jobs.job_id), 0)
FROM jobs LEFT JOIN ledger ON ledger.job_id = jobs.job_id
GROUP BY jobs.job_id ORDER BY jobs.created_at_ms, jobs.rowid
"""
# The first two sums are kept by the schema. Of people, what is committed and not on hold is settled less what operators
# refunded; what others refunded is added.
LOSS = """
SELECT
    coalesce(
        (
            SELECT committed_microusd FROM committed
            WHERE subject = 'bot' AND subject_id = 0 AND calendar_window = :month
        ),
        0
    )
    - coalesce(
        (
            SELECT sum(committed_microusd - on_hold_microusd) FROM committed
            WHERE subject = 'user' AND calendar_window = :month
        ),
        0
    )
    + coalesce(
        (SELECT sum(amount_microusd) FROM ledger WHERE kind = 'refund' AND by_operator = 0 AND month = :month),
        0
    )
"""
# A job that is not free has an open hold until it ends.
HOLDS_OF = """
SELECT count(*), coalesce(sum(price_microusd), 0) FROM jobs
WHERE user_id = :user_id AND price_microusd > 0 AND state NOT IN ('stored', 'cancelled', 'failed', 'lost')
"""
COUNTS = """
SELECT state, gateway, delivery, count(*),
    iif(price_microusd = 0 OR state IN ('stored', 'cancelled', 'failed', 'lost'), 0, count(*)),
    (SELECT on_hold_microusd FROM committed WHERE subject = 'bot' AND subject_id = 0 AND calendar_window = 'open')
FROM jobs GROUP BY price_microusd, state, gateway, delivery
"""


class Accounts(Connections):
    """The operations about money that move no job."""

    async def refund(self, job_id: str, *, amount_microusd: int, actor_id: int, reason: str, now: datetime) -> bool:
        """An amount of nothing and an empty reason are refused by the schema: StoreFailed."""
        values = {
            "job_id": job_id,
            "amount_microusd": amount_microusd,
            "actor_id": actor_id,
            "reason": reason,
            "now_ms": ms(now),
            "by_operator": True,
        }
        return await self._change(REFUND, values)

    async def entries_of(self, user_id: int) -> list[LedgerEntry]:
        return [
            LedgerEntry(job_id, LedgerKind(kind), amount_microusd, at(at_ms), reason)
            for job_id, kind, amount_microusd, at_ms, reason in await self._rows(ENTRIES_OF, {"user_id": user_id})
        ]

    async def books(self) -> list[JobBook]:
        """`released_microusd` is what a release gave back; what a settle freed is the hold less the settle."""
        return [
            JobBook(job_id, gateway, Mode(mode), JobState(state), *amounts)
            for job_id, gateway, mode, state, *amounts in await self._rows(BOOKS)
        ]

    async def holds_of(self, user_id: int) -> Holds:
        [(count, microusd)] = await self._rows(HOLDS_OF, {"user_id": user_id})
        return Holds(count, microusd)

    async def loss_microusd(self, *, month: str) -> int:
        return int((await self._rows(LOSS, {"month": month}))[0][0])

    async def counts(self) -> Counts:
        jobs: Counter[tuple[JobState, str]] = Counter()
        deliveries: Counter[Delivery] = Counter()
        holds = on_hold_microusd = 0
        for state, gateway, delivery, count, open_holds, all_on_hold_microusd in await self._rows(COUNTS):
            jobs[JobState(state), gateway] += count
            deliveries[Delivery(delivery)] += count
            holds += open_holds
            on_hold_microusd = all_on_hold_microusd or 0
        return Counts(jobs, deliveries, holds, on_hold_microusd)
