"""The prompt is cleaned, weighed as the gateways do, and its references to pictures understood."""

import pytest

from bot.domain.errors import PromptProblem, PromptRejected
from bot.domain.prompt import check, clean, referenced, render_tokens, weight, with_references


def rejected(prompt: str, pictures: int = 0) -> PromptRejected:
    with pytest.raises(PromptRejected) as caught:
        check(prompt, pictures=pictures)
    return caught.value


@pytest.mark.parametrize(
    "typed",
    [
        "[Image 1]",
        "[image1]",
        "[ IMAGE  1 ]",
        "[Image 01]",
        "[img1]",
        "[picture 1]",
        "character1",
        "Image1",
        "@1",
        "@image1",
    ],
)
def test_every_way_people_type_a_reference_means_picture_one(typed):
    assert with_references(f"put {typed} here", pictures=2) == "put [Image 1] here"


@pytest.mark.parametrize(
    "text", ["image of a cat", "write me@1 mail", "5 images", "Image12 of 20", "<@1234>", "<@!12>"]
)
def test_ordinary_text_is_no_reference(text):
    assert with_references(text, pictures=3) == text


@pytest.mark.parametrize(
    ("prompt", "named"), [("[Image 3] dances", 3), ("[Image 0] dances", 0), ("character9 runs", 9)]
)
def test_a_reference_nobody_attached_is_refused(prompt, named):
    problem = rejected(prompt, pictures=2)

    assert (problem.problem, problem.measured, problem.limit) == (PromptProblem.UNKNOWN_PICTURE, named, 2)


def test_a_character_number_is_ordinary_text_where_no_picture_is_attached():
    assert check("character2 walks", pictures=0) == "character2 walks"


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "\u200b\u200d\ufeff", "\u2800", "\x00", "\u3164", "\ufe0f"])
def test_a_prompt_that_cannot_be_seen_is_blank(prompt):
    assert rejected(prompt).problem is PromptProblem.BLANK


@pytest.mark.parametrize(
    ("prompt", "measured"), [("a" * 5001, 5001), ("马" * 2501, 5002), ("马" * 2000 + "a" * 1001, 5001)]
)
def test_a_prompt_the_gateways_would_cut_is_refused_with_its_weight(prompt, measured):
    problem = rejected(prompt)

    assert (problem.problem, problem.measured, problem.limit) == (PromptProblem.TOO_LONG, measured, 5000)


@pytest.mark.parametrize("prompt", ["a" * 5000, "马" * 2500, "马" * 1000 + "a" * 3000, "é🐎" * 2500])
def test_a_prompt_of_exactly_the_limit_is_taken(prompt):
    assert check(prompt, pictures=0) == prompt
    assert weight(prompt) == 5000


def test_control_characters_are_removed_and_line_breaks_stay():
    assert clean("  a\x00b\r\nc\x1b[31m\td\ud800 ") == "ab\nc[31m\td"


@pytest.mark.parametrize("text", ["@everyone look", "**bold** `code`", "שלום עולם", "🐎🏽‍♂️ gallops"])
def test_text_of_any_kind_stays_as_it_was_written(text):
    assert check(text, pictures=0) == text


def test_each_gateway_gets_its_own_token():
    neutral = with_references("[image 2] rides @1", pictures=2)

    assert render_tokens(neutral, "character{n}") == "character2 rides character1"
    assert referenced(neutral) == {1, 2}
