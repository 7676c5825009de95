"""Where somebody stands: every limit there is for them, read against what the schema keeps of each window."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import starmap

from bot.adapters.store.rows import at_or_none, ms
from bot.domain.quota import LimitKind, Limits, Measure, Spender, Standing
from bot.domain.rules import (
    MONEY_FIELDS,
    RULE_FIELDS,
    UNLIMITED,
    VIDEO_FIELDS,
    Bound,
    Rule,
    Scope,
    personal_bound,
    shared_bound,
)
from bot.domain.windows import UTC_NAME, TimeZone, Window, ends_at, windows_at

_SETS = frozenset({"resolutions", "gateways", "ratios"})
RULE_COLUMNS = ", ".join(("scope", "subject_id", *RULE_FIELDS))
# The rules that apply to one person in one place, each found by its key however many others there are.
RULES_FOR = f"""
SELECT json_group_array(json_array({RULE_COLUMNS})) FROM (
    SELECT * FROM rules WHERE guild_id = :guild_id AND scope IN ('everyone', 'pool')
    UNION ALL SELECT * FROM rules WHERE guild_id = :guild_id AND scope = 'channel' AND subject_id = :channel_id
    UNION ALL SELECT * FROM rules WHERE guild_id = :guild_id AND scope = 'member' AND subject_id = :user_id
    UNION ALL
    SELECT rules.* FROM json_each(:role_ids)
    CROSS JOIN rules ON guild_id = :guild_id AND scope = 'role' AND subject_id = value
)
"""  # noqa: S608 - fixed text
# Everything that limits one person in one place, in one row: the guild's zone, the person's own limits, the rules.
FRAME = f"""
SELECT
    (
        SELECT json_array(time_zone, next_time_zone, next_time_zone_from_ms, paused)
        FROM guilds WHERE guild_id = :guild_id
    ),
    (SELECT json_array(day_microusd, week_microusd, month_microusd) FROM people WHERE user_id = :user_id),
    ({RULES_FOR})
"""  # noqa: S608 - fixed text
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
USED = """
SELECT used.subject, used.calendar_window, committed_microusd, on_hold_microusd, granted_microusd, videos,
    granted_videos
FROM (
    SELECT 0 AS guild_id, 'person' AS subject, :user_id AS subject_id, :day AS calendar_window
    UNION ALL SELECT 0, 'person', :user_id, :week
    UNION ALL SELECT 0, 'person', :user_id, :month
    UNION ALL SELECT :guild_id, 'member', :user_id, :guild_day
    UNION ALL SELECT :guild_id, 'member', :user_id, :guild_week
    UNION ALL SELECT :guild_id, 'member', :user_id, :guild_month
    UNION ALL SELECT :guild_id, 'channel', :channel_id, :guild_day
    UNION ALL SELECT :guild_id, 'channel', :channel_id, :guild_week
    UNION ALL SELECT :guild_id, 'channel', :channel_id, :guild_month
    UNION ALL SELECT :guild_id, 'pool', 0, :guild_day
    UNION ALL SELECT :guild_id, 'pool', 0, :guild_week
    UNION ALL SELECT :guild_id, 'pool', 0, :guild_month
) AS wanted CROSS JOIN used USING (guild_id, subject, subject_id, calendar_window)
UNION ALL
SELECT 'grants', '', coalesce(sum(amount_microusd - (
    SELECT coalesce(sum(amount_microusd - returned_microusd), 0) FROM grant_uses WHERE grant_id = grants.grant_id
)), 0), 0, 0, 0, 0
FROM grants WHERE guild_id = :guild_id AND user_id = :user_id AND expires_at_ms > :now_ms
"""
_PERSON, _MEMBER, _CHANNEL, _POOL, _GRANTS = "person", "member", "channel", "pool", "grants"


@dataclass(frozen=True, slots=True)
class _Limit:
    """What one rule among those that apply limits: whose use of which window it counts, and where it comes from."""

    kind: LimitKind
    subject: str
    window: Window
    measure: Measure
    bound: Bound


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that apply, and the limits that come of them."""

    rules: tuple[Rule, ...]
    personal: tuple[_Limit, ...]
    shared: tuple[_Limit, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What limits a person in a place: the guild's zone at the moment, its pause, own limits and applying rules."""

    zone: str
    paused: bool
    own: Mapping[Window, int]
    read: Rules

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.read.rules

    @property
    def needs_used(self) -> bool:
        """Say whether anything but the operator's ceilings may limit the person."""
        return bool(self.own or self.rules)


def frame_parameters(spender: Spender) -> Mapping[str, object]:
    """Return what `FRAME` asks for."""
    return {
        "user_id": spender.user_id,
        "guild_id": spender.guild_id,
        "channel_id": spender.channel_id,
        "role_ids": json.dumps(sorted(spender.role_ids)),
    }


def frame_of(row: sqlite3.Row, *, now: datetime) -> Frame:
    """Build the frame from a row of `FRAME`."""
    zone, following, from_ms, paused = json.loads(row[0]) if row[0] else (UTC_NAME, None, None, 0)
    own = json.loads(row[1]) if row[1] else ()
    return Frame(
        zone=TimeZone(zone, following, at_or_none(from_ms)).at(now),
        paused=bool(paused),
        own={window: amount for window, amount in zip(Window, own, strict=False) if amount is not None},
        read=rules_of(row[2]),
    )


@lru_cache(maxsize=512)
def rules_of(text: str) -> Rules:
    """Read a row of `RULES_FOR`. The same people come back with the same rules, and one command reads them often."""
    rules = in_order(starmap(rule_of, json.loads(text)))
    personal = tuple(
        _Limit(LimitKind.MEMBER, _MEMBER, window, measure, bound)
        for window, measure, name in _FIELDS
        if (bound := personal_bound(rules, name))
    )
    shared = tuple(
        _Limit(kind, subject, window, measure, bound)
        for kind, scope, subject in (
            (LimitKind.CHANNEL, Scope.CHANNEL, _CHANNEL),
            (LimitKind.POOL, Scope.POOL, _POOL),
        )
        for window, measure, name in _FIELDS
        if (bound := shared_bound(rules, scope, name))
    )
    return Rules(rules, personal, shared)


_SCOPES = tuple(Scope)
_FIELDS = tuple(
    (window, measure, names[window])
    for measure, names in ((Measure.MONEY, MONEY_FIELDS), (Measure.VIDEOS, VIDEO_FIELDS))
    for window in Window
)


def in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules in the order of Scope, then by subject."""
    return tuple(sorted(rules, key=lambda rule: (_SCOPES.index(rule.scope), rule.subject_id)))


def rule_of(scope: str, subject_id: int, *values: object) -> Rule:
    """Build a rule from the columns of `RULE_COLUMNS`."""
    said = {
        name: frozenset(json.loads(str(value))) if name in _SETS else value
        for name, value in zip(RULE_FIELDS, values, strict=True)
        if value is not None
    }
    return Rule(Scope(scope), subject_id, **said)  # type: ignore[arg-type]


def used_parameters(spender: Spender, *, zone: str, now: datetime) -> Mapping[str, object]:
    """Return what `COMMITTED` and `USED` ask for."""
    windows, guild_windows = windows_at(now), windows_at(now, zone)
    return {
        "user_id": spender.user_id,
        "guild_id": spender.guild_id,
        "channel_id": spender.channel_id,
        "day": windows.day,
        "week": windows.week,
        "month": windows.month,
        "guild_day": guild_windows.day,
        "guild_week": guild_windows.week,
        "guild_month": guild_windows.month,
        "now_ms": ms(now),
    }


def standings_of(
    committed: Iterable[sqlite3.Row],
    used: Iterable[sqlite3.Row],
    frame: Frame,
    *,
    guild_id: int | None,
    limits: Limits,
    now: datetime,
) -> tuple[Standing, ...]:
    """Build the standings from rows of `COMMITTED` and of `USED`, in the order of LimitKind."""
    decided = _decided(_Used(used), frame, now) if frame.needs_used else ()
    return (*decided, *_ceilings(committed, guild_id=guild_id, limits=limits, now=now))


class _Used:
    """Rows of `USED` by what they count; what is not there is not used."""

    def __init__(self, rows: Iterable[sqlite3.Row]) -> None:
        self._rows = {(row[0], row[1]): tuple(row)[2:] for row in rows}

    @property
    def grants_left_microusd(self) -> int:
        return int(self._rows[_GRANTS, ""][0])

    def of(self, subject: str, calendar_window: str, measure: Measure) -> tuple[int, int, int]:
        """Return what is committed, on hold and granted."""
        committed, on_hold, granted, videos, granted_videos = self._rows.get((subject, calendar_window), (0,) * 5)
        return (committed, on_hold, granted) if measure is Measure.MONEY else (videos, 0, granted_videos)


def _decided(used: _Used, frame: Frame, now: datetime) -> Iterator[Standing]:
    """Yield the standings that guilds' rules and people themselves decided on, in the order of LimitKind."""
    own = (
        _Limit(LimitKind.OWN, _PERSON, window, Measure.MONEY, Bound(amount, Rule(Scope.MEMBER)))
        for window, amount in frame.own.items()
    )
    for limit in (*frame.read.personal, *own, *frame.read.shared):
        is_own, personal = limit.kind is LimitKind.OWN, limit.kind is LimitKind.MEMBER
        zone = UTC_NAME if is_own else frame.zone
        committed, on_hold, granted = used.of(limit.subject, windows_at(now, zone).name(limit.window), limit.measure)
        yield Standing(
            kind=limit.kind,
            window=limit.window,
            limit=None if limit.bound.value >= UNLIMITED else limit.bound.value,
            committed=committed,
            window_ends_at=ends_at(now, limit.window, zone),
            on_hold=on_hold,
            measure=limit.measure,
            granted=granted if personal else 0,
            grants_left_microusd=used.grants_left_microusd if personal else 0,
            rule=None if is_own else limit.bound.rule,
        )


def _ceilings(
    rows: Iterable[sqlite3.Row], *, guild_id: int | None, limits: Limits, now: datetime
) -> Iterator[Standing]:
    """Yield the operator's ceilings; no guild, no guild's standing."""
    used = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    windows = windows_at(now)
    places = [
        (LimitKind.USER, Window.DAY, limits.user_day_microusd, (windows.day,)),
        (LimitKind.USER, Window.MONTH, limits.user_month_microusd, (windows.month,)),
        (LimitKind.GUILD, Window.MONTH, limits.guild_month_microusd, (windows.month,)),
        (LimitKind.BOT, Window.MONTH, limits.bot_month_microusd, (windows.month, "open")),
    ]
    for kind, window, limit_microusd, its_windows in places:
        if kind is LimitKind.GUILD and guild_id is None:
            continue
        rows_used = [used.get((kind.value, name), (0, 0)) for name in its_windows]
        yield Standing(
            kind=kind,
            window=window,
            limit=limit_microusd,
            committed=sum(committed for committed, _ in rows_used),
            window_ends_at=ends_at(now, window),
            on_hold=sum(on_hold for _, on_hold in rows_used),
        )
