"""The audit: every act of managers and operators, written in the operation that does it, and read back."""

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import at, ms
from bot.domain.guild import Act, ActKind, AuditEntry

_RECORD = """
INSERT INTO audit (guild_id, kind, actor_id, at_ms, subject, before, after, user_id, job_id)
VALUES (:guild_id, :kind, :actor_id, :at_ms, :subject, :before, :after, :user_id, :job_id)
"""
_COLUMNS = "audit_id, guild_id, kind, actor_id, at_ms, subject, before, after, user_id, job_id"
ENTRY = f"SELECT {_COLUMNS} FROM audit"  # noqa: S608 - fixed text
AUDIT = f"""
{ENTRY}
WHERE guild_id = :guild_id AND audit_id < coalesce(:before_id, 9223372036854775807)
    AND (:user_id IS NULL OR user_id = :user_id)
ORDER BY audit_id DESC LIMIT :limit
"""
# From the guilds on: acts of guilds without an audit channel stay untold for ever, and are not looked at.
UNTOLD = f"""
SELECT {_COLUMNS} FROM guilds CROSS JOIN audit USING (guild_id)
WHERE told = 0 AND audit_channel_id IS NOT NULL AND audit_id > audit_from_id
    AND guild_id NOT IN (SELECT value FROM json_each(:besides))
ORDER BY audit_id LIMIT :limit
"""  # noqa: S608 - fixed text


def record(
    db: sqlite3.Connection,
    kind: ActKind,
    act: Act,
    *,
    subject: str = "",
    before: str = "",
    after: str = "",
    user_id: int | None = None,
    job_id: str | None = None,
) -> None:
    """Write an act down, in the operation that does it."""
    values = {
        "guild_id": act.guild_id,
        "kind": kind,
        "actor_id": act.actor_id,
        "at_ms": ms(act.at),
        "subject": subject,
        "before": before,
        "after": after,
        "user_id": user_id,
        "job_id": job_id,
    }
    db.execute(_RECORD, values)


class Audit(Connections):
    """The operations that read the audit and note what was told of it."""

    async def audit(
        self, guild_id: int, *, before_id: int | None, limit: int, user_id: int | None = None
    ) -> list[AuditEntry]:
        values = {"guild_id": guild_id, "before_id": before_id, "limit": limit, "user_id": user_id}
        return [entry_of(row) for row in await self._rows(AUDIT, values)]

    async def untold_acts(self, *, limit: int, besides: Collection[int] = ()) -> list[AuditEntry]:
        values = {"limit": limit, "besides": json.dumps(sorted(besides))}
        return [entry_of(row) for row in await self._rows(UNTOLD, values)]

    async def note_act_told(self, audit_id: int) -> None:
        await self._change("UPDATE audit SET told = 1 WHERE audit_id = :audit_id", {"audit_id": audit_id})


def entry_of(row: sqlite3.Row) -> AuditEntry:
    """Build an entry from a row of `ENTRY`."""
    audit_id, guild_id, kind, actor_id, at_ms, subject, before, after, user_id, job_id = tuple(row)
    moment: datetime = at(at_ms)
    return AuditEntry(audit_id, guild_id, ActKind(kind), actor_id, moment, subject, before, after, user_id, job_id)
