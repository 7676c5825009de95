"""Whole microdollars: reading them from decimal text and showing them exactly."""

from decimal import ROUND_CEILING, Decimal, InvalidOperation

MICROUSD_PER_USD = 1_000_000


def microusd_from_usd(usd: Decimal) -> int:
    """Return the whole microdollars of a dollar amount.

    A fraction of one is rounded up, so that nothing is sold below its price.

    Raises:
        ValueError: the amount is negative or not finite.
    """
    if not usd.is_finite() or usd < 0:
        raise ValueError("an amount of money must be finite and not negative")
    return int((usd * MICROUSD_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def microusd_from_text(text: str) -> int:
    """Read a decimal dollar amount such as ``0.645``.

    Raises:
        ValueError: the text is no plain decimal number of dollars.
    """
    try:
        return microusd_from_usd(Decimal(text.strip()))
    except InvalidOperation as error:
        raise ValueError("not a decimal amount of dollars") from error


def show_usd(amount_microusd: int) -> str:
    """Write an amount exactly: two decimals, more only where they are not zero (``$0.645``, ``$5.00``)."""
    sign = "-" if amount_microusd < 0 else ""
    dollars, micros = divmod(abs(amount_microusd), MICROUSD_PER_USD)
    decimals = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{decimals}"
