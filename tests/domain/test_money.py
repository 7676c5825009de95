"""Money is whole, exact and never rounded in anybody's favour."""

from decimal import Decimal

import pytest

from bot.domain.errors import AmountProblem, AmountRejected
from bot.domain.money import AMOUNT_MAX_MICROUSD, amount_from_text, microusd_from_usd, show_usd


@pytest.mark.parametrize(
    ("amount_microusd", "text"),
    [
        (0, "$0.00"),
        (645_000, "$0.645"),
        (5_000_000, "$5.00"),
        (1_290_000, "$1.29"),
        (1, "$0.000001"),
        (1_234_567_890_000, "$1,234,567.89"),
        (-250_000, "-$0.25"),
    ],
)
def test_an_amount_is_shown_exactly_with_two_decimals_and_more_only_where_they_are_not_zero(amount_microusd, text):
    assert show_usd(amount_microusd) == text


def test_a_price_per_second_is_read_without_a_float_error():
    assert microusd_from_usd(Decimal("0.129")) * 5 == 645_000


def test_a_fraction_of_a_microdollar_is_rounded_up():
    assert microusd_from_usd(Decimal("0.0000001")) == 1


@pytest.mark.parametrize("usd", ["NaN", "Infinity", "-1"])
def test_a_price_is_finite_and_not_negative(usd):
    with pytest.raises(ValueError, match="finite"):
        microusd_from_usd(Decimal(usd))


@pytest.mark.parametrize(
    ("text", "amount_microusd"),
    [
        ("5", 5_000_000),
        ("$5", 5_000_000),
        (" $5.00 ", 5_000_000),
        ("$ 5", 5_000_000),
        ("005", 5_000_000),
        ("$0.645", 645_000),
        ("1.005", 1_005_000),
        (".5", 500_000),
        ("0.000001", 1),
        ("0.5" + 100 * "0", 500_000),
        ("999999.999999", 999_999_999_999),
        ("1000000", AMOUNT_MAX_MICROUSD),
    ],
)
def test_an_amount_that_was_typed_is_read_exactly(text, amount_microusd):
    assert amount_from_text(text) == amount_microusd


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$1,50", AmountProblem.COMMA),
        ("1,000", AmountProblem.COMMA),
        ("-1", AmountProblem.NEGATIVE),
        ("-$1", AmountProblem.NEGATIVE),
        ("$-1", AmountProblem.NEGATIVE),
        ("-0", AmountProblem.NEGATIVE),
        ("0", AmountProblem.ZERO),
        ("$0.00", AmountProblem.ZERO),
        ("0.0000001", AmountProblem.TOO_FINE),
        ("1." + 99 * "0" + "1", AmountProblem.TOO_FINE),
        ("1000000.01", AmountProblem.TOO_LARGE),
        ("1000000.000001", AmountProblem.TOO_LARGE),
        (100 * "9", AmountProblem.TOO_LARGE),
        (6_000 * "9", AmountProblem.TOO_LARGE),
        *[
            (text, AmountProblem.NOT_A_NUMBER)
            for text in (
                *("", " ", "$", ".", "$.", "5.", "5..5", "1.5.0", "five", "free", "1 000", "1_000", "+5", "1e5"),
                *("0x10", "NaN", "Infinity", "inf", "5$", "$$5", "5\x00", "5%"),
                *("\N{ARABIC-INDIC DIGIT FIVE}", "5\N{ARABIC-INDIC DIGIT FIVE}", "0.\N{FULLWIDTH DIGIT FIVE}", "²"),
            )
        ],
    ],
)
def test_what_is_no_plain_amount_is_refused_with_what_is_wrong(text, problem):
    with pytest.raises(AmountRejected) as refused:
        amount_from_text(text)

    assert (refused.value.text, refused.value.problem) == (text, problem)


@pytest.mark.parametrize("text", ["0", "$0", "0.00", ".0"])
def test_zero_is_an_amount_only_where_it_is_asked_for(text):
    assert amount_from_text(text, zero=True) == 0


def test_asking_for_zero_lets_nothing_else_through():
    with pytest.raises(AmountRejected):
        amount_from_text("-0.01", zero=True)
