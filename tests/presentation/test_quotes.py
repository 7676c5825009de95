"""The card that asks before money is spent stays inside Discord's limits and tells nobody the operator's business."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.job import Ending, JobState
from bot.domain.kept_quotes import Choice, KeptQuote, Threshold
from bot.domain.offers import Offer
from bot.domain.quota import LimitKind, Standing
from bot.domain.quoting import Quote
from bot.domain.request import Ask, Mode, Place, Resolution
from bot.domain.rules import Rule, Scope
from bot.domain.windows import Window, day_ends_at
from bot.presentation import endings
from bot.presentation.quotes import expired_refusal_card, quote_card, refusal_card
from tests.fakes import capabilities
from tests.presentation.views import IMAGE, NOW, PROMPT, REQUEST, parts, view, words

FACTS = capabilities(title="HiAPI")
DAY_ENDS = "until <t:{0}:f> (<t:{0}:R>)".format(int(day_ends_at(NOW).timestamp()))


def standing(kind: LimitKind, limit: int | None, **more: Any) -> Standing:
    return Standing(kind, Window.DAY, limit, 0, day_ends_at(NOW), **more)


def choice(price_microusd: int = 645_000, *, standings: tuple[Standing, ...] = (), **changes: Any) -> Choice:
    request = replace(REQUEST, price_microusd=price_microusd, **changes)
    ask = Ask(1, 11, Place(31, 21), request.mode, request.prompt)
    offer = Offer(FACTS, price_microusd)
    return Choice(ask, Quote(request, offer, FACTS.modes[request.mode], standings, is_named=False))


def kept(*choices: Choice, **more: Any) -> KeptQuote:
    made = choices or (choice(),)
    facts = {"images": (IMAGE,) * 3, "expires_at": NOW + timedelta(minutes=5), **more}
    return KeptQuote("1-0", made[0].quote.request, made, **facts)


@pytest.mark.parametrize(
    ("usual_s", "words_of"),
    [
        (1, "about 5 seconds"),
        (48, "about 50 seconds"),
        (89, "about 90 seconds"),
        (90, "about 2 minutes"),
        (700, "about 12 minutes"),
    ],
)
def test_the_usual_time_is_a_round_figure(usual_s: float, words_of: str) -> None:
    assert f"This costs **$0.645**, and usually takes {words_of}." in words(quote_card(kept(usual_s=usual_s)))


@pytest.mark.parametrize(
    ("standings", "line"),
    [
        ((standing(LimitKind.USER, 5_000_000),), f"After it you have $4.355 left {DAY_ENDS}."),
        (
            (standing(LimitKind.USER, 5_000_000), standing(LimitKind.GUILD, 1_000_000)),
            f"After it this server has $0.355 left {DAY_ENDS}.",
        ),
        (
            (standing(LimitKind.OWN, 1_000_000, rule=Rule(Scope.MEMBER)), standing(LimitKind.BOT, 700_000)),
            f"After it your own limit of $1.00 a day leaves $0.355 {DAY_ENDS}.",
        ),
    ],
)
def test_what_is_left_is_said_of_the_narrowest_limit(standings: tuple[Standing, ...], line: str) -> None:
    assert line in words(quote_card(kept(choice(standings=standings))))


def test_what_the_whole_bot_may_still_spend_is_not_said() -> None:
    shown = words(quote_card(kept(choice(standings=(standing(LimitKind.BOT, 700_000),)))))

    assert not any("left" in line for line in shown)


@pytest.mark.parametrize(
    ("threshold", "line"),
    [
        (Threshold(1_000_000, own=False), "-# On this server you are asked before videos above $1.00."),
        (Threshold(0, own=False), "-# On this server you are asked before every paid video."),
        (Threshold(1_005_000, own=True), "-# You wished to be asked before videos above $1.005."),
        (Threshold(0, own=True), "-# You wished to be asked before every paid video."),
    ],
)
def test_the_card_says_why_it_asks(threshold: Threshold, line: str) -> None:
    assert line in words(quote_card(kept(threshold=threshold)))


@pytest.mark.parametrize("prompt", [PROMPT, "@" * 5_000, "*\n" * 2_500, "🏇" * 5_000])
def test_every_card_stays_inside_discords_limits(prompt: str) -> None:
    many = [choice(10**12 - n, prompt=prompt, resolution=Resolution.P1080, duration_s=15 - n) for n in range(5)]
    made = kept(*many, usual_s=900, threshold=Threshold(10**12, own=True), was_microusd=10**12)
    cards = [quote_card(made), refusal_card("x" * 500, made), expired_refusal_card("x" * 500, made)]

    for card in [*cards, refusal_card("x", None)]:
        every = parts(card)
        assert len(every) <= 40
        assert sum(len(part["content"]) for part in every if part["type"] == 10) <= 4_000
        for button in (part for part in every if part["type"] == 2):
            assert len(button["label"]) <= 80
            assert len(button["custom_id"]) <= 100
        assert all(len(part["components"]) <= 5 for part in every if part["type"] == 1)


def test_in_image_mode_only_a_given_ratio_is_named() -> None:
    made = choice(mode=Mode.IMAGE, ratio=None)

    assert words(quote_card(kept(made)))[1] == "image · 3 pictures · 5 s · 720p · HiAPI, HappyHorse 1.1"
    given = replace(made, ask=replace(made.ask, ratio="1:1"))
    assert words(quote_card(kept(given)))[1] == "image · 3 pictures · 5 s · 720p · 1:1 · HiAPI, HappyHorse 1.1"


@pytest.mark.parametrize(
    ("ending", "free", "sentence"),
    [
        (Ending.RELEASED, False, "A manager of this server released it: $0.645 released. Nothing was charged."),
        (Ending.RELEASED, True, "A manager of this server ended it. Nothing was charged."),
        (
            Ending.BLOCKED,
            False,
            "This server's managers no longer allow this, so it was never started. Nothing was charged. Ask them why.",
        ),
    ],
)
def test_what_managers_end_is_said_and_blames_nobody_in_public(ending: Ending, free: bool, sentence: str) -> None:
    assert endings.sentence(view(JobState.FAILED, ending=ending, free=free)) == sentence
