"""Calendar windows: days, weeks from Monday and months, as a time zone counts them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_NAME = "UTC"


class Window(StrEnum):
    """How long a limit counts before it begins anew."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Windows:
    """The names of the calendar windows an instant lies in: ``2026-11-20``, ``2026-W47``, ``2026-11``."""

    day: str
    week: str
    month: str

    def name(self, window: Window) -> str:
        return {Window.DAY: self.day, Window.WEEK: self.week, Window.MONTH: self.month}[window]


def windows_at(now: datetime, zone: str = UTC_NAME) -> Windows:
    local = _local(now, zone)
    year, week, _ = local.isocalendar()
    return Windows(day=local.strftime("%Y-%m-%d"), week=f"{year}-W{week:02d}", month=local.strftime("%Y-%m"))


def ends_at(now: datetime, window: Window, zone: str = UTC_NAME) -> datetime:
    """Return when the window that `now` lies in ends, in UTC; a day with a clock change lasts 23 or 25 hours."""
    today = _local(now, zone).date()
    match window:
        case Window.DAY:
            following = today + timedelta(days=1)
        case Window.WEEK:
            following = today + timedelta(days=7 - today.weekday())
        case Window.MONTH:
            following = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return _begins_at(following, zone)


def day_ends_at(now: datetime) -> datetime:
    return ends_at(now, Window.DAY)


def month_ends_at(now: datetime) -> datetime:
    return ends_at(now, Window.MONTH)


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A guild's time zone by its IANA name, and the one that follows it at `next_from`."""

    name: str = UTC_NAME
    next_name: str | None = None
    next_from: datetime | None = None

    def at(self, now: datetime) -> str:
        """Return the zone that counts."""
        if self.next_name is None or self.next_from is None:
            return self.name
        if now >= self.next_from:
            return self.next_name
        # Two zones can be more than a day apart: the one ahead would begin a day that the other has yet to begin.
        is_ahead = _local(now, self.name).date() > _local(self.next_from, self.next_name).date()
        return UTC_NAME if is_ahead else self.name

    def changed(self, name: str, now: datetime) -> "TimeZone":
        """Return this zone with `name` from next month on, or without a change when `name` counts already.

        The change waits until it is next month in both zones: no window is counted twice, none begins early.
        """
        present = self.at(now)
        if name == present:
            return TimeZone(present)
        month_end = ends_at(now, Window.MONTH, present)
        following = _local(month_end, present).date().replace(day=1)
        return TimeZone(present, name, max(month_end, _begins_at(following, name)))

    def settled(self, now: datetime) -> "TimeZone":
        """Return this zone without a change that has happened."""
        return self if self.next_from is None or now < self.next_from else TimeZone(self.at(now))


def is_time_zone(name: str) -> bool:
    """Say whether the IANA database has a zone of that name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _local(now: datetime, zone: str) -> datetime:
    return now.astimezone(UTC if zone == UTC_NAME else ZoneInfo(zone))


def _begins_at(day: date, zone: str) -> datetime:
    """Return the first instant of a day; where midnight is skipped by a clock change, the instant of the change."""
    tzinfo = UTC if zone == UTC_NAME else ZoneInfo(zone)
    return datetime(day.year, day.month, day.day, tzinfo=tzinfo).astimezone(UTC)
