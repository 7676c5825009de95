"""The managers' lists: within Discord's limits with everything set, and harmless whatever people typed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.domain.clashes import Ceiling, view_of
from bot.domain.guild import PATTERNS_MAX, REASON_MAX, WORDS_MAX, Block, BlockedWord, Grant
from bot.domain.managing import WORD_CHARACTERS_MAX
from bot.domain.money import AMOUNT_MAX_MICROUSD
from bot.domain.quota import Caps, LimitKind, Limits
from bot.domain.request import RATIOS
from bot.domain.rules import Rule, Scope
from bot.domain.windows import Window
from bot.presentation.admin import rule_set_text
from bot.presentation.admin_lists import BUTTON_ID, blocks_card, grants_card, page_of, rules_card, words_card
from bot.presentation.card_age import opened_mark
from bot.presentation.layout import Layout

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
MARK = opened_mark(AT)
HUGE = 2**63 - 1
LIMITS = Limits(5_000_000, 50_000_000, 100_000_000, 200_000_000)
CEILINGS = (
    Ceiling(LimitKind.USER, Window.DAY, 1_234_567),
    Ceiling(LimitKind.USER, Window.MONTH, 1_234_567),
    Ceiling(LimitKind.GUILD, Window.MONTH, 1_234_567),
)
TYPED = "*_[x](https://a.b)_* @everyone <@1> `" * 10


def parts(layout: Layout) -> list[dict[str, Any]]:
    found = []

    def walk(components: list[dict[str, Any]]) -> None:
        for part in components:
            found.append(part)
            walk([*part.get("components", []), *([part["accessory"]] if "accessory" in part else [])])

    walk(layout.to_components())
    return found


def texts(layout: Layout) -> list[str]:
    return [part["content"] for part in parts(layout) if "content" in part]


def buttons(layout: Layout) -> list[dict[str, Any]]:
    return [part for part in parts(layout) if "custom_id" in part]


def assert_fits(layout: Layout) -> None:
    """Discord's limits of one message: 40 components, 4,000 characters in all of its texts together."""
    assert len(parts(layout)) <= 40
    assert sum(map(len, texts(layout))) <= 4_000
    ids = [button["custom_id"] for button in buttons(layout)]
    assert len(ids) == len(set(ids))
    assert all(len(custom_id) <= 100 and BUTTON_ID.fullmatch(custom_id) for custom_id in ids)


def everything(scope: Scope, subject_id: int, sets: dict[str, frozenset[str]]) -> Rule:
    amounts = {"day": AMOUNT_MAX_MICROUSD, "week": AMOUNT_MAX_MICROUSD - 1, "month": AMOUNT_MAX_MICROUSD - 2}
    money = {f"{window}_microusd": amount for window, amount in amounts.items()}
    videos = {"day_videos": 10_000, "week_videos": 9_999, "month_videos": 9_998}
    jobs = None if scope is Scope.CHANNEL else 100
    return Rule(scope, subject_id, **money, **videos, jobs_max=jobs, duration_max_s=15, **sets)


def every_rule() -> list[Rule]:
    """As many rules as there are pages for, all saying everything and contradicting each other in everything."""
    ours = {
        "resolutions": frozenset({"720p"}),
        "gateways": frozenset({"shortapi", "pixeldojo", "animatic"}),
        "ratios": frozenset(RATIOS[1:]),
    }
    theirs = {"resolutions": frozenset({"1080p"}), "gateways": frozenset({"hiapi"}), "ratios": frozenset(RATIOS[:1])}
    members = [everything(Scope.MEMBER, HUGE - number, ours) for number in range(12)]
    channels = [everything(Scope.CHANNEL, HUGE - number, theirs) for number in range(12)]
    return [*members, *channels, Rule(Scope.POOL, day_microusd=1, week_microusd=1, month_microusd=1, **theirs)]


@pytest.mark.parametrize("page", range(6))
def test_a_page_of_rules_that_say_everything_fits_a_message(page: int) -> None:
    rules = every_rule()
    views = [view_of(rule, rules, limits=LIMITS, caps=Caps(3, 10, 8)) for rule in rules]
    gone = {(rule.scope, rule.subject_id) for rule in rules}

    card = rules_card(views, page=page, opened=MARK, ceilings=CEILINGS, gone=gone)

    assert_fits(card)
    assert all(len(rule_set_text(view)) <= 2_000 for view in views)


def test_an_empty_list_of_rules_says_what_counts() -> None:
    assert texts(rules_card([], page=0, opened=MARK, ceilings=())) == [
        "This server has no rules. `/video-admin quota set` makes one."
    ]


def grants(count: int) -> list[Grant]:
    reason = TYPED[:REASON_MAX]
    end = AT + timedelta(days=30)
    return [
        Grant(HUGE - number, 7, HUGE, AMOUNT_MAX_MICROUSD, AMOUNT_MAX_MICROUSD - 1, end, reason, HUGE, AT)
        for number in range(count)
    ]


def blocks(count: int) -> list[Block]:
    return [Block(HUGE - number, AT + timedelta(days=1), TYPED[:REASON_MAX], HUGE, AT) for number in range(count)]


def words(count: int) -> list[BlockedWord]:
    return [BlockedWord(TYPED[number:][:WORD_CHARACTERS_MAX], True, HUGE, AT) for number in range(count)]


@pytest.mark.parametrize(
    ("card", "pages"),
    [
        (lambda page: grants_card(grants(11), page=page, opened=MARK, note="x" * 200), 3),
        (lambda page: blocks_card(blocks(11), page=page, opened=MARK, note="x" * 200), 3),
        (lambda page: words_card(words(WORDS_MAX + PATTERNS_MAX), page=page, opened=MARK), 17),
    ],
    ids=["grants", "blocks", "words"],
)
def test_every_page_fits_a_message_and_the_last_one_ends(card: Any, pages: int) -> None:
    for page in range(pages + 2):
        layout = card(page)
        previous, following = buttons(layout)[-2:]
        assert_fits(layout)
        assert f"-# Page {min(page + 1, pages)} of {pages}" in texts(layout)
        assert (previous.get("disabled", False), following.get("disabled", False)) == (page == 0, page >= pages - 1)


def test_one_page_has_no_buttons_to_turn() -> None:
    assert [button["label"] for button in buttons(grants_card(grants(5), page=0, opened=MARK))] == ["End"] * 5


def test_what_people_typed_is_harmless_in_the_lists() -> None:
    for layout in (
        grants_card(grants(1), page=0, opened=MARK),
        blocks_card(blocks(1), page=0, opened=MARK),
        words_card(words(1), page=0, opened=MARK),
    ):
        shown = "\n".join(texts(layout))
        assert "@everyone" not in shown
        assert "](https" not in shown
        assert "<@1>" not in shown


def test_a_page_too_high_is_the_last_one() -> None:
    assert page_of(range(12), 1) == range(5, 10)
    assert page_of(range(12), 99) == range(10, 12)
    assert page_of([], 3) == []
