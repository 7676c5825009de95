"""Turns the refusals about what guilds and people decide into words: what is wrong, what is true, what to do now."""

import re
from collections.abc import Mapping
from typing import Final

from bot.domain.errors import (
    AmountProblem,
    AmountRejected,
    Blocked,
    ChangeProblem,
    ChangeRejected,
    ChannelRejected,
    NoSuchChoice,
    QuoteChanged,
    QuoteGone,
    QuotePressed,
    RoleRejected,
    WordRejected,
)
from bot.domain.job import JobState
from bot.domain.money import AMOUNT_MAX_MICROUSD, show_usd
from bot.presentation.markdown import excerpt, harmless
from bot.presentation.report_text import period_reply
from bot.presentation.words import listed, until

# What the options of `/video-admin quota set` are called, by the field of the rule that they set.
OPTION_NAMES: Final[Mapping[str, str]] = {
    "day_microusd": "day",
    "week_microusd": "week",
    "month_microusd": "month",
    "day_videos": "videos_day",
    "week_videos": "videos_week",
    "month_videos": "videos_month",
    "jobs_max": "jobs_at_once",
    "duration_max_s": "longest",
}
_MENTIONED_MAX = 10
_DECIMAL_COMMA = re.compile(r"([0-9]+),([0-9]{1,2})")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")


def amount(error: AmountRejected) -> str:
    typed = _quoted(error.text)
    match error.problem:
        case AmountProblem.COMMA:
            return _unchanged(f"{typed} has a comma.", f"Write {_without_comma(error.text)}.")
        case AmountProblem.NOT_A_NUMBER:
            return _unchanged(f"{typed} is no amount of money.", "Write it in dollars, such as $5 or $0.645.")
        case AmountProblem.NEGATIVE:
            return _unchanged(f"{typed} is below zero.", "Write an amount such as $5 or $0.645.")
        case AmountProblem.ZERO:
            return _unchanged(f"{typed} is nothing.", "Write an amount above $0.00.")
        case AmountProblem.TOO_FINE:
            return _unchanged(f"{typed} is finer than a millionth of a dollar.", "Write at most six decimals.")
        case AmountProblem.TOO_LARGE:
            return _unchanged(f"{typed} is above {show_usd(AMOUNT_MAX_MICROUSD)}, the most there can be.")


def _without_comma(typed: str) -> str:
    """Return what was probably meant: $1,50 is $1.50, and 1,000 is $1000."""
    plain = typed.strip().removeprefix("$").strip()
    if match := _DECIMAL_COMMA.fullmatch(plain):
        return f"${match[1]}.{match[2]}"
    if _THOUSANDS.fullmatch(plain):
        return f"${plain.replace(',', '')}"
    return "it with a point, such as $1.50"


# The words for what needs none of its own; {detail} is what was typed, or what counts.
_CHANGES: Final[Mapping[ChangeProblem, tuple[str, str]]] = {
    ChangeProblem.NO_GUILD: ("This works only on a server.", "Use it in a channel of the server that you manage."),
    ChangeProblem.NO_JOB: ("This server has no such job.", "`/video-admin jobs` lists the newest."),
    ChangeProblem.NOT_CHARGED: ("Nothing was charged for this job.", "Only what was charged can be refunded."),
    ChangeProblem.REFUNDED_ALREADY: ("{detail} of this job was refunded already.", "A job is refunded once."),
    ChangeProblem.MORE_THAN_CHARGED: ("Only {detail} was charged.", "Refund at most that."),
    ChangeProblem.NO_VIDEO: ("No video of this job is kept, so there is nothing to post.", ""),
    ChangeProblem.NO_RULE: ("There is no such rule.", "`/video-admin quota show` lists the rules."),
    ChangeProblem.NOTHING_SAID: ("No limit was given.", "Fill in at least one of the limits, such as `day`."),
    ChangeProblem.NO_SUCH_TIME_ZONE: (
        "There is no time zone {typed}.",
        "Name one such as Europe/Berlin; `/video-admin time-zone` lists them.",
    ),
    ChangeProblem.NO_SUCH_GRANT: (
        "There is no such grant, or it has ended.",
        "`/video-admin grants` lists the open ones.",
    ),
    ChangeProblem.NOT_BLOCKED: ("This member is not blocked.", "`/video-admin blocks` lists who is."),
    ChangeProblem.NO_SUCH_WORD: ("{typed} is not on the blocklist.", "`/video-admin words show` lists it."),
    ChangeProblem.WORD_THERE_ALREADY: ("{typed} is on the blocklist already.", ""),
    ChangeProblem.BAD_PATTERN: (
        "{typed} is no pattern that can be used.",
        "Close every bracket; look-around such as `(?=a)`, back-references such as `\\1` and very large counts do not "
        "work (RE2 syntax).",
    ),
    ChangeProblem.PATTERN_FITS_ALL: (
        "{typed} fits every prompt, even an empty one.",
        "Let it need at least one character: `+` instead of `*`.",
    ),
    ChangeProblem.TOO_MANY_WORDS: (
        "The blocklist is full: {detail}.",
        "Remove one first, or join several in a pattern such as `cats?|dogs?`.",
    ),
    ChangeProblem.BAD_TIME: (
        "{typed} is no time ahead that can be used.",
        "Write 30m, 12h, 7d, 2w or a date such as 2026-12-31, at most a year ahead.",
    ),
    ChangeProblem.TWO_SUBJECTS: (
        "One rule is for one of them.",
        "Fill in `who`, `channel` or `pool`, or none of them for everyone.",
    ),
    ChangeProblem.NOT_HERE: (
        "{typed} is not known as a channel or role of this server.",
        "Choose another one; right after the bot's start, try again in a minute.",
    ),
    ChangeProblem.CARD_TOO_OLD: ("This card is older than 15 minutes.", "Open it again with its command."),
}


def change(error: ChangeRejected) -> str:
    match error.problem:
        case ChangeProblem.BAD_VALUE:
            return _bad_value(error)
        case ChangeProblem.NOT_IN_LINE:
            return _not_in_line(error.detail)
        case _:
            wrong, now = _CHANGES[error.problem]
            return _unchanged(wrong.format(typed=_quoted(error.detail), detail=error.detail), now)


def _bad_value(error: ChangeRejected) -> str:
    name = OPTION_NAMES.get(error.option, error.option)
    if error.option == "jobs_max" and not error.allowed:
        return _unchanged("A channel has no limit of jobs at once.", f"Leave out `{name}`, or set it for the pool.")
    possible = f"Possible: {listed(list(error.allowed), last='or')}." if error.allowed else ""
    if not name:
        return _unchanged(f"{_quoted(error.detail)} cannot be used.", possible)
    return _unchanged(f"`{name}` cannot be {_quoted(error.detail) if error.detail else 'empty'}.", possible)


def _not_in_line(state: str) -> str:
    match state:
        case JobState.UNCONFIRMED:
            wrong = "No gateway has confirmed this job, so it may be under way."
            now = "Its hold stays until that is known; the operator can close it as lost."
        case JobState.SUBMITTING | JobState.RUNNING | JobState.FINISHED:
            wrong = "A gateway has this job already; it cannot be stopped."
            now = "It is charged only if the video arrives."
        case JobState.HELD:
            wrong, now = "This job was just being submitted, and is in line again.", "Try again."
        case _:
            wrong, now = "This job has ended; nothing of it is on hold.", ""
    return _unchanged(wrong, now)


def blocked(error: Blocked) -> str:
    end = f" {until(error.until)}" if error.until is not None else ""
    return _not_held(f"This server's managers have blocked you from making videos here{end}.", "Ask them why.")


def word(_: WordRejected) -> str:
    return _not_held("The prompt has something that this server forbids.", "Say it in other words, or ask a manager.")


def channel(error: ChannelRejected) -> str:
    return _not_held("This server allows videos only in other channels.", _go_to(error.allowed, "#"))


def role(error: RoleRejected) -> str:
    wrong = "This server allows videos only to members with certain roles."
    allowed = _mentions(error.allowed, "@&")
    return _not_held(wrong, f"You need {allowed}." if allowed else "Ask a manager for one.")


def _go_to(channel_ids: tuple[int, ...], sign: str) -> str:
    allowed = _mentions(channel_ids, sign)
    return f"Use {allowed}." if allowed else "Ask a manager where."


def _mentions(ids: tuple[int, ...], sign: str) -> str:
    if not ids:
        return ""
    names = [f"<{sign}{each}>" for each in ids[:_MENTIONED_MAX]]
    if len(ids) > _MENTIONED_MAX:
        names.append(f"{len(ids) - _MENTIONED_MAX} more")
        return listed(names)
    return listed(names, last="or")


def quote_gone(_: QuoteGone) -> str:
    return _not_held("This offer has expired, or is somebody else's.", "Ask again with `/video` for a new one.")


def no_such_choice(_: NoSuchChoice) -> str:
    return _not_held("This offer has no such choice.", "Press one of its buttons.")


def quote_pressed(_: QuotePressed) -> str:
    return "This offer was taken already; its video is under way. Nothing more was held.\n`/video status` shows it."


def quote_changed(error: QuoteChanged) -> str:
    prices = f"from {show_usd(error.quoted_microusd)} to {show_usd(error.price_microusd)}"
    return _not_held(f"The price has changed {prices}.", "This is the new offer.")


REFUSALS: Final = (
    amount, change, blocked, word, channel, role, quote_gone, no_such_choice, quote_pressed, quote_changed,
    period_reply,
)  # fmt: skip


def _unchanged(wrong: str, now: str = "") -> str:
    return f"{wrong} Nothing was changed.\n{now}".rstrip()


def _not_held(wrong: str, now: str = "") -> str:
    return f"{wrong} Nothing was held.\n{now}".rstrip()


def _quoted(typed: str) -> str:
    return harmless(f"“{excerpt(typed, lines_max=1, characters_max=60)}”")
