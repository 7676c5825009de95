"""Reads what was pressed, chosen from a list, or typed into a form."""

from collections.abc import Iterator
from typing import Any

import discord

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import ID_MAX


def typed(interaction: discord.Interaction) -> dict[str, str]:
    """Return the texts of a form's fields by their custom ids."""
    parts = _parts(interaction.data)
    return {str(part["custom_id"]): str(part["value"]) for part in parts if "custom_id" in part and "value" in part}


def custom_id_of(interaction: discord.Interaction) -> str:
    """Return the custom id of the button, list or form; empty where it is none of these."""
    data: Any = interaction.data or {}
    return str(data.get("custom_id", ""))


def chosen(interaction: discord.Interaction) -> list[str]:
    """Return what was chosen from a list: values, or ids of channels and roles. A button has none."""
    data: Any = interaction.data or {}
    return [str(value) for value in data.get("values") or ()]


def number_in(text: str) -> int:
    """Return an id out of a custom id.

    Raises:
        ChangeRejected: CARD_TOO_OLD, no id is that large; no card of ours has it.
    """
    number = int(text or "0")
    if number > ID_MAX:
        raise ChangeRejected(ChangeProblem.CARD_TOO_OLD)
    return number


def _parts(component: Any) -> Iterator[dict[str, Any]]:
    if isinstance(component, dict):
        yield component
        for inner in [*(component.get("components") or ()), component.get("component")]:
            yield from _parts(inner)
