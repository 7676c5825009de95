"""What managers and operators did, told alike in `/video-admin audit` and in the audit channel."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from discord import ButtonStyle, ui

from bot.domain.guild import ActKind, AuditEntry
from bot.domain.rules import Scope
from bot.presentation.card_age import OPENED
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.markdown import shown

PER_PAGE = 5
AUDIT_ID = re.compile(rf"gallop:audit:(?P<before_id>\d{{1,19}}):(?P<user_id>\d{{1,20}}):{OPENED}")
NOTHING_DONE = "Nothing was done here yet."
_NONE_OLDER = "There is nothing older."
# Two of these and their escapes for each of five acts fit one message.
_CHARACTERS_MAX = 150
_SUBJECT_CHARACTERS_MAX = 40
_TOLD_CHARACTERS_MAX = 900
# As act_words names them; ids of Discord have 17 digits or more.
_NAMED = re.compile(r"\b(role|member|channel) (\d{17,20})\b")
_MENTIONS: Final[Mapping[str, str]] = {"role": "<@&{id}>", "member": "<@{id}>", "channel": "<#{id}>"}
_SHARED: Final[Mapping[str, str]] = {Scope.EVERYONE: "everyone", Scope.POOL: "the whole server"}
_WORDS = frozenset({ActKind.WORD_ADDED, ActKind.WORD_REMOVED})


def audit_card(entries: Sequence[AuditEntry], *, before_id: int, user_id: int, mark: str) -> Layout:
    """Return a page of acts, the newest first; one more than fits says that there are older ones.

    `before_id` 0 is the first page, `user_id` 0 is everybody; `mark` says when the card was opened.
    """
    title = f"**What was done about <@{user_id}>**" if user_id else "**What managers and operators did here**"
    if not entries:
        return boxed(Accent.GREY, text(title, _NONE_OLDER if before_id else NOTHING_DONE))
    page, more = entries[:PER_PAGE], len(entries) > PER_PAGE
    items: list[ui.Item[Layout]] = [text(title)]
    for entry in page:
        items.append(text(*_lines(entry, secret=False, characters_max=_CHARACTERS_MAX)))
    if before_id or more:
        # The last id is only a name for a button that cannot be pressed.
        newest = _turn("Newest", f"gallop:audit:0:{user_id}:{mark}", usable=bool(before_id))
        older = _turn("Older", f"gallop:audit:{page[-1].audit_id}:{user_id}:{mark}", usable=more)
        items += [ui.Separator(), ui.ActionRow(newest, older)]
    return boxed(Accent.GREY, *items)


def told_card(entry: AuditEntry) -> Layout:
    """Return the message of the audit channel. Its last line names the act, so that it is known again."""
    lines = _lines(entry, secret=True, characters_max=_TOLD_CHARACTERS_MAX)
    return boxed(Accent.GREY, text(*lines, act_mark(entry)))


def act_mark(entry: AuditEntry) -> str:
    return f"-# act {entry.audit_id}"


def linked(words: str, *, characters_max: int) -> str:
    """Return words of the audit on one line, made harmless, with Discord's names for who and where."""
    plain = shown(words, lines_max=1, characters_max=characters_max)
    return _NAMED.sub(lambda match: _MENTIONS[match[1]].format(id=match[2]), plain)


def _lines(entry: AuditEntry, *, secret: bool, characters_max: int) -> list[str]:
    """Say who did what and when, and what was before and after. `secret` leaves out words of the blocklist."""
    at = f"<t:{int(entry.at.timestamp())}:f>"
    before, after = (linked(words, characters_max=characters_max) for words in (entry.before, entry.after))
    if entry.kind in _WORDS:
        before, after = "", "" if secret else linked(entry.subject, characters_max=characters_max)
    change = f"{before} → {after}" if before and after else before or after
    return [f"<@{entry.actor_id}> {_what(entry)} · {at}", f"-# {change}" if change else ""]


def _what(entry: AuditEntry) -> str:
    who = f"<@{entry.user_id}>"
    job = f"`{entry.job_id}` of {who}"
    subject = _SHARED.get(entry.subject) or linked(entry.subject, characters_max=_SUBJECT_CHARACTERS_MAX)
    word = "a pattern" if "pattern" in {entry.before, entry.after} else "a word"
    return {
        ActKind.RULE_SET: f"set the rule for {subject}",
        ActKind.RULE_CLEARED: f"cleared the rule for {subject}",
        ActKind.SETTING_CHANGED: f"set {subject}",
        ActKind.GRANTED: f"made a grant to {who}",
        ActKind.GRANT_ENDED: f"ended a grant of {who}",
        ActKind.BLOCKED: f"blocked {who}",
        ActKind.UNBLOCKED: f"unblocked {who}",
        ActKind.WORD_ADDED: f"added {word} to the blocklist",
        ActKind.WORD_REMOVED: f"took {word} off the blocklist",
        ActKind.RELEASED: f"released the hold of {job}",
        ActKind.REFUNDED: f"refunded {job}",
        ActKind.DELIVERED_AGAIN: f"had the video of {job} posted again",
    }[entry.kind]


def _turn(label: str, custom_id: str, *, usable: bool) -> ui.Button[Layout]:
    return ui.Button(label=label, style=ButtonStyle.secondary, custom_id=custom_id, disabled=not usable)
