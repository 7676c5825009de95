"""Reads how long something lasts as people type it: ``30m``, ``12h``, ``7d``, ``2w`` or the date of its last day."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.windows import UTC_NAME, Window, ends_at

# A leap year, so that the same day of next year is always near enough.
SPAN_MAX: Final = timedelta(days=366)
_SPAN = re.compile(r"(?P<count>[0-9]{1,6})\s?(?P<unit>[mhdw])", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def end_from_text(text: str, *, now: datetime, zone: str) -> datetime:
    """Return when a typed span ends, in UTC. A date counts to the end of that day in the time zone `zone`.

    Raises:
        ChangeRejected: it is no span or date, not in the future, or more than SPAN_MAX ahead.
    """
    plain = text.strip()
    end = _end_of_day(plain, now, zone) if _DATE.fullmatch(plain) else _end_of_span(plain, now)
    if end is None or not now < end <= now + SPAN_MAX:
        raise ChangeRejected(ChangeProblem.BAD_TIME, text)
    return end


def _end_of_span(plain: str, now: datetime) -> datetime | None:
    match = _SPAN.fullmatch(plain)
    if match is None:
        return None
    # Cut before it is added: six digits of weeks are beyond every calendar.
    return now + min(int(match["count"]) * _UNITS[match["unit"].lower()], 2 * SPAN_MAX)


def _end_of_day(plain: str, now: datetime, zone: str) -> datetime | None:
    try:
        day = date.fromisoformat(plain)
    except ValueError:
        return None
    if abs(day.year - now.year) > 1:
        return None
    tzinfo = UTC if zone == UTC_NAME else ZoneInfo(zone)
    return ends_at(datetime(day.year, day.month, day.day, 12, tzinfo=tzinfo), Window.DAY, zone)
