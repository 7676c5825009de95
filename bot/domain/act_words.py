"""What rules, settings, grants and blocks say, in the plain words that the audit keeps."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from bot.domain.guild import Block, Grant, GuildField, GuildSettings
from bot.domain.money import show_usd
from bot.domain.rules import MONEY_FIELDS, UNLIMITED, VIDEO_FIELDS, Rule, Scope

NOTHING: Final = "none"


def subject_of(scope: Scope, subject_id: int) -> str:
    """Name whom a rule is for: ``everyone``, ``role 123``, ``pool``."""
    return f"{scope.value} {subject_id}" if subject_id else scope.value


def rule_words(rule: Rule | None) -> str:
    """Write all that a rule says: ``$5.00 a day, 3 videos a week, at most 10 s, 720p``."""
    if rule is None or rule.is_empty:
        return NOTHING
    said = [f"{_money(getattr(rule, name))} a {window}" for window, name in MONEY_FIELDS.items() if _says(rule, name)]
    said += [f"{_videos(getattr(rule, name))} a {window}" for window, name in VIDEO_FIELDS.items() if _says(rule, name)]
    if rule.jobs_max is not None:
        said.append(
            "any number of jobs at once" if rule.jobs_max >= UNLIMITED else _count(rule.jobs_max, "job at once")
        )
    if rule.duration_max_s is not None:
        said.append("any length" if rule.duration_max_s >= UNLIMITED else f"at most {rule.duration_max_s} s")
    said += [_either(values) for values in (rule.resolutions, rule.gateways, rule.ratios) if values is not None]
    return ", ".join(said)


def setting_subject(field: GuildField) -> str:
    return _SETTINGS[field][0]


def setting_words(field: GuildField, settings: GuildSettings, now: datetime) -> str:
    """Write what one setting says. Channels and roles are named ``channel 123`` and ``role 123``."""
    _, words = _SETTINGS[field]
    return words(replace(settings, time_zone=settings.time_zone.settled(now)))


def grant_words(grant: Grant) -> str:
    return f"{show_usd(grant.amount_microusd)} until {time_words(grant.expires_at)}: {grant.reason}"


def block_words(block: Block | None) -> str:
    if block is None:
        return NOTHING
    until = "until unblocked" if block.until is None else f"until {time_words(block.until)}"
    return f"{until}: {block.reason}" if block.reason else until


def time_words(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _says(rule: Rule, name: str) -> bool:
    return getattr(rule, name) is not None


def _money(amount_microusd: int) -> str:
    return "any amount" if amount_microusd >= UNLIMITED else show_usd(amount_microusd)


def _videos(count: int) -> str:
    return "any number of videos" if count >= UNLIMITED else _count(count, "video")


def _count(count: int, noun: str) -> str:
    first, _, rest = noun.partition(" ")
    plural = first if count == 1 else f"{first}s"
    return f"{count:,} {plural} {rest}".rstrip()


def _either(values: frozenset[str]) -> str:
    """Join by ``or``, shorter first: ``720p or 1080p``."""
    return " or ".join(sorted(values, key=lambda value: (len(value), value)))


def _zone(settings: GuildSettings) -> str:
    zone = settings.time_zone
    if zone.next_name is None or zone.next_from is None:
        return zone.name
    return f"{zone.name} until {time_words(zone.next_from)}, then {zone.next_name}"


def _all(noun: str, ids: frozenset[int]) -> str:
    return ", ".join(f"{noun} {place}" for place in sorted(ids))


def _confirm_above(settings: GuildSettings) -> str:
    return NOTHING if settings.confirm_above_microusd is None else show_usd(settings.confirm_above_microusd)


def _retention(settings: GuildSettings) -> str:
    return "the operator's" if settings.retention_days is None else _count(settings.retention_days, "day")


def _audit_channel(settings: GuildSettings) -> str:
    return NOTHING if settings.audit_channel_id is None else f"channel {settings.audit_channel_id}"


_SETTINGS: Final[Mapping[GuildField, tuple[str, Callable[[GuildSettings], str]]]] = {
    GuildField.TIME_ZONE: ("time zone", _zone),
    GuildField.CONFIRM_ABOVE: ("confirmation above", _confirm_above),
    GuildField.PAUSED: ("pause", lambda settings: "on" if settings.paused else "off"),
    GuildField.CHANNELS: ("allowed channels", lambda s: _all("channel", s.channel_ids) or "every channel"),
    GuildField.ROLES: ("allowed roles", lambda s: _all("role", s.role_ids) or "everyone"),
    GuildField.RESOLUTION: ("default resolution", lambda settings: settings.defaults.resolution.value),
    GuildField.DURATION: ("default duration", lambda settings: f"{settings.defaults.duration_s} s"),
    GuildField.RATIO: ("default ratio", lambda settings: settings.defaults.ratio or NOTHING),
    GuildField.GATEWAY: ("default gateway", lambda settings: settings.defaults.gateway),
    GuildField.RETENTION: ("retention", _retention),
    GuildField.AUDIT_CHANNEL: ("audit channel", _audit_channel),
}
