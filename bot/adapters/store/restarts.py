"""Making jobs due when their times can no longer be trusted: after a restart, and after the clock was set back."""

import sqlite3
from datetime import datetime, timedelta

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import ms

# A card that was left behind by its job is caught up with after a restart only this long.
_CARD_LIFE = timedelta(days=3)

# A job that returned to the line in the future did so before the clock was set back: what it waits for is as long as
# before, from now on.
_SHIFT_WAITING = """
UPDATE jobs SET not_before_ms = :now_ms + not_before_ms - since_at_ms
WHERE state = 'held' AND not_before_ms IS NOT NULL AND since_at_ms > :now_ms
"""
_RECOVER_SUBMITTING = "UPDATE jobs SET state = 'unconfirmed', since_at_ms = :now_ms WHERE state = 'submitting'"
_RECOVER_DUE = """
UPDATE jobs SET next_at_ms = :now_ms
WHERE state IN ('held', 'unconfirmed', 'running', 'finished') OR delivery = 'due'
    OR (
        erased = 0 AND since_at_ms >= :cards_since_ms
        AND coalesce(card_face, '') NOT IN ('delivered', 'kept', 'cancelled', 'failed', 'lost')
    )
"""
# All that is due later, be it a lost job's next look; a submitting job is looked after by who sends it.
_BRING_FORWARD = """
UPDATE jobs SET next_at_ms = :now_ms
WHERE state != 'submitting' AND next_at_ms > :now_ms
"""


class Restarts(Connections):
    """The operations for when time has jumped."""

    async def recover(self, now: datetime) -> int:
        values = {"now_ms": ms(now), "cards_since_ms": ms(now - _CARD_LIFE)}

        def work(db: sqlite3.Connection) -> int:
            moved = db.execute(_RECOVER_SUBMITTING, values).rowcount
            db.execute(_SHIFT_WAITING, values)
            db.execute(_RECOVER_DUE, values)
            return moved

        return await self._write(work)

    async def bring_forward(self, now: datetime) -> None:
        """A submitting job is looked after by who sends it, and keeps its time."""
        values = {"now_ms": ms(now)}

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SHIFT_WAITING, values)
            db.execute(_BRING_FORWARD, values)

        await self._write(work)
