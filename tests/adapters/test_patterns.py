"""The blocklist's engine: whole words in any script, whatever tricks; patterns in linear time alone."""

import time
from datetime import UTC, datetime

import pytest

from bot.adapters import patterns as patterns_module
from bot.adapters.patterns import LinearPatterns
from bot.domain.guild import BlockedWord

AT = datetime(2026, 11, 20, tzinfo=UTC)


def word(text: str) -> BlockedWord:
    return BlockedWord(text, False, 1, AT)


def pattern(text: str) -> BlockedWord:
    return BlockedWord(text, True, 1, AT)


def finds(entry: BlockedWord, text: str) -> bool:
    return LinearPatterns().found([entry], text) is entry


@pytest.mark.parametrize(
    ("blocked", "text"),
    [
        ("gun", "gun"),
        ("gun", "A GUN, please"),
        ("gun", "(gun)"),
        ("Straße", "auf der STRASSE"),
        ("STRASSE", "auf der straße"),
        ("İstanbul", "istanbul bei Nacht"),
        ("оружие", "Вот ОРУЖИЕ!"),
        ("ΣΊΣΥΦΟΣ", "ο σίσυφος"),
        ("枪", "他拿着枪走路"),
        ("ポリス", "このポリスカー"),
        ("ปืน", "เขามีปืนสองกระบอก"),
        ("gun", "我有gun吗"),
        ("blue  whale", "a blue\n whale"),
        ("café", "cafe\u0301 noir"),
        ("@everyone!", "hello @everyone! there"),
        ("!!!", "hey!!! you"),
        ("c++", "in c++ now"),
        ("a b a", "xa b a b a"),
        ("aa", "aaa aa"),
    ],
)
def test_a_word_is_found_whole_in_any_script_and_case(blocked: str, text: str) -> None:
    assert finds(word(blocked), text)


@pytest.mark.parametrize(
    ("blocked", "text"),
    [
        ("gun", "begun"),
        ("gun", "gunman"),
        ("gun", "gun_powder"),
        ("gun", "gun2"),
        ("ass", "a class passes"),
        ("рот", "крот"),
        ("cafe", "café"),
        ("gun", ""),
        (".", "gun"),
        ("a.c", "abc"),
        ("(?i)gun", "gun"),
    ],
)
def test_a_part_of_a_word_is_not_the_word(blocked: str, text: str) -> None:
    assert not finds(word(blocked), text)


@pytest.mark.parametrize(
    "text",
    [
        "a g\u200bu\u200dn here",
        "a g\u00adun here",
        "a \u202egun\u202c here",
        "a ｇｕｎ here",
        "a 𝓰𝓾𝓷 here",
        "a ⓖⓤⓝ here",
        "a g\u0336u\u0336n\u0336 here",
        "a g\ufe0fun here",
        "a\u00a0gun\u3000here",
    ],
    ids=ascii,
)
def test_tricks_of_writing_do_not_hide_a_word_or_a_pattern(text: str) -> None:
    assert finds(word("gun"), text)
    assert finds(pattern(r"\bg[u]n\b"), text)


def test_a_pattern_ignores_case_and_is_also_looked_for_in_the_text_as_typed() -> None:
    assert finds(pattern("G.N"), "a gun")
    assert finds(pattern(r"\x{200B}{3}"), "a\u200b\u200b\u200bb")
    assert not finds(pattern(r"\Sgun"), "a gun")


def test_the_first_entry_that_fits_is_named() -> None:
    first, second = word("boat"), pattern("paper|boat")

    assert LinearPatterns().found([word("ship"), first, second], "A paper boat") is first
    assert LinearPatterns().found([], "A paper boat") is None


@pytest.mark.parametrize(
    "refused",
    [r"(a)\1", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(", "[a", "*", r"\Z", "(?>a)", r"\pL{1000}", "x{1001}"],
)
def test_what_cannot_run_in_linear_time_or_bounded_memory_is_refused(
    refused: str, capfd: pytest.CaptureFixture[str]
) -> None:
    patterns = LinearPatterns()

    assert not patterns.is_valid(refused)
    assert patterns.found([pattern(refused)], "aaa") is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("taken", ["(a+)+$", "cats?|dogs?", r"\bgun(man)?\b", r"\p{Cyrillic}+", "[枪炮]", "(?P<x>a)"])
def test_an_ordinary_pattern_is_valid(taken: str) -> None:
    assert LinearPatterns().is_valid(taken)


@pytest.mark.parametrize("nasty", ["(a+)+$", "(a|a)*b", "(?:a?){50}a{50}", "(.*a){9}b", "((a{1,15}){1,15})x"])
def test_a_classic_catastrophe_takes_milliseconds(nasty: str) -> None:
    patterns, entry = LinearPatterns(), pattern(nasty)
    assert patterns.is_valid(nasty)
    took_s = []

    for _ in range(3):
        begun = time.perf_counter()
        patterns.found([entry], "a" * 5_000 + "!")
        took_s.append(time.perf_counter() - begun)

    # Measured 0.1 to 6 ms; a backtracking engine needs longer than the universe has.
    assert min(took_s) < 0.1


def test_a_pattern_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr("bot.adapters.patterns._compile", compiled.append)
    patterns = LinearPatterns()

    for _ in range(3):
        patterns.found([pattern("cats?"), pattern("dogs?")], "a cat")

    assert compiled == ["cats?", "dogs?"]


def test_every_entry_that_fits_is_named() -> None:
    boat, ship, paper = word("boat"), word("ship"), pattern("pap[e]r")

    assert LinearPatterns().every_found([boat, ship, paper], "A paper boat") == [boat, paper]


def test_where_words_can_begin_is_worked_out_once_for_the_whole_blocklist(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    continues = patterns_module._continues
    monkeypatch.setattr(patterns_module, "_continues", lambda each: looked_at.append(each) or continues(each))
    nasty = [word("a" * length) for length in range(1, 101)]

    assert LinearPatterns().found(nasty, "a" * 5_000) is None

    # It was twice at each place where each of the words might be.
    assert len(looked_at) <= 3 * 5_000
