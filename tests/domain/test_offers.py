"""The gateway is the cheapest paid one that can do it, and a refusal says what stands in the way."""

from dataclasses import replace

import pytest

from bot.domain.errors import GatewayRejected, OptionRejected, Unavailable
from bot.domain.offers import Serving, Wish, choose, offers
from bot.domain.pricing import PriceRow
from bot.domain.request import Mode, Place, Resolution
from tests.fakes import capabilities

FIVE = ("16:9", "9:16", "1:1", "4:3", "3:4")
SHORTAPI = capabilities("shortapi", title="ShortAPI", prices={Resolution.P720: PriceRow(second_microusd=129_000)})
HIAPI = capabilities("hiapi", title="HiAPI", prices={Resolution.P720: PriceRow(second_microusd=100_000)})
ANIMATIC = capabilities("animatic", title="Animatic", prices={}, free=True)
REFERENCE = capabilities().modes[Mode.REFERENCE]
PIXELDOJO = capabilities(
    "pixeldojo",
    title="PixelDojo",
    prices={Resolution.P720: PriceRow(flat_microusd=700_000)},
    modes={Mode.REFERENCE: replace(REFERENCE, ratios=FIVE, seed=True, negative_prompt=True)},
)
ALL = (SHORTAPI, HIAPI, PIXELDOJO, ANIMATIC)


def wish(mode: Mode = Mode.TEXT, **changes) -> Wish:
    facts = {"resolution": Resolution.P720, "duration_s": 5, "ratio": None, "seed": False, "negative_prompt": False}
    return Wish(mode=mode, **{**facts, **changes})


def chosen(wished: Wish, *, named: str = "auto", known=ALL, may_pay: bool = True) -> str:
    return choose(offers(known, wished, may_pay=may_pay), wished, named=named).capabilities.gateway


def refused(wished: Wish, *, named: str = "auto", known=ALL, may_pay: bool = True):
    with pytest.raises((GatewayRejected, OptionRejected)) as caught:
        chosen(wished, named=named, known=known, may_pay=may_pay)
    return caught.value


def test_auto_takes_the_cheapest_paid_gateway():
    assert chosen(wish()) == "hiapi"


def test_auto_never_takes_the_free_preview_while_a_paid_gateway_can_do_it():
    assert chosen(wish(), known=(ANIMATIC, SHORTAPI)) == "shortapi"
    assert chosen(wish(), named="animatic") == "animatic"


def test_auto_makes_a_preview_where_no_paid_gateway_may_be_used():
    unkeyed = [replace(facts, configured=False) for facts in (SHORTAPI, HIAPI, PIXELDOJO)]

    assert chosen(wish(), known=(*unkeyed, ANIMATIC)) == "animatic"
    assert chosen(wish(), may_pay=False) == "animatic"
    assert chosen(wish(Mode.REFERENCE), known=(replace(HIAPI, prices={}), ANIMATIC)) == "animatic"


def test_a_seed_narrows_the_choice_to_gateways_that_have_one():
    assert chosen(wish(Mode.REFERENCE, seed=True)) == "pixeldojo"
    assert chosen(wish(Mode.REFERENCE, negative_prompt=True)) == "pixeldojo"


def test_a_seed_no_gateway_has_is_refused_instead_of_dropped():
    problem = refused(wish(seed=True))

    assert isinstance(problem, OptionRejected)
    assert (problem.option, problem.gateway_title, problem.allowed) == ("seed", "", ())


def test_a_named_gateway_that_lacks_an_option_refuses():
    problem = refused(wish(Mode.REFERENCE, seed=True), named="shortapi")

    assert isinstance(problem, OptionRejected)
    assert (problem.option, problem.gateway_title) == ("seed", "ShortAPI")


def test_a_ratio_the_gateway_lacks_is_refused_with_the_ones_it_has():
    problem = refused(wish(Mode.REFERENCE, ratio="21:9"), named="pixeldojo")

    assert isinstance(problem, OptionRejected)
    assert (problem.value, problem.allowed) == ("21:9", FIVE)


@pytest.mark.parametrize("duration_s", [2, 16])
def test_a_length_outside_the_range_is_refused(duration_s):
    problem = refused(wish(duration_s=duration_s))

    assert isinstance(problem, OptionRejected)
    assert problem.option == "duration"
    assert (problem.allowed[0], problem.allowed[-1]) == ("3", "15")


@pytest.mark.parametrize(
    ("named", "facts", "may_pay", "why"),
    [
        ("hiapi", replace(HIAPI, configured=False), True, Unavailable.NO_KEY),
        ("hiapi", replace(HIAPI, prices={}), True, Unavailable.NO_PRICE),
        ("hiapi", HIAPI, False, Unavailable.GUILD_NOT_SERVED),
        ("pixeldojo", PIXELDOJO, True, Unavailable.NEEDS_PICTURES),
        ("sora", HIAPI, True, Unavailable.NO_SUCH_GATEWAY),
    ],
)
def test_a_named_gateway_that_may_not_be_used_says_why(named, facts, may_pay, why):
    problem = refused(wish(), named=named, known=(facts, ANIMATIC), may_pay=may_pay)

    assert isinstance(problem, GatewayRejected)
    assert problem.why is why


def test_an_unpriced_resolution_is_refused_and_never_free():
    problem = refused(wish(Mode.REFERENCE, resolution=Resolution.P1080), named="pixeldojo")

    assert isinstance(problem, GatewayRejected)
    assert problem.why is Unavailable.NO_PRICE
    assert refused(wish(resolution=Resolution.P1080), known=(HIAPI, ANIMATIC)).why is Unavailable.NO_PRICE


def test_in_image_mode_a_ratio_only_shapes_the_picture():
    assert chosen(wish(Mode.IMAGE, ratio="21:9")) == "hiapi"


def test_a_guild_is_served_when_listed_or_owned_by_an_operator_where_none_is_listed():
    operators = frozenset({9})
    listed = Serving(frozenset({1}), lambda: operators)
    owned = Serving(frozenset(), lambda: operators)
    every = Serving(None, lambda: operators)

    assert listed.may_pay(Place(5, guild_id=1), user_id=3)
    assert not listed.may_pay(Place(5, guild_id=2, guild_owner_id=9), user_id=3)
    assert owned.may_pay(Place(5, guild_id=2, guild_owner_id=9), user_id=3)
    assert not owned.may_pay(Place(5, guild_id=2, guild_owner_id=3), user_id=3)
    assert every.may_pay(Place(5, guild_id=2), user_id=3)


def test_in_direct_messages_only_operators_spend_unless_every_guild_is_served():
    serving = Serving(frozenset({1}), lambda: frozenset({9}))

    assert serving.may_pay(Place(5), user_id=9)
    assert not serving.may_pay(Place(5), user_id=3)
    assert Serving(None, frozenset).may_pay(Place(5), user_id=3)
