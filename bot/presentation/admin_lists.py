"""The lists that managers turn and press in: rules, grants, blocks and the blocklist, a page at a time."""

import re
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import TypeVar

from discord import ButtonStyle, ui

from bot.domain.act_words import rule_words
from bot.domain.clashes import Ceiling, RuleView
from bot.domain.guild import Block, BlockedWord, Grant
from bot.domain.money import show_usd
from bot.domain.rules import Rule, Scope
from bot.presentation.admin import ceilings_words, standing_against, subject_words, word_words, words_count_text
from bot.presentation.card_age import OPENED
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.markdown import shown
from bot.presentation.words import DOT, capital, counted, stamp, until

PER_PAGE = 5
WORDS_PER_PAGE = 15
_REASON_CHARACTERS_MAX = 200
BUTTON_ID = re.compile(
    rf"gallop:list:(?P<list>rules|grants|blocks|words):(?P<page>\d{{1,4}}):(?P<ends>\d{{0,20}}):{OPENED}"
)
_ABOVE = "The operator's limits stand above it."
_ORDER = (
    "-# A member's own rule comes first, then the largest of their roles' rules, then the one for everyone. "
    "What a channel and the pool have is shared by all there; each of them must allow a video."
)


class List(StrEnum):
    """What the lists are of."""

    RULES = "rules"
    GRANTS = "grants"
    BLOCKS = "blocks"
    WORDS = "words"


ItemT = TypeVar("ItemT")


def page_of(items: Sequence[ItemT], page: int, *, per_page: int = PER_PAGE) -> Sequence[ItemT]:
    """Return what stands on a page, the first being 0; one too high is the last."""
    page = _within(page, items, per_page)
    return items[page * per_page : (page + 1) * per_page]


def rules_card(
    views: Sequence[RuleView],
    *,
    page: int,
    opened: str,
    ceilings: Sequence[Ceiling],
    gone: Collection[tuple[Scope, int]] = (),
) -> Layout:
    """Return a page of the rules; `gone` are subjects that the guild has no more.

    `opened` is the mark of when this list, or the one it replaces, was opened.
    """
    above = f"Above all of them: the operator's limits, {ceilings_words(ceilings)}." if ceilings else ""
    if not views:
        none = "This server has no rules. `/video-admin quota set` makes one."
        return boxed(Accent.GREY, text(none, above))

    def entry(view: RuleView) -> ui.Item[Layout]:
        said = capital(f"{rule_words(view.rule)}.")
        return text(f"**{_named(view.rule, gone)}**", said, *standing_against(view, above=_ABOVE))

    head = (f"**{counted(len(views), 'rule')}**", _ORDER, above)
    return _card(List.RULES, views, entry, head, page=page, opened=opened)


def _named(rule: Rule, gone: Collection[tuple[Scope, int]]) -> str:
    if (rule.scope, rule.subject_id) not in gone:
        return capital(subject_words(rule))
    if rule.scope is Scope.MEMBER:
        return f"{subject_words(rule)} (left)"
    return f"Deleted {rule.scope.value} {rule.subject_id}"


def grants_card(grants: Sequence[Grant], *, page: int, opened: str, note: str = "") -> Layout:
    """Return a page of the open grants, each with a button that ends it."""
    if not grants:
        return boxed(Accent.GREY, text(note, "There are no open grants. `/video-admin grant` makes one."))

    def entry(grant: Grant) -> ui.Item[Layout]:
        left = f"{show_usd(grant.amount_microusd - grant.used_microusd)} of {show_usd(grant.amount_microusd)} left"
        lines = (
            f"**<@{grant.user_id}>**{DOT}{left} {until(grant.expires_at)}",
            _reason(grant.reason),
            f"-# by <@{grant.actor_id}> {stamp(grant.at)}",
        )
        end = _button("End", List.GRANTS, page, opened, ends=str(grant.grant_id))
        return ui.Section(text(*lines), accessory=end)

    return _card(List.GRANTS, grants, entry, _titled(grants, "open grant"), page=page, opened=opened, note=note)


def blocks_card(blocks: Sequence[Block], *, page: int, opened: str, note: str = "") -> Layout:
    """Return a page of who is blocked, each with a button that unblocks."""
    if not blocks:
        return boxed(Accent.GREY, text(note, "Nobody is blocked."))

    def entry(block: Block) -> ui.Item[Layout]:
        end = until(block.until) if block.until is not None else "until unblocked"
        lines = (
            f"**<@{block.user_id}>**{DOT}{end}",
            _reason(block.reason),
            f"-# by <@{block.actor_id}> {stamp(block.at)}",
        )
        unblock = _button("Unblock", List.BLOCKS, page, opened, ends=str(block.user_id))
        return ui.Section(text(*lines), accessory=unblock)

    return _card(List.BLOCKS, blocks, entry, _titled(blocks, "blocked member"), page=page, opened=opened, note=note)


def words_card(words: Sequence[BlockedWord], *, page: int, opened: str) -> Layout:
    """Return a page of the blocklist."""
    if not words:
        return boxed(Accent.GREY, text("The blocklist is empty. `/video-admin words add` fills it."))
    lines = [capital(word_words(word)) for word in page_of(words, page, per_page=WORDS_PER_PAGE)]
    items: list[ui.Item[Layout]] = [text(f"**{words_count_text(words)}**", "", *lines)]
    items += _turning(List.WORDS, _within(page, words, WORDS_PER_PAGE), _pages(words, WORDS_PER_PAGE), opened)
    return boxed(Accent.GREY, *items)


def _titled(items: Sequence[object], thing: str) -> tuple[str]:
    return (f"**{counted(len(items), thing)}**",)


def _reason(reason: str) -> str:
    return shown(reason, lines_max=1, characters_max=_REASON_CHARACTERS_MAX)


def _card(
    which: List,
    things: Sequence[ItemT],
    entry: Callable[[ItemT], ui.Item[Layout]],
    head: Sequence[str],
    *,
    page: int,
    opened: str,
    note: str = "",
) -> Layout:
    items: list[ui.Item[Layout]] = [text(note, *head)]
    for thing in page_of(things, page):
        items += [ui.Separator(), entry(thing)]
    items += _turning(which, _within(page, things, PER_PAGE), _pages(things, PER_PAGE), opened)
    return boxed(Accent.GREY, *items)


def _pages(things: Sequence[object], per_page: int) -> int:
    return max(1, -(-len(things) // per_page))


def _within(page: int, things: Sequence[object], per_page: int) -> int:
    return min(page, _pages(things, per_page) - 1)


def _turning(which: List, page: int, pages: int, opened: str) -> list[ui.Item[Layout]]:
    if pages == 1:
        return []
    previous, following = _button("Previous", which, max(0, page - 1), opened), _button("Next", which, page + 1, opened)
    previous.disabled, following.disabled = page == 0, page == pages - 1
    return [ui.Separator(), text(f"-# Page {page + 1} of {pages}"), ui.ActionRow(previous, following)]


def _button(label: str, which: List, page: int, opened: str, *, ends: str = "") -> ui.Button[Layout]:
    custom_id = f"gallop:list:{which}:{page}:{ends}:{opened}"
    return ui.Button(label=label, style=ButtonStyle.secondary, custom_id=custom_id)
