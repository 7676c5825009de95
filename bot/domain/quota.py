"""Calendar windows, the limits that stand over them, and where somebody stands."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.domain.errors import LimitKind

FAILURES_PER_DAY_MAX = 5


@dataclass(frozen=True, slots=True)
class Windows:
    """The names of the calendar windows an instant lies in, UTC: ``2026-11-20``, ``2026-W47``, ``2026-11``."""

    day: str
    week: str
    month: str


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
class Standing:
    """How much of one limit is used. `on_hold_microusd` is the part of `committed_microusd` in open holds."""

    limit: LimitKind
    limit_microusd: int | None
    committed_microusd: int
    window_ends_at: datetime
    on_hold_microusd: int = 0

    @property
    def available_microusd(self) -> int | None:
        """What is left, never below zero; None is unlimited."""
        if self.limit_microusd is None:
            return None
        return max(0, self.limit_microusd - self.committed_microusd)

    def allows(self, price_microusd: int) -> bool:
        available = self.available_microusd
        return available is None or price_microusd <= available


def windows_at(now: datetime) -> Windows:
    utc = now.astimezone(UTC)
    year, week, _ = utc.isocalendar()
    return Windows(day=utc.strftime("%Y-%m-%d"), week=f"{year}-W{week:02d}", month=utc.strftime("%Y-%m"))


def day_ends_at(now: datetime) -> datetime:
    utc = now.astimezone(UTC)
    return utc.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def month_ends_at(now: datetime) -> datetime:
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def narrowest(standings: tuple[Standing, ...]) -> Standing | None:
    """Return the standing with the least left, or None when all are unlimited."""
    limited = [standing for standing in standings if standing.available_microusd is not None]
    return min(limited, key=lambda standing: standing.available_microusd or 0, default=None)
