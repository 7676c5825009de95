"""Managers' cards grow old: when one was opened stands in its custom ids, and a press on an old one changes nothing."""

from datetime import datetime, timedelta

from bot.domain.errors import ChangeProblem, ChangeRejected

# Who opened it may have lost the permission since; Discord asks for it at the command alone.
AGE_MAX = timedelta(minutes=15)
# Our clock may be set back a little; a mark far in the future would be fresh for as long.
_AHEAD_MAX = timedelta(minutes=1)
OPENED = r"(?P<opened>[0-9a-z]{1,9})"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def opened_mark(moment: datetime) -> str:
    """Return the moment of opening for a custom id: seconds since 1970 in base 36; OPENED matches it."""
    seconds, mark = int(moment.timestamp()), ""
    while seconds:
        seconds, digit = divmod(seconds, 36)
        mark = _DIGITS[digit] + mark
    return mark or "0"


def require_fresh(mark: str, now: datetime) -> None:
    """Refuse a card that was opened more than 15 minutes ago, or will be; both by the bot's own clock.

    Raises:
        ChangeRejected: CARD_TOO_OLD.
    """
    age_s = now.timestamp() - int(mark, 36)
    if not -_AHEAD_MAX.total_seconds() <= age_s <= AGE_MAX.total_seconds():
        raise ChangeRejected(ChangeProblem.CARD_TOO_OLD)
