"""Text typed by people shows as it was typed, and does nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.presentation.markdown import harmless, label, shown

ISOLATED = re.compile("^\u2068.*\u2069$")


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("**bold** __line__ ~~gone~~", r"\*\*bold\*\* \_\_line\_\_ \~\~gone\~\~"),
        ("`code` ||spoiler||", r"\`code\` \|\|spoiler\|\|"),
        ("# heading", r"\# heading"),
        ("-# small", r"\-\# small"),
        ("> quote\n- item\n12. item", "\\> quote\n\\- item\n12\\. item"),
        ("[masked](https://a.example/b)", r"\[masked\]\(https\:\/\/a.example\/b\)"),
        ("discord.gg/abc", r"discord.gg\/abc"),
        ("<t:0:R> <:wave:123> </video text:1>", r"\<t\:0:R\> \<\:wave:123\> \<\/video text:1\>"),
        ("@everyone <@11> <@&12>", "@\u200beveryone \\<@\u200b11\\> \\<@\u200b&12\\>"),
        (":smile: at 10:30, 16:9", r"\:smile: at 10:30, 16:9"),
        ("back\\slash", r"back\\slash"),
        ("camera low, 5 s - slow; don't!", "camera low, 5 s - slow; don't!"),
    ],
)
def test_no_sign_formats_links_or_pings(typed: str, sent: str) -> None:
    assert harmless(typed) == sent


@pytest.mark.parametrize("typed", ["שלום עולם", "\u202ereversed", "\u202aleft", "ends early \u2069\u202e x"])
def test_text_that_runs_from_right_to_left_stays_inside_its_own_line(typed: str) -> None:
    sent = harmless(typed)

    assert ISOLATED.match(sent)
    assert "\u2069" not in sent[:-1]


def test_every_line_is_isolated_by_itself() -> None:
    assert [bool(ISOLATED.match(line)) for line in harmless("אחת\ntwo\nשלוש").split("\n")] == [True, False, True]


@pytest.mark.parametrize(
    ("typed", "shows"),
    [
        ("one\ntwo\nthree", "one\ntwo\nthree"),
        ("one\n\n \ntwo\nthree\nfour", "one\ntwo\nthree …"),
        ("word " * 100, "word " * 60 + "…"),
        ("x" * 301, "x" * 300 + " …"),
        ("x" * 300, "x" * 300),
    ],
)
def test_at_most_three_lines_and_300_characters_are_shown(typed: str, shows: str) -> None:
    assert shown(typed) == shows


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_text_can_ping_or_link(typed: str) -> None:
    sent = harmless(typed)

    assert "@everyone" not in sent
    assert not re.search(r"<@!?&?\d", sent)
    assert "://" not in sent
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_~`|<>\[\]#]", sent)


def test_a_label_is_one_line_without_escapes() -> None:
    assert label("A *boat*\n sails   on", characters_max=50) == "A *boat* sails on"
