"""Limits, where somebody stands against them, and what a price needs of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.rules import Rule
from bot.domain.windows import Window

FAILURES_PER_DAY_MAX = 5
# A person is told once per window when so much of a limit is used.
NOTICE_PERCENTS = (50, 75, 90)


class LimitKind(StrEnum):
    """Whose limit it is."""

    MEMBER = "member"
    OWN = "own"
    CHANNEL = "channel"
    POOL = "pool"
    USER = "user"
    GUILD = "guild"
    BOT = "bot"

    @property
    def is_ceiling(self) -> bool:
        """Say whether the operator set it; it stands above everything a guild sets."""
        return self in {LimitKind.USER, LimitKind.GUILD, LimitKind.BOT}

    @property
    def is_personal(self) -> bool:
        """Say whether one person alone uses it up."""
        return self in {LimitKind.MEMBER, LimitKind.OWN, LimitKind.USER}


class Measure(StrEnum):
    """What a limit counts."""

    MONEY = "money"
    VIDEOS = "videos"


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's ceilings in microdollars; None is unlimited."""

    user_day_microusd: int | None
    user_month_microusd: int | None
    guild_month_microusd: int | None
    bot_month_microusd: int | None


@dataclass(frozen=True, slots=True)
class Caps:
    """How many jobs may be in flight at once."""

    per_user: int
    per_guild: int
    per_gateway: int


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spends, and where. `channel_id` is the channel that rules know: a thread's parent. No guild, no roles."""

    user_id: int
    guild_id: int | None = None
    channel_id: int = 0
    role_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of one limit is used, in microdollars or videos as `measure` says; `limit` None is unlimited.

    `on_hold` is the part of `committed` in open holds; `granted` is the part that grants paid beyond the limit.
    `grants_left_microusd`: what open grants can still add (MEMBER alone). `rule`: where a guild's limit comes from.
    """

    kind: LimitKind
    window: Window
    limit: int | None
    committed: int
    window_ends_at: datetime
    on_hold: int = 0
    measure: Measure = Measure.MONEY
    granted: int = 0
    grants_left_microusd: int = 0
    rule: Rule | None = None

    @property
    def left(self) -> int | None:
        """What is left of the limit itself, without grants, never below zero; None is unlimited."""
        return None if self.limit is None else max(0, self.limit - (self.committed - self.granted))

    @property
    def available_microusd(self) -> int | None:
        """What may still be spent, grants included, never below zero; None where no amount stands in the way."""
        if self.measure is Measure.VIDEOS:
            return None if self.left is None or self.left > 0 else self.grants_left_microusd
        return None if self.left is None else self.left + self.grants_left_microusd

    def beyond_microusd(self, price_microusd: int) -> int:
        """Return how much of a price the limit itself does not cover."""
        if self.left is None:
            return 0
        if self.measure is Measure.VIDEOS:
            return price_microusd if self.left < 1 else 0
        return max(0, price_microusd - self.left)

    def missing_microusd(self, price_microusd: int) -> int:
        """Return how much of a price neither the limit nor a grant covers; more than 0 means no."""
        return max(0, self.beyond_microusd(price_microusd) - self.grants_left_microusd)

    def allows(self, price_microusd: int) -> bool:
        return self.missing_microusd(price_microusd) == 0

    @property
    def percent_used(self) -> int:
        """Return how much of the limit is used, rounded down, at most 100; 0 where there is none."""
        if self.limit is None:
            return 0
        used = self.committed - self.granted
        return 100 if used >= self.limit else max(0, used * 100 // self.limit)


def in_the_way(standings: Iterable[Standing], price_microusd: int) -> Standing | None:
    """Return the limit that forbids a price, of several the one that frees up last; None when all allow it."""
    against = [standing for standing in standings if not standing.allows(price_microusd)]
    return max(
        against, key=lambda standing: (standing.window_ends_at, standing.missing_microusd(price_microusd)), default=None
    )


def granted_microusd(standings: Iterable[Standing], price_microusd: int) -> int:
    """Return the part of a price that grants must pay, because a personal limit does not cover it."""
    personal = (standing for standing in standings if standing.kind is LimitKind.MEMBER)
    return max((standing.beyond_microusd(price_microusd) for standing in personal), default=0)


def is_worth_telling(standing: Standing) -> bool:
    """Say whether so much of a person's own limit is used that they are told."""
    return standing.kind.is_personal and standing.percent_used >= NOTICE_PERCENTS[0]


def narrowest(standings: Iterable[Standing]) -> Standing | None:
    """Return the standing with the least left, or None when no amount stands in any way."""
    limited = [standing for standing in standings if standing.available_microusd is not None]
    return min(limited, key=lambda standing: standing.available_microusd or 0, default=None)
