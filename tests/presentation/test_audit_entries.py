"""What was done is told in plain words: who, what, before and after; the blocklist's words to managers alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.domain.guild import ActKind, AuditEntry
from bot.presentation.audit_entries import AUDIT_ID, PER_PAGE, audit_card, linked, told_card
from tests.presentation.views import parts, words

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = f"<t:{int(NOW.timestamp())}:f>"
JOB_ID = "01m7wd7tg0zs22ak"
ROLE, CHANNEL, MEMBER = 2**60, 2**60 + 1, 2**60 + 2
MARK = "t85s00"


def entry(kind: ActKind = ActKind.SETTING_CHANGED, **changes: Any) -> AuditEntry:
    return replace(AuditEntry(3, 7, kind, actor_id=11, at=NOW), **changes)


def told(made: AuditEntry) -> list[str]:
    return words(told_card(made))


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (
            entry(ActKind.RULE_SET, subject="everyone", before="none", after="$5.00 a day"),
            ["set the rule for everyone", "none → $5.00 a day"],
        ),
        (
            entry(ActKind.RULE_SET, subject="pool", before="none", after="$5.00 a day"),
            ["set the rule for the whole server", "none → $5.00 a day"],
        ),
        (
            entry(ActKind.RULE_SET, subject=f"role {ROLE}", before="none", after="720p"),
            [f"set the rule for <@&{ROLE}>", "none → 720p"],
        ),
        (
            entry(ActKind.RULE_CLEARED, subject=f"member {MEMBER}", before="720p", after="none", user_id=MEMBER),
            [f"cleared the rule for <@{MEMBER}>", "720p → none"],
        ),
        (
            entry(subject="allowed channels", before="every channel", after=f"channel {CHANNEL}"),
            ["set allowed channels", f"every channel → <#{CHANNEL}>"],
        ),
        (
            entry(ActKind.GRANTED, subject="grant 1", after="$5.00 until tomorrow: a *prize*", user_id=MEMBER),
            [f"made a grant to <@{MEMBER}>", "$5.00 until tomorrow: a \\*prize\\*"],
        ),
        (entry(ActKind.GRANT_ENDED, user_id=MEMBER), [f"ended a grant of <@{MEMBER}>"]),
        (
            entry(ActKind.BLOCKED, before="none", after="until unblocked", user_id=MEMBER),
            [f"blocked <@{MEMBER}>", "none → until unblocked"],
        ),
        (entry(ActKind.UNBLOCKED, before="spam", user_id=MEMBER), [f"unblocked <@{MEMBER}>", "spam"]),
        (
            entry(ActKind.RELEASED, before="held", after="released", user_id=MEMBER, job_id=JOB_ID),
            [f"released the hold of `{JOB_ID}` of <@{MEMBER}>", "held → released"],
        ),
        (
            entry(ActKind.REFUNDED, after="$0.645", user_id=MEMBER, job_id=JOB_ID),
            [f"refunded `{JOB_ID}` of <@{MEMBER}>", "$0.645"],
        ),
        (
            entry(ActKind.DELIVERED_AGAIN, user_id=MEMBER, job_id=JOB_ID),
            [f"had the video of `{JOB_ID}` of <@{MEMBER}> posted again"],
        ),
    ],
)
def test_an_act_is_told_in_plain_words(made: AuditEntry, lines: list[str]) -> None:
    what, *more = lines

    assert told(made) == [f"<@11> {what} · {AT}", *[f"-# {line}" for line in more], "-# act 3"]


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (entry(ActKind.WORD_ADDED, subject="secret", after="word"), "added a word to the blocklist"),
        (entry(ActKind.WORD_REMOVED, subject="secret", before="word"), "took a word off the blocklist"),
        (entry(ActKind.WORD_ADDED, subject="secret", after="pattern"), "added a pattern to the blocklist"),
    ],
)
def test_a_word_of_the_blocklist_is_shown_to_managers_alone(made: AuditEntry, line: str) -> None:
    private = words(audit_card([made], before_id=0, user_id=0, mark=MARK))

    assert told(made) == [f"<@11> {line} · {AT}", "-# act 3"]
    assert private[1:] == [f"<@11> {line} · {AT}", "-# secret"]


@pytest.mark.parametrize("kind", ActKind)
def test_every_kind_of_act_has_words(kind: ActKind) -> None:
    assert told(entry(kind))[0].startswith("<@11> ")


def test_the_fullest_page_fits_one_message() -> None:
    worst = entry(ActKind.RULE_SET, subject="*" * 900, before="*" * 900, after="@" * 900, user_id=2**63)
    card = audit_card([worst] * 50, before_id=2**62, user_id=2**63, mark=MARK)
    buttons = [part for part in parts(card) if part["type"] == 2]

    assert sum(len(part.get("content", "")) for part in parts(card)) <= 4_000
    assert len(parts(card)) <= 40
    assert len({button["custom_id"] for button in buttons}) == 2
    assert all(AUDIT_ID.fullmatch(button["custom_id"]) and len(button["custom_id"]) <= 100 for button in buttons)


def test_the_longest_act_fits_the_message_of_the_audit_channel() -> None:
    worst = entry(ActKind.RULE_SET, subject="*" * 9_000, before="*" * 9_000, after="@" * 9_000, user_id=2**63)

    assert sum(len(line) + 1 for line in told(worst)) <= 4_000


@pytest.mark.parametrize(
    ("before_id", "count", "usable"),
    [(0, PER_PAGE, None), (0, PER_PAGE + 1, [False, True]), (9, PER_PAGE, [True, False]), (9, 9, [True, True])],
)
def test_pages_turn_where_there_is_another(before_id: int, count: int, usable: list[bool] | None) -> None:
    card = audit_card([entry()] * count, before_id=before_id, user_id=0, mark=MARK)
    buttons = [not part["disabled"] for part in parts(card) if part["type"] == 2]

    assert (buttons or None) == usable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"channel {CHANNEL}, channel {CHANNEL}", f"<#{CHANNEL}>, <#{CHANNEL}>"),
        ("channel 12", "channel 12"),
        (f"see <#{CHANNEL}>", f"see \\<\\#{CHANNEL}\\>"),
        ("two\nlines", "two …"),
    ],
)
def test_only_what_the_audit_itself_names_becomes_a_link(text: str, shown: str) -> None:
    assert linked(text, characters_max=200) == shown
