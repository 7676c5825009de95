"""What people read of their quota: the card, the refusal, the line when much is used. Every text is compared whole."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.errors import QuotaExceeded
from bot.domain.guild import Grant, PersonSettings
from bot.domain.personal import WhereIStand
from bot.domain.quota import LimitKind, Measure, Standing
from bot.domain.rules import Rule, Scope
from bot.domain.store import Holds
from bot.domain.video_service import Opened
from bot.domain.windows import Window, ends_at
from bot.presentation.layout import Layout
from bot.presentation.limit_words import left_words
from bot.presentation.own_limits import Form, ask_set_text, limits_set_text, own_form
from bot.presentation.private_answers import opened_text
from bot.presentation.quota import bar, crossing_text, quota_card
from bot.presentation.replies import limit_reply, reply
from tests.presentation.views import view

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OWN = PersonSettings(11)
NO_HOLDS = Holds(0, 0)
CREATORS, MINE, EVERYONE = Rule(Scope.ROLE, 71), Rule(Scope.MEMBER, 11), Rule(Scope.EVERYONE)
CHANNEL, POOL = Rule(Scope.CHANNEL, 31), Rule(Scope.POOL)
AGAIN = {window: f"<t:{int(ends_at(NOW, window).timestamp())}:R>" for window in Window}
ENDS = {window: f"<t:{int(ends_at(NOW, window).timestamp())}:f> ({AGAIN[window]})" for window in Window}
DAY, WEEK, MONTH = Window


def standing(kind: LimitKind, window: Window, limit: int | None, used: int = 0, **more: object) -> Standing:
    return Standing(kind, window, limit, used, ends_at(NOW, window), **more)  # type: ignore[arg-type]


def videos(kind: LimitKind, window: Window, limit: int, used: int, **more: object) -> Standing:
    return standing(kind, window, limit, used, measure=Measure.VIDEOS, **more)


def ceilings(used: int = 0, on_hold: int = 0) -> tuple[Standing, ...]:
    return (
        standing(LimitKind.USER, DAY, 5_000_000, used, on_hold=on_hold),
        standing(LimitKind.USER, MONTH, 50_000_000, used, on_hold=on_hold),
        standing(LimitKind.GUILD, MONTH, 100_000_000, 31_200_000, on_hold=2_580_000),
    )


def stand(*standings: Standing, **more: object) -> WhereIStand:
    return WhereIStand(**{"guild_id": 21, "standings": standings, "own": OWN, "holds": NO_HOLDS, **more})  # type: ignore[arg-type]


def said(layout: Layout) -> list[str]:
    return [item.content for item in layout.walk_children() if hasattr(item, "content")]


def grant(number: int, amount: int = 3_000_000, used: int = 0, reason: str = "the trailer") -> Grant:
    return Grant(number, 21, 11, amount, used, NOW + timedelta(days=number), reason, 99, NOW)


def test_with_the_operators_ceilings_alone_the_card_has_one_bar_for_each() -> None:
    card = quota_card(stand(*ceilings(used=1_290_000, on_hold=645_000), holds=Holds(1, 645_000)))

    assert said(card) == [
        f"**Your quota**\nYou have $3.71 left until {ENDS[DAY]}.\n$0.645 of yours is on hold, for 1 job under way.",
        "**The operator's limit for each person, over all servers**\n"
        "Today: **$3.71 of $5.00 left** ← tightest\n"
        f"`█▒▒░░░░░░░` $0.645 charged, $0.645 on hold · starts again {AGAIN[DAY]}\n"
        "This month: **$48.71 of $50.00 left**\n"
        f"`▒░░░░░░░░░` $0.645 charged, $0.645 on hold · starts again {AGAIN[MONTH]}",
        "**The operator's limit for this server**\n"
        "This month: **$68.80 of $100.00 left**\n"
        f"`███▒░░░░░░` $28.62 charged, $2.58 on hold · starts again {AGAIN[MONTH]}",
        "-# █ charged · ▒ on hold · ░ left",
    ]


@pytest.mark.parametrize(("guild_id", "here"), [(21, " here"), (None, "")])
def test_without_any_limit_the_card_says_only_that(guild_id: int | None, here: str) -> None:
    unlimited = (replace(each, limit=None) for each in ceilings(used=5))

    assert said(quota_card(stand(*unlimited, guild_id=guild_id))) == [
        f"**Your quota**\nNothing limits what you spend{here}."
    ]


def test_unlimited_windows_share_one_short_line_and_only_where_nothing_else_limits_them() -> None:
    unlimited = (
        standing(LimitKind.MEMBER, DAY, None, rule=EVERYONE),
        standing(LimitKind.MEMBER, WEEK, None, rule=EVERYONE),
        standing(LimitKind.USER, MONTH, None),
        standing(LimitKind.GUILD, MONTH, None),
    )

    texts = said(quota_card(stand(*unlimited, standing(LimitKind.USER, DAY, 5_000_000))))

    assert texts[-1] == "No limit: this week, this month, this server this month."
    assert texts[1] == (
        "**The operator's limit for each person, over all servers**\n"
        f"Today: **$5.00 of $5.00 left**\n`░░░░░░░░░░` nothing used yet · starts again {AGAIN[DAY]}"
    )


def everything(grants: int = 5) -> WhereIStand:
    """Every limit there can be: the longest card."""
    rules = {LimitKind.MEMBER: CREATORS, LimitKind.CHANNEL: CHANNEL, LimitKind.POOL: POOL}
    decided = []
    for kind, rule in rules.items():
        left = 9_000_000 if kind is LimitKind.MEMBER else 0
        more = {"rule": rule, "grants_left_microusd": left}
        amounts = zip(Window, (2_000_000, 10_000_000, 30_000_000), strict=True)
        decided += [standing(kind, each, limit, 1_290_000, on_hold=645_000, **more) for each, limit in amounts]
        decided += [videos(kind, each, limit, 2, **more) for each, limit in zip(Window, (3, 9, 30), strict=True)]
    own = zip(Window, (1_500_000, 8_000_000, 20_000_000), strict=True)
    decided += [standing(LimitKind.OWN, window, limit, 1_290_000, on_hold=645_000) for window, limit in own]
    also = replace(
        CREATORS,
        jobs_max=2,
        duration_max_s=10,
        resolutions=frozenset({"720p"}),
        gateways=frozenset({"shortapi", "hiapi"}),
        ratios=frozenset({"16:9", "1:1"}),
    )
    return stand(
        *decided,
        *ceilings(used=1_290_000, on_hold=645_000),
        own=replace(OWN, confirm_above_microusd=1_000_000),
        holds=Holds(1, 645_000),
        rules=(also, replace(POOL, jobs_max=10)),
        grants=tuple(
            grant(number, reason="a trailer for the *summer* festival " * 5) for number in range(1, grants + 1)
        ),
        confirm_here_microusd=2_000_000,
    )


def group(heading: str, *limits: str) -> str:
    return "\n".join((f"**{heading}**", *limits))


def both(window: Window, words: str, drawn: str, mark: str = "") -> str:
    name = {DAY: "Today", WEEK: "This week", MONTH: "This month"}[window]
    return f"{name}: **{words} left**{mark}\n`{drawn}` $0.645 charged, $0.645 on hold · starts again {AGAIN[window]}"


def made(window: Window, words: str, drawn: str) -> str:
    name = {DAY: "Today", WEEK: "This week", MONTH: "This month"}[window]
    return f"{name}: **{words} videos left**\n`{drawn}` 2 made · starts again {AGAIN[window]}"


RULE_LIMITS = (
    both(DAY, "$0.71 of $2.00", "███▒▒▒▒░░░"),
    both(WEEK, "$8.71 of $10.00", "█▒░░░░░░░░"),
    both(MONTH, "$28.71 of $30.00", "▒░░░░░░░░░"),
    made(DAY, "1 of 3", "███████░░░"),
    made(WEEK, "7 of 9", "███░░░░░░░"),
    made(MONTH, "28 of 30", "█░░░░░░░░░"),
)
REASON = "a trailer for the \\*summer\\* festival a trailer for the \\*summer\\* festival a …"
EVERYTHING = [
    f"**Your quota**\nYour own limit of $1.50 a day leaves $0.21 until {ENDS[DAY]}.\n"
    "$0.645 of yours is on hold, for 1 job under way.",
    group(
        "Your own limit, over all servers",
        both(DAY, "$0.21 of $1.50", "████▒▒▒▒▒░", " ← tightest"),
        both(WEEK, "$6.71 of $8.00", "█▒░░░░░░░░"),
        both(MONTH, "$18.71 of $20.00", "▒░░░░░░░░░"),
    ),
    group("Server rule for <@&71>", *RULE_LIMITS),
    group("This channel's rule", *RULE_LIMITS),
    group("This server's pool", *RULE_LIMITS),
    group(
        "The operator's limit for each person, over all servers",
        both(DAY, "$3.71 of $5.00", "█▒▒░░░░░░░"),
        both(MONTH, "$48.71 of $50.00", "▒░░░░░░░░░"),
    ),
    "**The operator's limit for this server**\nThis month: **$68.80 of $100.00 left**\n"
    f"`███▒░░░░░░` $28.62 charged, $2.58 on hold · starts again {AGAIN[MONTH]}",
    "-# █ charged · ▒ on hold · ░ left",
    "\n".join(
        (
            "**Granted to you here**, used where a server rule leaves you too little",
            *(f"$3.00 of $3.00 left until {{{number}}}: {REASON}" for number in (1, 2, 3)),
            "-# And 2 more grants.",
            "Rules for videos here: 2 jobs of yours at once · 10 jobs on this server at once · at most 10 s · 720p · "
            "16:9 or 1:1 · hiapi or shortapi",
            "You are asked before a video of more than $1.00 (your own wish).",
        )
    ),
]


def test_everything_set_is_shown_whole_and_fits_one_message() -> None:
    card = quota_card(everything(), note="Your own limits are now $1.50 a day, $8.00 a week and $20.00 a month.")

    texts = said(card)
    texts[0] = texts[0].removeprefix("Your own limits are now $1.50 a day, $8.00 a week and $20.00 a month.\n")
    for number in (1, 2, 3):
        at = int((NOW + timedelta(days=number)).timestamp())
        texts[-1] = texts[-1].replace(f"<t:{at}:f> (<t:{at}:R>)", f"{{{number}}}")
    assert texts == EVERYTHING
    assert sum(map(len, said(card))) <= 4_000
    assert card.total_children_count <= 40


def test_a_card_that_would_be_too_long_says_that_limits_are_left_out() -> None:
    long = everything()
    huge = tuple(replace(each, limit=999_999_999_999, committed=123_456_789_012) for each in long.standings)

    card = quota_card(replace(long, standings=huge), note="x" * 500)

    assert sum(map(len, said(card))) <= 4_000
    assert "-# █ charged · ▒ on hold · ░ left\n-# There are more limits than fit here." in said(card)


def test_the_whole_bots_standing_never_shows_a_number() -> None:
    bot = standing(LimitKind.BOT, MONTH, 200_000_000, 123_456_789)

    words = reply(QuotaExceeded(645_000, replace(bot, committed=199_999_999)))

    assert words == (
        f"This would take $0.645, more than the whole bot has left until {ENDS[MONTH]}. Nothing was held.\n"
        "A shorter video or 720p costs less, `gateway:animatic` nothing."
    )


def test_a_limit_of_nothing_is_said_without_a_bar() -> None:
    card = quota_card(stand(standing(LimitKind.MEMBER, WEEK, 0, rule=EVERYONE), *ceilings()))

    assert said(card)[:2] == [
        "**Your quota**\nPaid videos are not open to you here.",
        "**Rule for everyone**\nThis week: **no paid videos** ← tightest",
    ]


def test_what_grants_pay_is_shown_apart_and_left_first() -> None:
    beyond = standing(
        LimitKind.MEMBER, DAY, 1_000_000, 3_000_000, granted=2_000_000, grants_left_microusd=1_500_000, rule=MINE
    )
    card = quota_card(stand(beyond, *ceilings(), grants=(grant(1, 3_500_000, 2_000_000, reason=""),)))

    at = int((NOW + timedelta(days=1)).timestamp())
    assert said(card)[:2] == [
        f"**Your quota**\nYou have $1.50 left until {ENDS[DAY]}, $1.50 of it granted to you.",
        "**Server rule for you**\nToday: **$0.00 of $1.00 left** ← tightest\n"
        f"`██████████` $3.00 charged, $2.00 of it granted · starts again {AGAIN[DAY]}",
    ]
    assert said(card)[-1] == (
        "**Granted to you here**, used where a server rule leaves you too little\n"
        f"$1.50 of $3.50 left until <t:{at}:f> (<t:{at}:R>)"
    )


def test_rules_without_a_common_value_are_named() -> None:
    rules = (replace(EVERYONE, resolutions=frozenset({"720p"})), replace(POOL, resolutions=frozenset({"1080p"})))

    assert said(quota_card(stand(*ceilings(), rules=rules)))[-1] == (
        "Rules for videos here: no resolution, because the rules contradict"
    )


@pytest.mark.parametrize(
    ("own", "here", "words"),
    [
        (None, 2_000_000, "You are asked before a video of more than $2.00 (this server's setting)."),
        (3_000_000, 2_000_000, "You are asked before a video of more than $2.00 (this server's setting)."),
        (0, 2_000_000, "You are asked before every paid video (your own wish)."),
    ],
)
def test_the_lower_of_two_thresholds_is_the_one_that_counts(own: int | None, here: int, words: str) -> None:
    settings = replace(OWN, confirm_above_microusd=own)

    assert said(quota_card(stand(*ceilings(), own=settings, confirm_here_microusd=here)))[-1] == words


@pytest.mark.parametrize(
    ("limit", "used", "on_hold", "drawn"),
    [
        (100, 0, 0, "`░░░░░░░░░░`"),
        (100, 1, 0, "`█░░░░░░░░░`"),
        (100, 1, 1, "`▒░░░░░░░░░`"),
        (100, 50, 20, "`███▒▒░░░░░`"),
        (100, 51, 1, "`█████▒░░░░`"),
        (100, 99, 0, "`█████████░`"),
        (100, 100, 5, "`█████████▒`"),
        (100, 250, 0, "`██████████`"),
        (100, 100, 100, "`▒▒▒▒▒▒▒▒▒▒`"),
        (3, 2, 0, "`███████░░░`"),
        (0, 0, 0, ""),
        (None, 7, 0, ""),
    ],
)
def test_a_bar_shows_what_is_used_at_all_and_is_full_only_when_nothing_is_left(
    limit: int | None, used: int, on_hold: int, drawn: str
) -> None:
    assert bar(standing(LimitKind.USER, DAY, limit, used, on_hold=on_hold)) == drawn


@pytest.mark.parametrize(
    ("used", "on_hold", "granted", "drawn"),
    [
        (4_725_000, 2_790_000, 2_725_000, "`█████████▒`"),
        (4_725_000, 0, 2_725_000, "`██████████`"),
        (2_500_000, 2_500_000, 500_000, "`▒▒▒▒▒▒▒▒▒▒`"),
        (4_000_000, 2_000_000, 0, "`█████▒▒▒▒▒`"),
    ],
)
def test_a_bar_shows_charged_what_is_charged_though_grants_pay_or_the_limit_was_lowered(
    used: int, on_hold: int, granted: int, drawn: str
) -> None:
    assert bar(standing(LimitKind.MEMBER, DAY, 2_000_000, used, on_hold=on_hold, granted=granted)) == drawn


CHEAPER = "A shorter video or 720p costs less, `gateway:animatic` nothing"
FREE = "`gateway:animatic` makes a free preview"
SHOWS = "`/video quota` shows your limits"
REFUSALS = [
    (
        standing(LimitKind.MEMBER, WEEK, 10_000_000, 8_600_000, rule=CREATORS),
        f"This would take $2.29; you have $1.40 left until {ENDS[WEEK]} (server rule for <@&71>). Nothing was held.\n"
        f"$0.89 is missing. {CHEAPER}; {SHOWS}.",
    ),
    (
        standing(LimitKind.MEMBER, DAY, 1_000_000, 0, rule=MINE, grants_left_microusd=500_000),
        f"This would take $2.29; you have $1.50 left until {ENDS[DAY]} (server rule for you). Nothing was held.\n"
        f"$0.79 is missing. {CHEAPER}; {SHOWS}.",
    ),
    (
        standing(LimitKind.OWN, DAY, 5_000_000, 4_000_000),
        f"This would take $2.29; your own limit of $5.00 a day leaves $1.00 until {ENDS[DAY]}. Nothing was held.\n"
        f"$1.29 is missing. {CHEAPER}; `/video quota` changes your limits.",
    ),
    (
        standing(LimitKind.CHANNEL, MONTH, 20_000_000, 19_000_000, rule=CHANNEL),
        f"This would take $2.29; this channel has $1.00 left until {ENDS[MONTH]}. Nothing was held.\n"
        f"$1.29 is missing. {CHEAPER}; {SHOWS}.",
    ),
    (
        standing(LimitKind.POOL, MONTH, 20_000_000, 20_000_000, rule=POOL),
        f"This would take $2.29; this server has $0.00 left until {ENDS[MONTH]} (this server's pool). "
        f"Nothing was held.\n$2.29 is missing. {FREE}; {SHOWS}.",
    ),
    (
        videos(LimitKind.MEMBER, WEEK, 3, 3, rule=EVERYONE),
        f"You have made 3 of 3 videos this week (rule for everyone); it starts again {ENDS[WEEK]}. Nothing was held.\n"
        f"{FREE}; {SHOWS}.",
    ),
    (
        videos(LimitKind.MEMBER, DAY, 1, 3, granted=2, rule=MINE, grants_left_microusd=400_000),
        f"You have made 1 of 1 video today (server rule for you); it starts again {ENDS[DAY]}. Nothing was held.\n"
        f"Of $2.29, $0.40 is granted to you; $1.89 is missing. {FREE}; {SHOWS}.",
    ),
    (
        videos(LimitKind.CHANNEL, DAY, 10, 12, rule=CHANNEL),
        f"This channel has made 12 of 10 videos today; it starts again {ENDS[DAY]}. Nothing was held.\n"
        f"{FREE}; {SHOWS}.",
    ),
    (
        videos(LimitKind.POOL, MONTH, 1_000, 1_000, rule=POOL),
        f"This server has made 1,000 of 1,000 videos this month (this server's pool); it starts again {ENDS[MONTH]}. "
        f"Nothing was held.\n{FREE}; {SHOWS}.",
    ),
    (
        standing(LimitKind.MEMBER, DAY, 0, rule=CREATORS),
        f"Paid videos are not open to you here (server rule for <@&71>). Nothing was held.\n{FREE}; {SHOWS}.",
    ),
    (
        videos(LimitKind.CHANNEL, DAY, 0, 0, rule=CHANNEL),
        f"Paid videos are not open in this channel. Nothing was held.\n{FREE}; {SHOWS}.",
    ),
    (
        standing(LimitKind.GUILD, MONTH, 0),
        f"Paid videos are not open on this server (the operator's limit). Nothing was held.\n{FREE}; {SHOWS}.",
    ),
    (
        standing(LimitKind.OWN, WEEK, 0),
        "Your own limit of $0.00 a week allows no paid videos. Nothing was held.\n"
        f"{FREE}; `/video quota` changes your limits.",
    ),
]


@pytest.mark.parametrize(("against", "words"), REFUSALS)
def test_a_refusal_names_the_rule_what_is_missing_and_when_it_frees_up(against: Standing, words: str) -> None:
    assert reply(QuotaExceeded(2_290_000, against)) == words
    assert len(words.split("\n")) <= 3


def test_a_refusal_names_nothing_cheaper_where_nothing_paid_would_pass() -> None:
    against = standing(LimitKind.MEMBER, DAY, 1_000_000, 900_000, rule=EVERYONE)

    assert limit_reply(QuotaExceeded(387_000, against), is_cheaper_left=False) == (
        f"This would take $0.387; you have $0.10 left until {ENDS[DAY]} (rule for everyone). Nothing was held.\n"
        f"$0.287 is missing. {FREE}; {SHOWS}."
    )


@pytest.mark.parametrize(
    ("crossed", "percent", "words"),
    [
        (
            standing(LimitKind.MEMBER, WEEK, 10_000_000, 7_500_000, rule=EVERYONE),
            75,
            f"You have used 75 % of $10.00 this week (rule for everyone); it starts again {AGAIN[WEEK]}.",
        ),
        (
            standing(LimitKind.OWN, DAY, 5_000_000, 5_000_000),
            90,
            f"You have used 100 % of $5.00 today (your own limit); it starts again {AGAIN[DAY]}.",
        ),
        (
            videos(LimitKind.MEMBER, MONTH, 4, 2, rule=CREATORS),
            50,
            f"You have used 50 % of 4 videos this month (server rule for <@&71>); it starts again {AGAIN[MONTH]}.",
        ),
        (
            standing(LimitKind.USER, DAY, 5_000_000, 2_600_000),
            50,
            f"You have used 52 % of $5.00 today (the operator's limit); it starts again {AGAIN[DAY]}.",
        ),
    ],
)
def test_a_crossing_is_one_line_with_what_is_really_used(crossed: Standing, percent: int, words: str) -> None:
    assert crossing_text(crossed, percent) == words


@pytest.mark.parametrize("more", [0, 2])
def test_an_accepted_job_tells_every_limit_it_brings_near_its_end_the_fullest_first(more: int) -> None:
    crossed = [
        (videos(LimitKind.MEMBER, WEEK, 8, 4, rule=EVERYONE), 50),
        (standing(LimitKind.MEMBER, DAY, 4_000_000, 3_870_000, rule=EVERYONE), 90),
        (standing(LimitKind.OWN, MONTH, 4_000_000, 3_100_000), 75),
    ]
    crossed += [(standing(LimitKind.USER, DAY, 5_000_000, 2_600_000), 50)] * more

    lines = opened_text(Opened(view(), standings=(), crossings=tuple(crossed)), None).split("\n")

    told = [line for line in lines if "used" in line]
    assert told[:3] == [
        f"You have used 96 % of $4.00 today (rule for everyone); it starts again {AGAIN[DAY]}.",
        f"You have used 77 % of $4.00 this month (your own limit); it starts again {AGAIN[MONTH]}.",
        f"You have used 50 % of 8 videos this week (rule for everyone); it starts again {AGAIN[WEEK]}.",
    ]
    assert told[3:] == (["More limits are half used or more: `/video quota` shows them."] if more else [])


@pytest.mark.parametrize(
    ("least", "words"),
    [
        (ceilings()[0], f"you have $5.00 left until {ENDS[DAY]}"),
        (ceilings()[2], f"this server has $68.80 left until {ENDS[MONTH]}"),
        (standing(LimitKind.CHANNEL, WEEK, 2_000_000), f"this channel has $2.00 left until {ENDS[WEEK]}"),
        (videos(LimitKind.MEMBER, DAY, 3, 3, rule=EVERYONE), "you have made 3 of 3 videos today"),
    ],
)
def test_what_is_left_names_whose_it_is(least: Standing, words: str) -> None:
    assert left_words(least) == words


def test_the_forms_show_what_is_set_now() -> None:
    settings = PersonSettings(11, confirm_above_microusd=0, day_microusd=1_234_500_000, month_microusd=645_000)

    limits, ask = (own_form(form, settings) for form in Form)

    assert [field.component.default for field in limits.children] == ["1234.50", None, "0.645"]  # type: ignore[attr-defined]
    assert [field.component.default for field in ask.children] == ["0.00"]  # type: ignore[attr-defined]
    assert not any(field.component.required for field in (*limits.children, *ask.children))  # type: ignore[attr-defined]


def test_own_limits_are_said_back_with_those_that_change_nothing() -> None:
    own = PersonSettings(11, day_microusd=5_000_000, week_microusd=3_000_000)
    standings = (
        standing(LimitKind.MEMBER, DAY, 2_000_000, rule=CREATORS),
        standing(LimitKind.OWN, DAY, 5_000_000),
        standing(LimitKind.OWN, WEEK, 3_000_000),
        *ceilings(),
    )

    assert limits_set_text(stand(*standings, own=own)) == (
        "Your own limits are now $5.00 a day and $3.00 a week.\n"
        "$5.00 a day has no effect now; what counts is $2.00 a day (server rule for <@&71>)."
    )


def test_cleared_limits_and_thresholds_are_said() -> None:
    assert limits_set_text(stand(*ceilings())) == "You have no limits of your own now."
    assert ask_set_text(stand(*ceilings())) == "You are asked only where a server wants it now."


@pytest.mark.parametrize(
    ("above", "words"),
    [
        (0, "You are asked before every paid video now."),
        (1_500_000, "You are asked before a video of more than $1.50 now."),
    ],
)
def test_a_threshold_is_said_back(above: int, words: str) -> None:
    assert ask_set_text(stand(own=replace(OWN, confirm_above_microusd=above))) == words
