"""What a guild's managers set for their guild: its settings, changed one at a time, and its rules."""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from bot.adapters.store.audit import record
from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import at_or_none, ms_or_none
from bot.adapters.store.standing import RULE_COLUMNS, RULES_FOR, frame_parameters, in_order, rule_of, rules_of
from bot.domain.act_words import rule_words, setting_subject, setting_words, subject_of
from bot.domain.guild import Act, ActKind, Defaults, GuildField, GuildSettings
from bot.domain.quota import Spender
from bot.domain.request import Resolution
from bot.domain.rules import RULE_FIELDS, Rule, Scope
from bot.domain.windows import UTC_NAME, TimeZone

SettingValue = str | int | bool | frozenset[int] | None

GUILD = "SELECT * FROM guilds WHERE guild_id = :guild_id"
_KNOW_GUILD = "INSERT OR IGNORE INTO guilds (guild_id) VALUES (:guild_id)"
_SET_TIME_ZONE = """
UPDATE guilds SET time_zone = :name, next_time_zone = :next_name, next_time_zone_from_ms = :next_from_ms
WHERE guild_id = :guild_id
"""
# Told are the acts from this one on, not those of before.
_SET_AUDIT_CHANNEL = """
UPDATE guilds SET audit_channel_id = :value, audit_from_id = (SELECT coalesce(max(audit_id), 0) FROM audit)
WHERE guild_id = :guild_id AND audit_channel_id IS NOT :value
"""
# The other settings are each a column of the same name.
_SET: Final[Mapping[GuildField, str]] = {
    field: f"UPDATE guilds SET {field.value} = :value WHERE guild_id = :guild_id"  # noqa: S608 - fixed text
    for field in GuildField
} | {GuildField.TIME_ZONE: _SET_TIME_ZONE, GuildField.AUDIT_CHANNEL: _SET_AUDIT_CHANNEL}
_IDS: Final[Mapping[GuildField, Callable[[GuildSettings], frozenset[int]]]] = {
    GuildField.CHANNELS: lambda settings: settings.channel_ids,
    GuildField.ROLES: lambda settings: settings.role_ids,
}
EVERY_RETENTION = "SELECT guild_id, retention_days FROM guilds WHERE retention_days IS NOT NULL"

RULES = f"SELECT {RULE_COLUMNS} FROM rules WHERE guild_id = :guild_id"  # noqa: S608 - fixed text
_WHICH = "guild_id = :guild_id AND scope = :scope AND subject_id = :subject_id"
RULE = f"SELECT {RULE_COLUMNS} FROM rules WHERE {_WHICH}"  # noqa: S608 - fixed text
_DELETE_RULE = f"DELETE FROM rules WHERE {_WHICH}"  # noqa: S608 - fixed text
_PUT_RULE = f"""
INSERT OR REPLACE INTO rules (guild_id, {RULE_COLUMNS})
VALUES (:guild_id, :scope, :subject_id, {", ".join(f":{name}" for name in RULE_FIELDS)})
"""  # noqa: S608 - fixed text


class Guilds(Connections):
    """The operations on settings and rules. What is set to what it is already leaves no audit entry."""

    async def guild(self, guild_id: int) -> GuildSettings:
        rows = await self._rows(GUILD, {"guild_id": guild_id})
        return _settings_of(guild_id, rows[0] if rows else None)

    async def change_guild(self, field: GuildField, value: SettingValue, *, act: Act) -> GuildSettings:
        return await self._write(lambda db: _change_guild(db, field, value, act))

    async def forget_ids(self, field: GuildField, ids: Collection[int], *, act: Act) -> GuildSettings:
        def work(db: sqlite3.Connection) -> GuildSettings:
            return _change_guild(db, field, _IDS[field](_read_settings(db, act.guild_id)).difference(ids), act)

        return await self._write(work)

    async def every_retention(self) -> dict[int, int]:
        return {guild_id: days for guild_id, days in await self._rows(EVERY_RETENTION)}

    async def rules(self, guild_id: int) -> list[Rule]:
        return list(in_order(rule_of(*row) for row in await self._rows(RULES, {"guild_id": guild_id})))

    async def rules_for(self, spender: Spender) -> list[Rule]:
        ((text,),) = await self._rows(RULES_FOR, frame_parameters(spender))
        return list(rules_of(text).rules)

    async def set_rule(self, rule: Rule, *, act: Act) -> Rule:
        said = {name: value for name in RULE_FIELDS if (value := getattr(rule, name)) is not None}

        def work(db: sqlite3.Connection) -> Rule:
            before = _rule(db, act.guild_id, rule.scope, rule.subject_id)
            after = replace(before, **said)
            _put_rule(db, before, after, ActKind.RULE_SET, act)
            return after

        return await self._write(work)

    async def clear_rule(self, scope: Scope, subject_id: int, *, fields: frozenset[str] | None, act: Act) -> bool:
        cleared = dict.fromkeys(RULE_FIELDS if fields is None else fields)

        def work(db: sqlite3.Connection) -> bool:
            before = _rule(db, act.guild_id, scope, subject_id)
            return _put_rule(db, before, replace(before, **cleared), ActKind.RULE_CLEARED, act)  # type: ignore[arg-type]

        return await self._write(work)


def _change_guild(db: sqlite3.Connection, field: GuildField, value: SettingValue, act: Act) -> GuildSettings:
    before = _read_settings(db, act.guild_id)
    values: dict[str, object] = {"guild_id": act.guild_id, "value": value}
    if field is GuildField.TIME_ZONE:
        zone = _changed_zone(before.time_zone, str(value or UTC_NAME), act)
        values |= {"name": zone.name, "next_name": zone.next_name, "next_from_ms": ms_or_none(zone.next_from)}
    elif field in {GuildField.CHANNELS, GuildField.ROLES}:
        values["value"] = json.dumps(sorted(value)) if isinstance(value, frozenset) else "[]"
    elif field is GuildField.PAUSED:
        values["value"] = bool(value)
    db.execute(_KNOW_GUILD, values)
    db.execute(_SET[field], values)
    after = _read_settings(db, act.guild_id)
    if after != before:
        said_before, said_after = (setting_words(field, settings, act.at) for settings in (before, after))
        record(db, ActKind.SETTING_CHANGED, act, subject=setting_subject(field), before=said_before, after=said_after)
    return after


def _changed_zone(zone: TimeZone, name: str, act: Act) -> TimeZone:
    """Return the zone with the change; what is set already, also for next month, stays as it is."""
    settled = zone.settled(act.at)
    return zone if name == (settled.next_name or settled.name) else zone.changed(name, act.at)


def _read_settings(db: sqlite3.Connection, guild_id: int) -> GuildSettings:
    return _settings_of(guild_id, db.execute(GUILD, {"guild_id": guild_id}).fetchone())


def _settings_of(guild_id: int, row: sqlite3.Row | None) -> GuildSettings:
    if row is None:
        return GuildSettings(guild_id)
    usual = Defaults()
    return GuildSettings(
        guild_id=guild_id,
        time_zone=TimeZone(row["time_zone"], row["next_time_zone"], at_or_none(row["next_time_zone_from_ms"])),
        confirm_above_microusd=row["confirm_above_microusd"],
        paused=bool(row["paused"]),
        channel_ids=frozenset(json.loads(row["channel_ids"])),
        role_ids=frozenset(json.loads(row["role_ids"])),
        defaults=Defaults(
            resolution=Resolution(row["default_resolution"] or usual.resolution),
            duration_s=row["default_duration_s"] or usual.duration_s,
            ratio=row["default_ratio"],
            gateway=row["default_gateway"] or usual.gateway,
        ),
        retention_days=row["retention_days"],
        audit_channel_id=row["audit_channel_id"],
    )


def _rule(db: sqlite3.Connection, guild_id: int, scope: Scope, subject_id: int) -> Rule:
    """Return the rule; one that says nothing where there is none."""
    row = db.execute(RULE, {"guild_id": guild_id, "scope": scope, "subject_id": subject_id}).fetchone()
    return rule_of(*row) if row else Rule(scope, subject_id)


def _put_rule(db: sqlite3.Connection, before: Rule, after: Rule, kind: ActKind, act: Act) -> bool:
    """Write the rule and the act down; False where nothing changes. A rule that says nothing is deleted."""
    if after == before:
        return False
    said = {name: getattr(after, name) for name in RULE_FIELDS}
    values = {
        name: json.dumps(sorted(value)) if isinstance(value, frozenset) else value for name, value in said.items()
    }
    values |= {"guild_id": act.guild_id, "scope": after.scope, "subject_id": after.subject_id}
    db.execute(_DELETE_RULE if after.is_empty else _PUT_RULE, values)
    record(
        db,
        kind,
        act,
        subject=subject_of(after.scope, after.subject_id),
        before=rule_words(before),
        after=rule_words(after),
        user_id=after.subject_id if after.scope is Scope.MEMBER else None,
    )
    return True
