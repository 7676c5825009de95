"""Money is whole, exact and never rounded in anybody's favour."""

from decimal import Decimal

import pytest

from bot.domain.money import microusd_from_text, microusd_from_usd, show_usd


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
    assert microusd_from_text("0.129") * 5 == 645_000


def test_a_fraction_of_a_microdollar_is_rounded_up():
    assert microusd_from_usd(Decimal("0.0000001")) == 1


@pytest.mark.parametrize("text", ["", "free", "1,50", "$1", "NaN", "Infinity", "-1"])
def test_what_is_no_amount_of_dollars_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        microusd_from_text(text)
