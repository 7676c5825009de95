"""The words of reports: days, spans of time, and how jobs ended, each in a few words."""

from collections import Counter
from datetime import date

from bot.domain.errors import Refusal
from bot.domain.job import FINAL_STATES, Ending, JobState
from bot.domain.reports import Outcome, Period, Report

DIRECT_MESSAGES = "direct messages"
UNDER_WAY = "under way"
FINISHED = "finished"
CANCELLED = "cancelled"

_ENDINGS = {
    Ending.REFUSED: "refused by the gateway",
    Ending.GATEWAY_FAILED: "failed at the gateway",
    Ending.NO_VIDEO: "no video that plays",
    Ending.LINE_TOO_LONG: "an hour in line",
    Ending.PLACE_GONE: "no right to post any more",
    Ending.UPLOAD_IMPOSSIBLE: "pictures not handed over",
    Ending.TASK_LIFE_OVER: "never finished by the gateway",
    Ending.UNPRICED: "price not reliable any more",
    Ending.TOO_MANY_FAILURES: "too many failures that day",
    Ending.RESTORED: "backup restored meanwhile",
    Ending.BLOCKED: "the member was blocked",
    Ending.RELEASED: "released by a manager",
}
_REFUSALS = {
    Refusal.CONTENT: "content rules",
    Refusal.REQUEST: "options",
    Refusal.PICTURE: "a picture",
    Refusal.FACE: "a real face",
    Refusal.KEY: "key not accepted",
    Refusal.CREDIT: "no credit left",
    Refusal.BUSY: "gateway too busy",
    Refusal.MODEL: "model not offered",
    Refusal.CONNECTION: "no connection",
    Refusal.OTHER: "no reason given",
}


def outcome_words(outcome: Outcome) -> str:
    """Return how jobs stand or why they ended: ``finished``, ``refused: a real face``."""
    if outcome.state is JobState.STORED:
        return FINISHED
    if outcome.state is JobState.CANCELLED:
        return CANCELLED
    if outcome.state not in FINAL_STATES or outcome.ending is None:
        return UNDER_WAY
    if outcome.refusal is None:
        return _ENDINGS[outcome.ending]
    failed = "refused" if outcome.ending is Ending.REFUSED else "failed"
    return f"{failed}: {_REFUSALS[outcome.refusal]}"


def outcomes_in_words(report: Report) -> dict[str, int]:
    """Return how many jobs stand or ended like what: the finished ones first, then the failed, each the most first."""
    counted: Counter[str] = Counter()
    for outcome in report.outcomes:
        counted[outcome_words(outcome)] += outcome.jobs
    order = {FINISHED: 0, CANCELLED: 2, UNDER_WAY: 3}
    return dict(sorted(counted.items(), key=lambda each: (order.get(each[0], 1), -each[1], each[0])))


def failed(report: Report) -> int:
    """Count the jobs that ended without a video and were not cancelled."""
    return sum(outcome.jobs for outcome in report.outcomes if outcome.state in {JobState.FAILED, JobState.LOST})


def period_words(period: Period) -> str:
    """Return ``20 November 2026``, ``1 to 20 November 2026``, ``25 October to 20 November 2026``, …"""
    first, last = period.first, period.last
    if first == last:
        return day_words(last)
    if first.year != last.year:
        return f"{day_words(first)} to {day_words(last)}"
    begin = str(first.day) if first.month == last.month else f"{first.day} {first:%B}"
    return f"{begin} to {day_words(last)}"


def day_words(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def short_day(day: date) -> str:
    return f"{day.day} {day:%b}"


def span_words(seconds: float) -> str:
    """Return ``45 s``, ``3 min 12 s`` or ``1 h 5 min``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
    if minutes:
        return f"{minutes} min {whole % 60} s" if whole % 60 else f"{minutes} min"
    return f"{whole} s"


def share_words(part: int, whole: int) -> str:
    """Return ``12 (8 %)``; less than half a percent is not rounded to nothing."""
    percent = part * 100 / whole if whole else 0
    return f"{part:,} ({'< 1' if 0 < percent < 0.5 else f'{percent:.0f}'} %)"
