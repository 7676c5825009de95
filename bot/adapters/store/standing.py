"""Where somebody stands: the limits, read against what the schema keeps of each window."""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime

from bot.domain.errors import LimitKind
from bot.domain.quota import Limits, Standing, day_ends_at, month_ends_at, windows_at

# CROSS JOIN keeps SQLite's planner from reading the whole table: a row value IN (VALUES …) does.
COMMITTED = """
SELECT committed.subject, committed.calendar_window, committed_microusd, on_hold_microusd
FROM (
    SELECT 'user' AS subject, :user_id AS subject_id, :day AS calendar_window
    UNION ALL SELECT 'user', :user_id, :month
    UNION ALL SELECT 'guild', :guild_id, :month
    UNION ALL SELECT 'bot', 0, :month
    UNION ALL SELECT 'bot', 0, 'open'
) AS wanted CROSS JOIN committed USING (subject, subject_id, calendar_window)
"""


def committed_parameters(*, user_id: int, guild_id: int | None, now: datetime) -> Mapping[str, object]:
    """Return what `COMMITTED` asks for."""
    windows = windows_at(now)
    return {"user_id": user_id, "guild_id": guild_id, "day": windows.day, "month": windows.month}


def standings_of(
    rows: Iterable[sqlite3.Row], *, guild_id: int | None, limits: Limits, now: datetime
) -> tuple[Standing, ...]:
    """Build the standings from rows of `COMMITTED`, in the order of LimitKind; no guild, no guild's standing."""
    used = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    windows = windows_at(now)
    places = [
        (LimitKind.USER_DAY, limits.user_day_microusd, "user", (windows.day,)),
        (LimitKind.USER_MONTH, limits.user_month_microusd, "user", (windows.month,)),
        (LimitKind.GUILD_MONTH, limits.guild_month_microusd, "guild", (windows.month,)),
        (LimitKind.BOT_MONTH, limits.bot_month_microusd, "bot", (windows.month, "open")),
    ]
    standings = []
    for kind, limit_microusd, subject, its_windows in places:
        if subject == "guild" and guild_id is None:
            continue
        rows_used = [used.get((subject, window), (0, 0)) for window in its_windows]
        standings.append(
            Standing(
                limit=kind,
                limit_microusd=limit_microusd,
                committed_microusd=sum(committed for committed, _ in rows_used),
                window_ends_at=day_ends_at(now) if kind is LimitKind.USER_DAY else month_ends_at(now),
                on_hold_microusd=sum(on_hold for _, on_hold in rows_used),
            )
        )
    return tuple(standings)
