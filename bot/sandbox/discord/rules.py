"""The small questions every form check asks, each refusing with 50035 at its place."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from bot.sandbox.discord.errors import invalid_form

CUSTOM_ID_CHARS_MAX = 100


def length(where: str, value: Sequence[Any] | None, low: int, high: int) -> None:
    """Refuses a text or list outside low..high; a missing one counts as empty."""
    size = len(value or ())
    if not low <= size <= high:
        raise invalid_form(where, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")


def in_range(where: str, value: Any, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise invalid_form(where, "NUMBER_TYPE_RANGE", f"Must be between {low:g} and {high:g}.")


def unique(where: str, values: Iterable[Hashable], what: str) -> None:
    values = list(values)
    if len(set(values)) != len(values):
        raise invalid_form(where, "DUPLICATE", f"Every {what} must be unique.")


def must(holds: bool, where: str, code: str, message: str) -> None:
    if not holds:
        raise invalid_form(where, code, message)


def custom_id(where: str, value: str | None) -> None:
    length(f"{where}.custom_id", value, 1, CUSTOM_ID_CHARS_MAX)
