"""Grants: money beyond a person's limits, given by managers, used by holds until it expires."""

import sqlite3
from datetime import datetime

from bot.adapters.store.audit import record
from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import at, kept, ms
from bot.domain.act_words import grant_words, time_words
from bot.domain.guild import Act, ActKind, Grant

GRANT = """
SELECT grant_id, guild_id, user_id, amount_microusd,
    (SELECT coalesce(sum(amount_microusd - returned_microusd), 0) FROM grant_uses WHERE grant_id = grants.grant_id),
    expires_at_ms, reason, actor_id, at_ms
FROM grants
"""
GRANTS = f"""{GRANT}
WHERE guild_id = :guild_id AND expires_at_ms > :now_ms ORDER BY expires_at_ms, grant_id
"""
GRANTS_OF = f"""{GRANT}
WHERE guild_id = :guild_id AND user_id = :user_id AND expires_at_ms > :now_ms ORDER BY expires_at_ms, grant_id
"""
_OPEN_GRANT = f"{GRANT} WHERE grant_id = :grant_id AND guild_id = :guild_id AND expires_at_ms > :now_ms"
_ADD = """
INSERT INTO grants (guild_id, user_id, amount_microusd, expires_at_ms, reason, actor_id, at_ms)
VALUES (:guild_id, :user_id, :amount_microusd, :expires_at_ms, :reason, :actor_id, :now_ms)
"""
_END = "UPDATE grants SET expires_at_ms = :now_ms WHERE grant_id = :grant_id"


class Grants(Connections):
    """The operations on grants. What a hold took of one stays with the hold, also after the grant has ended."""

    async def add_grant(
        self, *, user_id: int, amount_microusd: int, expires_at: datetime, reason: str, act: Act
    ) -> Grant:
        """An amount of nothing is refused by the schema: StoreFailed."""
        values = {
            "guild_id": act.guild_id,
            "user_id": user_id,
            "amount_microusd": amount_microusd,
            "expires_at_ms": ms(expires_at),
            "reason": reason,
            "actor_id": act.actor_id,
            "now_ms": ms(act.at),
        }

        def work(db: sqlite3.Connection) -> Grant:
            grant = Grant(
                grant_id=int(db.execute(_ADD, values).lastrowid or 0),
                guild_id=act.guild_id,
                user_id=user_id,
                amount_microusd=amount_microusd,
                used_microusd=0,
                expires_at=kept(expires_at),
                reason=reason,
                actor_id=act.actor_id,
                at=kept(act.at),
            )
            record(db, ActKind.GRANTED, act, subject=_subject(grant), after=grant_words(grant), user_id=user_id)
            return grant

        return await self._write(work)

    async def end_grant(self, grant_id: int, *, act: Act) -> Grant | None:
        """The answer is the grant as it ended."""
        values = {"grant_id": grant_id, "guild_id": act.guild_id, "now_ms": ms(act.at)}

        def work(db: sqlite3.Connection) -> Grant | None:
            row = db.execute(_OPEN_GRANT, values).fetchone()
            if row is None:
                return None
            before = grant_of(row)
            db.execute(_END, values)
            ended = grant_of(db.execute(f"{GRANT} WHERE grant_id = :grant_id", values).fetchone())
            record(
                db,
                ActKind.GRANT_ENDED,
                act,
                subject=_subject(before),
                before=grant_words(before),
                after=f"ended {time_words(ended.expires_at)}",
                user_id=before.user_id,
            )
            return ended

        return await self._write(work)

    async def grants(self, guild_id: int, *, user_id: int | None, now: datetime) -> list[Grant]:
        values = {"guild_id": guild_id, "user_id": user_id, "now_ms": ms(now)}
        return [grant_of(row) for row in await self._rows(GRANTS if user_id is None else GRANTS_OF, values)]


def grant_of(row: sqlite3.Row) -> Grant:
    """Build a grant from a row of `GRANT`."""
    grant_id, guild_id, user_id, amount_microusd, used_microusd, expires_at_ms, reason, actor_id, at_ms = tuple(row)
    return Grant(
        grant_id, guild_id, user_id, amount_microusd, used_microusd, at(expires_at_ms), reason, actor_id, at(at_ms)
    )


def _subject(grant: Grant) -> str:
    return f"grant {grant.grant_id}"
