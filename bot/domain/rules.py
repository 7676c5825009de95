"""What a guild's rules say: limits for people, channels and the whole guild, and which of several counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from bot.domain.windows import Window

# Larger than any amount, so that the largest of several limits is simply the largest number.
UNLIMITED: Final = 2**62


class Scope(StrEnum):
    """For whom a rule is. EVERYONE, ROLE and MEMBER limit each person; CHANNEL and POOL are shared by all there."""

    MEMBER = "member"
    ROLE = "role"
    EVERYONE = "everyone"
    CHANNEL = "channel"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a guild. None in a field: the rule says nothing about it. UNLIMITED: no limit by this rule.

    `subject_id` is the member's, role's or channel's id; 0 for EVERYONE and POOL. A limit of 0 forbids paid videos.
    `jobs_max` are jobs in flight; a channel has none. Sets hold the allowed values; an empty one is not allowed.
    """

    scope: Scope
    subject_id: int = 0
    day_microusd: int | None = None
    week_microusd: int | None = None
    month_microusd: int | None = None
    day_videos: int | None = None
    week_videos: int | None = None
    month_videos: int | None = None
    jobs_max: int | None = None
    duration_max_s: int | None = None
    resolutions: frozenset[str] | None = None
    gateways: frozenset[str] | None = None
    ratios: frozenset[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether it says nothing at all."""
        return all(getattr(self, name) is None for name in RULE_FIELDS)


RULE_FIELDS: Final = tuple(field.name for field in fields(Rule) if field.name not in {"scope", "subject_id"})
MONEY_FIELDS: Final[Mapping[Window, str]] = {window: f"{window.value}_microusd" for window in Window}
VIDEO_FIELDS: Final[Mapping[Window, str]] = {window: f"{window.value}_videos" for window in Window}


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit and the rule it comes from."""

    value: int
    rule: Rule


def personal_bound(rules: Iterable[Rule], field: str) -> Bound | None:
    """Return a person's limit in one number field: the own rule's, else the largest of the roles', else everyone's.

    `rules` are those that apply to the person; None where none says anything.
    """
    said = [Bound(getattr(rule, field), rule) for rule in rules if getattr(rule, field) is not None]
    for scope in (Scope.MEMBER, Scope.ROLE, Scope.EVERYONE):
        of_scope = [bound for bound in said if bound.rule.scope is scope]
        if of_scope:
            return max(of_scope, key=lambda bound: (bound.value, -bound.rule.subject_id))
    return None


def shared_bound(rules: Iterable[Rule], scope: Scope, field: str) -> Bound | None:
    """Return the limit of the channel or of the pool in one number field."""
    for rule in rules:
        value = getattr(rule, field)
        if rule.scope is scope and value is not None:
            return Bound(value, rule)
    return None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What rules allow of a request's options; None allows everything."""

    duration_max_s: int | None = None
    resolutions: frozenset[str] | None = None
    gateways: frozenset[str] | None = None
    ratios: frozenset[str] | None = None


def allowed_by(rules: Iterable[Rule]) -> Allowed:
    """Return what the person's, the channel's and the guild's rules all allow.

    `rules` are those that apply. Of a person's rules the own one counts, else what any of the roles allows, else
    everyone's; an UNLIMITED duration allows every one.
    """
    applying = list(rules)
    shared = [rule for rule in applying if rule.scope in {Scope.CHANNEL, Scope.POOL}]
    longest = personal_bound(applying, "duration_max_s")
    durations = [longest.value] if longest else []
    durations += [rule.duration_max_s for rule in shared if rule.duration_max_s is not None]
    duration_max_s = min(durations, default=UNLIMITED)
    return Allowed(
        duration_max_s=None if duration_max_s >= UNLIMITED else duration_max_s,
        resolutions=_common([_personal_set(applying, "resolutions"), *(rule.resolutions for rule in shared)]),
        gateways=_common([_personal_set(applying, "gateways"), *(rule.gateways for rule in shared)]),
        ratios=_common([_personal_set(applying, "ratios"), *(rule.ratios for rule in shared)]),
    )


def _personal_set(rules: list[Rule], field: str) -> frozenset[str] | None:
    for scope in (Scope.MEMBER, Scope.ROLE, Scope.EVERYONE):
        said = [values for rule in rules if rule.scope is scope and (values := getattr(rule, field)) is not None]
        if said:
            return frozenset().union(*said)
    return None


def _common(sets: list[frozenset[str] | None]) -> frozenset[str] | None:
    common: frozenset[str] | None = None
    for values in sets:
        if values is not None:
            common = values if common is None else common & values
    return common
