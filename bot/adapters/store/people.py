"""What people set for themselves, and what they were told of their limits."""

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from bot.adapters.store.audit import ENTRY, entry_of
from bot.adapters.store.connections import Connections
from bot.adapters.store.grants import GRANT, grant_of
from bot.adapters.store.moderation import BLOCK_COLUMNS, block_of
from bot.adapters.store.opening import read_frame, read_standings
from bot.adapters.store.standing import RULE_COLUMNS, rule_of
from bot.domain.guild import PERSON_FIELDS, PersonSettings
from bot.domain.guild_store import PersonFacts
from bot.domain.quota import NOTICE_PERCENTS, LimitKind, Limits, Spender, Standing
from bot.domain.windows import UTC_NAME, Windows, windows_at

PERSON = """
SELECT user_id, confirm_above_microusd, day_microusd, week_microusd, month_microusd FROM people WHERE user_id = :user_id
"""
_PUT_PERSON = """
INSERT INTO people (user_id, {names}) VALUES (:user_id, {values}) ON CONFLICT DO UPDATE SET {changes}
"""
_FORGET_EMPTY = """
DELETE FROM people
WHERE user_id = :user_id
    AND coalesce(confirm_above_microusd, day_microusd, week_microusd, month_microusd) IS NULL
"""
# Rare, and the tables are small: no index is kept for these.
RULES_OF = f"SELECT guild_id, {RULE_COLUMNS} FROM rules WHERE scope = 'member' AND subject_id = :user_id"  # noqa: S608
GRANTS_OF = f"{GRANT} WHERE user_id = :user_id ORDER BY grant_id"
BLOCKS_OF = f"SELECT guild_id, {BLOCK_COLUMNS} FROM blocks WHERE user_id = :user_id ORDER BY at_ms"  # noqa: S608
ACTS_OF = f"{ENTRY} WHERE user_id = :user_id ORDER BY audit_id"
DELETE_PERSON = "DELETE FROM people WHERE user_id = :user_id"
# What was told of windows that are over is told no more.
_FORGET_CROSSINGS = """
DELETE FROM crossings WHERE user_id = :user_id AND guild_id = :guild_id
    AND calendar_window NOT IN (:day, :week, :month)
"""
_NOTE_CROSSING = """
INSERT INTO crossings VALUES (:user_id, :guild_id, :kind, :measure, :calendar_window, :percent)
ON CONFLICT DO UPDATE SET percent = excluded.percent WHERE percent < excluded.percent
"""


class People(Connections):
    """The operations about one person's own matters."""

    async def person(self, user_id: int) -> PersonSettings:
        rows = await self._rows(PERSON, {"user_id": user_id})
        return PersonSettings(*rows[0]) if rows else PersonSettings(user_id)

    async def change_person(self, settings: PersonSettings, *, fields: frozenset[str] = PERSON_FIELDS) -> None:
        names = sorted(fields & PERSON_FIELDS)
        put = _PUT_PERSON.format(
            names=", ".join(names),
            values=", ".join(f":{name}" for name in names),
            changes=", ".join(f"{name} = excluded.{name}" for name in names),
        )

        def work(db: sqlite3.Connection) -> None:
            db.execute(put, asdict(settings))
            db.execute(_FORGET_EMPTY, asdict(settings))

        await self._write(work)

    async def facts_of(self, user_id: int) -> PersonFacts:
        values = {"user_id": user_id}
        settings = await self.person(user_id)
        return PersonFacts(
            settings=None if settings == PersonSettings(user_id) else settings,
            rules=tuple((row[0], rule_of(*row[1:])) for row in await self._rows(RULES_OF, values)),
            grants=tuple(grant_of(row) for row in await self._rows(GRANTS_OF, values)),
            blocks=tuple((row[0], block_of(row[1:])) for row in await self._rows(BLOCKS_OF, values)),
            acts=tuple(entry_of(row) for row in await self._rows(ACTS_OF, values)),
        )

    async def note_crossings(self, spender: Spender, *, limits: Limits, now: datetime) -> list[tuple[Standing, int]]:
        def work(db: sqlite3.Connection) -> list[tuple[Standing, int]]:
            frame = read_frame(db, spender, now=now)
            in_guild, anywhere = windows_at(now, frame.zone), windows_at(now, UTC_NAME)
            crossed = []
            for standing in read_standings(db, spender, frame, limits=limits, now=now):
                percent = _percent_to_tell(standing)
                windows = in_guild if _is_guilds(standing) else anywhere
                if percent and _is_new(db, _crossing(spender, standing, percent, windows)):
                    crossed.append((standing, percent))
            return crossed

        return await self._write(work)


def _percent_to_tell(standing: Standing) -> int | None:
    if not standing.kind.is_personal or not standing.limit:
        return None
    return max((percent for percent in NOTICE_PERCENTS if percent <= standing.percent_used), default=None)


def _is_guilds(standing: Standing) -> bool:
    """Say whether the limit counts in one guild and its time zone, not over the whole bot."""
    return standing.kind is LimitKind.MEMBER


def _crossing(spender: Spender, standing: Standing, percent: int, windows: Windows) -> Mapping[str, object]:
    return {
        "user_id": spender.user_id,
        "guild_id": spender.guild_id if _is_guilds(standing) else 0,
        "kind": standing.kind,
        "measure": standing.measure,
        "calendar_window": windows.name(standing.window),
        "percent": percent,
        "day": windows.day,
        "week": windows.week,
        "month": windows.month,
    }


def _is_new(db: sqlite3.Connection, crossing: Mapping[str, object]) -> bool:
    """Note what is told, and say whether it was not told for this window before."""
    db.execute(_FORGET_CROSSINGS, crossing)
    return db.execute(_NOTE_CROSSING, crossing).rowcount > 0
