"""Finds what of a guild's rules has less effect than it says: contradictions, and the operator's ceilings above it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bot.domain.quota import Caps, LimitKind, Limits
from bot.domain.rules import MONEY_FIELDS, UNLIMITED, VIDEO_FIELDS, Rule, Scope
from bot.domain.windows import Window

SETS: Final = ("resolutions", "gateways", "ratios")
_WINDOWS: Final = tuple(Window)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A limit of the operator's."""

    kind: LimitKind
    window: Window
    limit_microusd: int


@dataclass(frozen=True, slots=True)
class BelowShorter:
    """The limit in `field` is lower than that of a shorter window, in `shorter`, which so never counts."""

    field: str
    value: int
    shorter: str
    shorter_value: int


@dataclass(frozen=True, slots=True)
class AbovePool:
    """The limit in `field` is higher than the pool's."""

    field: str
    value: int
    pool_value: int


@dataclass(frozen=True, slots=True)
class NothingCommon:
    """No value of the set in `field` is allowed by the other rule, too."""

    field: str
    other: Rule


@dataclass(frozen=True, slots=True)
class AboveCap:
    """More jobs at once than the operator's settings let a person (`personal`), else a guild, have."""

    cap: int
    personal: bool


Clash = BelowShorter | AbovePool | NothingCommon | AboveCap


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule as it counts now, the operator's lower ceilings, and what else keeps it from its effect."""

    rule: Rule
    ceilings: tuple[Ceiling, ...] = ()
    clashes: tuple[Clash, ...] = ()


def view_of(rule: Rule, rules: Sequence[Rule], *, limits: Limits, caps: Caps) -> RuleView:
    """Return a rule with what stands against it; `rules` are all of its guild's, or those that are not personal."""
    clashes: tuple[Clash, ...] = (
        *_below_shorter(rule),
        *_above_pool(rule, rules),
        *_nothing_common(rule, rules),
        *_above_cap(rule, caps),
    )
    return RuleView(rule, ceilings_below(rule, limits), clashes)


def ceilings(limits: Limits, *, personal: bool) -> tuple[Ceiling, ...]:
    """Return the operator's ceilings that members may know of; those for one person only where `personal`."""
    kinds = [
        (LimitKind.USER, Window.DAY, limits.user_day_microusd),
        (LimitKind.USER, Window.MONTH, limits.user_month_microusd),
        (LimitKind.GUILD, Window.MONTH, limits.guild_month_microusd),
    ]
    return tuple(
        Ceiling(kind, window, limit)
        for kind, window, limit in kinds
        if limit is not None and (personal or kind is LimitKind.GUILD)
    )


def ceilings_below(rule: Rule, limits: Limits) -> tuple[Ceiling, ...]:
    """Return the ceilings that are lower than a limit of the rule for the same window, or for a shorter one."""
    return tuple(
        ceiling
        for ceiling in ceilings(limits, personal=is_personal(rule))
        if any(
            (value := getattr(rule, MONEY_FIELDS[window])) is not None and value > ceiling.limit_microusd
            for window in _WINDOWS[: _WINDOWS.index(ceiling.window) + 1]
        )
    )


def is_personal(rule: Rule) -> bool:
    """Say whether it limits each person, not what all there share."""
    return rule.scope in {Scope.MEMBER, Scope.ROLE, Scope.EVERYONE}


def _below_shorter(rule: Rule) -> Iterator[BelowShorter]:
    for names in (MONEY_FIELDS, VIDEO_FIELDS):
        said = [(name, value) for name in names.values() if (value := getattr(rule, name)) is not None]
        for (shorter, shorter_value), (name, value) in pairwise(said):
            if value < shorter_value < UNLIMITED:
                yield BelowShorter(name, value, shorter, shorter_value)


def _above_pool(rule: Rule, rules: Iterable[Rule]) -> Iterator[AbovePool]:
    pool = next((other for other in rules if other.scope is Scope.POOL), None)
    if pool is None or rule.scope is Scope.POOL:
        return
    for name in (*MONEY_FIELDS.values(), *VIDEO_FIELDS.values()):
        value, pool_value = getattr(rule, name), getattr(pool, name)
        if value is not None and pool_value is not None and value > pool_value:
            yield AbovePool(name, value, pool_value)


def _nothing_common(rule: Rule, rules: Iterable[Rule]) -> Iterator[NothingCommon]:
    """A person's rule meets the channels' and the pool's, a channel's the pool's; of people's rules one counts."""
    met = {Scope.POOL} if rule.scope is Scope.CHANNEL else {Scope.POOL, Scope.CHANNEL}
    if rule.scope is Scope.POOL:
        return
    for other in rules:
        for name in SETS:
            ours, theirs = getattr(rule, name), getattr(other, name)
            if other.scope in met and ours is not None and theirs is not None and not ours & theirs:
                yield NothingCommon(name, other)


def _above_cap(rule: Rule, caps: Caps) -> Iterator[AboveCap]:
    personal = is_personal(rule)
    cap = caps.per_user if personal else caps.per_guild
    if rule.jobs_max is not None and rule.jobs_max > cap:
        yield AboveCap(cap, personal)
