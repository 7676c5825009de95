"""Whole microdollars: reading them from decimal text and showing them exactly."""

import re
from decimal import ROUND_CEILING, Decimal

from bot.domain.errors import AmountProblem, AmountRejected

MICROUSD_PER_USD = 1_000_000
AMOUNT_MAX_MICROUSD = 1_000_000 * MICROUSD_PER_USD
_DECIMALS_MAX = 6
# Digits, or nothing before the point.
_AMOUNT = re.compile(r"(?:[0-9]+|(?=\.))(?:\.(?P<decimals>[0-9]+))?")


def microusd_from_usd(usd: Decimal) -> int:
    """Return the whole microdollars of a dollar amount.

    A fraction of one is rounded up, so that nothing is sold below its price.

    Raises:
        ValueError: the amount is negative or not finite.
    """
    if not usd.is_finite() or usd < 0:
        raise ValueError("an amount of money must be finite and not negative")
    return int((usd * MICROUSD_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def amount_from_text(text: str, *, zero: bool = False) -> int:
    """Read what a person typed, such as ``5``, ``$0.645`` or ``1.005``, exactly, in microdollars.

    Raises:
        AmountRejected: it is no plain amount, is finer than a microdollar, above a million dollars, or 0 where `zero`
            does not allow it.
    """
    plain = text.strip().removeprefix("$").strip()
    if "," in plain:
        raise AmountRejected(text, AmountProblem.COMMA)
    if plain.startswith("-"):
        raise AmountRejected(text, AmountProblem.NEGATIVE)
    match = _AMOUNT.fullmatch(plain)
    if match is None:
        raise AmountRejected(text, AmountProblem.NOT_A_NUMBER)
    if len((match["decimals"] or "").rstrip("0")) > _DECIMALS_MAX:
        raise AmountRejected(text, AmountProblem.TOO_FINE)
    amount_microusd = microusd_from_usd(Decimal(plain))
    if amount_microusd > AMOUNT_MAX_MICROUSD:
        raise AmountRejected(text, AmountProblem.TOO_LARGE)
    if not amount_microusd and not zero:
        raise AmountRejected(text, AmountProblem.ZERO)
    return amount_microusd


def show_usd(amount_microusd: int) -> str:
    """Write an amount exactly: two decimals, more only where they are not zero (``$0.645``, ``$5.00``)."""
    sign = "-" if amount_microusd < 0 else ""
    dollars, micros = divmod(abs(amount_microusd), MICROUSD_PER_USD)
    decimals = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{decimals}"
