"""What people and managers read when something they decide cannot be: exact, and with what to do now."""

from datetime import UTC, datetime

import pytest

from bot.domain.errors import (
    AmountProblem,
    AmountRejected,
    Blocked,
    ChangeProblem,
    ChangeRejected,
    ChannelRejected,
    QuoteChanged,
    QuoteGone,
    QuotePressed,
    RequestRejected,
    RoleRejected,
    WordRejected,
)
from bot.domain.job import JobState
from bot.domain.money import amount_from_text
from bot.presentation.replies import reply

ENDS = datetime(2026, 11, 21, tzinfo=UTC)
UNTIL = "until <t:{0}:f> (<t:{0}:R>)".format(int(ENDS.timestamp()))
DOLLARS = "Write it in dollars, such as $5 or $0.645."

REPLIES = [
    (
        Blocked(None),
        "This server's managers have blocked you from making videos here. Nothing was held.\nAsk them why.",
    ),
    (
        Blocked(ENDS),
        f"This server's managers have blocked you from making videos here {UNTIL}. Nothing was held.\nAsk them why.",
    ),
    (
        WordRejected(),
        "The prompt has something that this server forbids. Nothing was held.\n"
        "Say it in other words, or ask a manager.",
    ),
    (
        ChannelRejected((1, 2, 3)),
        "This server allows videos only in other channels. Nothing was held.\nUse <#1>, <#2> or <#3>.",
    ),
    (
        ChannelRejected(()),
        "This server allows videos only in other channels. Nothing was held.\nAsk a manager where.",
    ),
    (
        ChannelRejected(tuple(range(1, 13))),
        "This server allows videos only in other channels. Nothing was held.\n"
        "Use <#1>, <#2>, <#3>, <#4>, <#5>, <#6>, <#7>, <#8>, <#9>, <#10> and 2 more.",
    ),
    (
        RoleRejected((5,)),
        "This server allows videos only to members with certain roles. Nothing was held.\nYou need <@&5>.",
    ),
    (
        RoleRejected(()),
        "This server allows videos only to members with certain roles. Nothing was held.\nAsk a manager for one.",
    ),
    (
        QuoteGone(),
        "This offer has expired, or is somebody else's. Nothing was held.\nAsk again with `/video` for a new one.",
    ),
    (
        QuotePressed(),
        "This offer was taken already; its video is under way. Nothing more was held.\n`/video status` shows it.",
    ),
    (
        QuoteChanged(645_000, 750_000),
        "The price has changed from $0.645 to $0.75. Nothing was held.\nThis is the new offer.",
    ),
    (
        ChangeRejected(ChangeProblem.NO_GUILD),
        "This works only on a server. Nothing was changed.\nUse it in a channel of the server that you manage.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_VALUE, "8k", option="resolutions", allowed=("720p", "1080p")),
        "`resolutions` cannot be “8k”. Nothing was changed.\nPossible: 720p or 1080p.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_VALUE, "", option="gateways", allowed=("hiapi", "shortapi")),
        "`gateways` cannot be empty. Nothing was changed.\nPossible: hiapi or shortapi.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_VALUE, "-1", option="day_videos", allowed=("0 to 10,000",)),
        "`videos_day` cannot be “-1”. Nothing was changed.\nPossible: 0 to 10,000.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_VALUE, "2", option="jobs_max"),
        "A channel has no limit of jobs at once. Nothing was changed.\n"
        "Leave out `jobs_at_once`, or set it for the pool.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_VALUE, "two weeks"),
        "“two weeks” cannot be used. Nothing was changed.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_TIME, "1e9d"),
        "“1e9d” is no time ahead that can be used. Nothing was changed.\n"
        "Write 30m, 12h, 7d, 2w or a date such as 2026-12-31, at most a year ahead.",
    ),
    (
        ChangeRejected(ChangeProblem.BAD_PATTERN, r"(a)\1"),
        "“\\(a\\)\\\\1” is no pattern that can be used. Nothing was changed.\n"
        "Close every bracket; look-around such as `(?=a)`, back-references such as `\\1` and very large counts do not "
        "work (RE2 syntax).",
    ),
    (
        ChangeRejected(ChangeProblem.PATTERN_FITS_ALL, "a*"),
        "“a\\*” fits every prompt, even an empty one. Nothing was changed.\n"
        "Let it need at least one character: `+` instead of `*`.",
    ),
    (
        ChangeRejected(ChangeProblem.TOO_MANY_WORDS, "200 words"),
        "The blocklist is full: 200 words. Nothing was changed.\n"
        "Remove one first, or join several in a pattern such as `cats?|dogs?`.",
    ),
    (
        ChangeRejected(ChangeProblem.MORE_THAN_CHARGED, "$0.645"),
        "Only $0.645 was charged. Nothing was changed.\nRefund at most that.",
    ),
    (
        ChangeRejected(ChangeProblem.NOT_IN_LINE, JobState.RUNNING.value),
        "A gateway has this job already; it cannot be stopped. Nothing was changed.\n"
        "It is charged only if the video arrives.",
    ),
    (
        ChangeRejected(ChangeProblem.NOT_IN_LINE, JobState.UNCONFIRMED.value),
        "No gateway has confirmed this job, so it may be under way. Nothing was changed.\n"
        "Its hold stays until that is known; the operator can close it as lost.",
    ),
    (
        ChangeRejected(ChangeProblem.NOT_IN_LINE, JobState.STORED.value),
        "This job has ended; nothing of it is on hold. Nothing was changed.",
    ),
    (
        ChangeRejected(ChangeProblem.CARD_TOO_OLD),
        "This card is older than 15 minutes. Nothing was changed.\nOpen it again with its command.",
    ),
]


@pytest.mark.parametrize(("error", "words"), REPLIES, ids=lambda value: type(value).__name__)
def test_a_refusal_says_exactly(error: RequestRejected, words: str) -> None:
    assert reply(error) == words


@pytest.mark.parametrize(
    ("typed", "wrong", "now"),
    [
        ("$1,50", "“$1,50” has a comma.", "Write $1.50."),
        ("1,5", "“1,5” has a comma.", "Write $1.5."),
        ("1,000", "“1,000” has a comma.", "Write $1000."),
        ("$1,000,000.50", "“$1,000,000.50” has a comma.", "Write $1000000.50."),
        ("1,2,3", "“1,2,3” has a comma.", "Write it with a point, such as $1.50."),
        ("five", "“five” is no amount of money.", DOLLARS),
        ("1e5", "“1e5” is no amount of money.", DOLLARS),
        ("", "“” is no amount of money.", DOLLARS),
        ("<@1> **x**", "“\\<@\u200b1\\> \\*\\*x\\*\\*” is no amount of money.", DOLLARS),
        ("-1", "“-1” is below zero.", "Write an amount such as $5 or $0.645."),
        ("0", "“0” is nothing.", "Write an amount above $0.00."),
        ("0.0000001", "“0.0000001” is finer than a millionth of a dollar.", "Write at most six decimals."),
        ("1000000.01", "“1000000.01” is above $1,000,000.00, the most there can be.", ""),
    ],
)
def test_an_amount_that_cannot_be_is_refused_with_what_to_write(typed: str, wrong: str, now: str) -> None:
    with pytest.raises(AmountRejected) as refused:
        amount_from_text(typed)

    assert reply(refused.value) == f"{wrong} Nothing was changed.\n{now}".rstrip()


def test_an_amount_of_many_decimals_is_read_exactly() -> None:
    assert amount_from_text("1.005") == 1_005_000


ALL = [
    *(AmountRejected("x" * 500, problem) for problem in AmountProblem),
    *(ChangeRejected(problem, "y" * 500) for problem in ChangeProblem),
    *(ChangeRejected(ChangeProblem.NOT_IN_LINE, state.value) for state in JobState),
]


@pytest.mark.parametrize("error", [*ALL, *(error for error, _ in REPLIES)], ids=lambda error: type(error).__name__)
def test_a_refusal_is_short_and_says_what_is_true(error: RequestRejected) -> None:
    words = reply(error)

    assert len(words.split("\n")) <= 3
    assert len(words) <= 700
    assert any(said in words for said in ("Nothing was changed.", "Nothing was held.", "Nothing more was held."))
    assert "!" not in words
