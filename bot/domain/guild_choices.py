"""What a guild's managers choose for it: settings, gateways, a pause; and the acts they look back at."""

import asyncio
import zoneinfo
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.act_words import setting_subject
from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import ID_MAX, Act, AuditEntry, GuildField, GuildSettings
from bot.domain.guild_store import GuildStore
from bot.domain.money import amount_from_text
from bot.domain.ports import Clock
from bot.domain.pricing import Capabilities
from bot.domain.request import DURATION_MAX_S, DURATION_MIN_S, GATEWAY_AUTO, RATIOS, Resolution
from bot.domain.rules import Rule, Scope

# What the machine itself calls its zone, and a zone that stands for none.
_NO_PLACES = frozenset({"localtime", "Factory"})

Value = str | int | bool | frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Offered:
    """What can be chosen: gateways by name with their titles, `free` ones among them, and the longest retention."""

    gateways: Mapping[str, str]
    free: frozenset[str]
    retention_days_max: int


@dataclass(frozen=True, slots=True)
class GuildChoices:
    """A guild's settings, and the gateways that the rule of its pool allows; None allows all."""

    settings: GuildSettings
    gateways: frozenset[str] | None = None


class SettingsService:
    """Discord's command permissions say who may call; an act is written into the audit with what it does."""

    def __init__(
        self,
        *,
        store: GuildStore,
        gateways: Iterable[Capabilities],
        operator_ids: Callable[[], frozenset[int]],
        operator_retention_days: int,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        """`wake` makes the runner and the teller of acts look again."""
        facts = [each for each in gateways if each.configured]
        self.offered = Offered(
            {each.gateway: each.title for each in facts},
            frozenset(each.gateway for each in facts if each.free),
            operator_retention_days,
        )
        self._store = store
        self._operator_ids = operator_ids
        self._clock = clock
        self._wake = wake
        self._time_zones: tuple[str, ...] = ()

    @property
    def now(self) -> datetime:
        return self._clock.now()

    async def choices(self, guild_id: int) -> GuildChoices:
        """Return what counts, with a change of the time zone that has happened already in its place."""
        settings = await self._store.guild(guild_id)
        settled = replace(settings, time_zone=settings.time_zone.settled(self._clock.now()))
        pool = [rule for rule in await self._store.rules(guild_id) if rule.scope is Scope.POOL]
        return GuildChoices(settled, pool[0].gateways if pool else None)

    async def change(self, guild_id: int, field: GuildField, chosen: Sequence[str], *, actor_id: int) -> GuildChoices:
        """Set one setting to what was chosen or typed; nothing chosen, or a blank text, is its default.

        Raises:
            ChangeRejected, AmountRejected: it cannot be that; nothing was changed.
        """
        value = await self._checked(field, [text.strip() for text in chosen if text.strip()])
        await self._store.change_guild(field, value, act=self._act(guild_id, actor_id))
        self._wake()
        return await self.choices(guild_id)

    async def allow_gateways(self, guild_id: int, names: Sequence[str], *, actor_id: int) -> GuildChoices:
        """Let these gateways alone be used, none: all. It is a part of the rule of the guild's pool.

        Raises:
            ChangeRejected: there is no such gateway; nothing was changed.
        """
        for name in names:
            _one_of("gateways", tuple(self.offered.gateways), name)
        act = self._act(guild_id, actor_id)
        if names:
            await self._store.set_rule(Rule(Scope.POOL, gateways=frozenset(names)), act=act)
        else:
            await self._store.clear_rule(Scope.POOL, 0, fields=frozenset({"gateways"}), act=act)
        self._wake()
        return await self.choices(guild_id)

    async def forget(self, guild_id: int, field: GuildField, gone: frozenset[int], *, actor_id: int) -> GuildChoices:
        """Take deleted channels or roles out of the allowed ones. Where none is left, all are allowed.

        Raises:
            ChangeRejected: the field is neither; nothing was changed.
        """
        _one_of("setting", (GuildField.CHANNELS, GuildField.ROLES), field)
        await self._store.forget_ids(field, gone, act=self._act(guild_id, actor_id))
        self._wake()
        return await self.choices(guild_id)

    async def set_paused(self, guild_id: int, *, paused: bool, actor_id: int) -> GuildChoices:
        """Stop or go on with new videos in this guild alone. Twice is as good as once."""
        return await self.change(guild_id, GuildField.PAUSED, ["paused"] if paused else [], actor_id=actor_id)

    async def audit(self, guild_id: int, *, before_id: int | None, limit: int, user_id: int | None) -> list[AuditEntry]:
        """Return acts, newest first, older than `before_id`; those that concern one person where it is given."""
        return await self._store.audit(guild_id, before_id=before_id, limit=limit, user_id=user_id)

    async def time_zones(self) -> tuple[str, ...]:
        """Return the names of the IANA database, sorted. It is read once, beside the event loop."""
        if not self._time_zones:
            names = await asyncio.to_thread(zoneinfo.available_timezones)
            self._time_zones = tuple(sorted(names - _NO_PLACES))
        return self._time_zones

    def _act(self, guild_id: int, actor_id: int) -> Act:
        return Act(guild_id, actor_id, self._clock.now(), by_operator=actor_id in self._operator_ids())

    async def _checked(self, field: GuildField, chosen: list[str]) -> Value:
        """Return the value of a setting.

        Raises:
            ChangeRejected, AmountRejected: it cannot be that.
        """
        if field in {GuildField.CHANNELS, GuildField.ROLES}:
            return frozenset(_number(field, each) for each in chosen)
        if field is GuildField.PAUSED:
            return bool(chosen)
        return await self._checked_text(field, chosen[0]) if chosen else None

    async def _checked_text(self, field: GuildField, text: str) -> Value:
        match field:
            case GuildField.TIME_ZONE:
                return _time_zone(text, await self.time_zones())
            case GuildField.CONFIRM_ABOVE:
                return amount_from_text(text, zero=True)
            case GuildField.RETENTION:
                return _number(field, text, 1, self.offered.retention_days_max)
            case GuildField.DURATION:
                return _number(field, text, DURATION_MIN_S, DURATION_MAX_S)
            case GuildField.AUDIT_CHANNEL:
                return _number(field, text)
            case _:
                return _one_of(setting_subject(field), self._names(field), text)

    def _names(self, field: GuildField) -> Sequence[str]:
        match field:
            case GuildField.RESOLUTION:
                return [resolution.value for resolution in Resolution]
            case GuildField.RATIO:
                return RATIOS
            case _:
                return [GATEWAY_AUTO, *self.offered.gateways]


def _one_of(option: str, names: Sequence[str], text: str) -> str:
    if text not in names:
        raise ChangeRejected(ChangeProblem.BAD_VALUE, text, option=option, allowed=tuple(names))
    return text


def _number(field: GuildField, text: str, least: int = 1, most: int = ID_MAX) -> int:
    is_whole = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not is_whole or not least <= int(text) <= most:
        option = setting_subject(field)
        raise ChangeRejected(ChangeProblem.BAD_VALUE, text, option=option, allowed=(f"{least} to {most}",))
    return int(text)


def _time_zone(typed: str, names: Sequence[str]) -> str:
    """Return the zone that is meant: by its whole name, or by a city that one zone alone is named after.

    Raises:
        ChangeRejected: NO_SUCH_TIME_ZONE.
    """
    wanted = zone_key(typed)
    whole = [name for name in names if zone_key(name) == wanted]
    # Etc/GMT+2 is two hours behind, not ahead: nobody shall get it for "GMT+2".
    cities = [name for name in names if zone_key(name).endswith(f"/{wanted}") and not name.startswith("Etc/")]
    if whole:
        return whole[0]
    if len(cities) == 1:
        return cities[0]
    raise ChangeRejected(ChangeProblem.NO_SUCH_TIME_ZONE, typed)


def zone_key(text: str) -> str:
    """Return what is compared of a zone's name, or of what somebody types of it."""
    return "_".join(text.casefold().split())
