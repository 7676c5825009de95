"""Answers the buttons of messages by their custom ids, also of messages shown before a restart."""

import re
from collections.abc import Awaitable, Callable

import discord
from discord import ui

from bot.presentation.layout import Layout

Answer = Callable[[discord.Interaction, re.Match[str]], Awaitable[None]]


def buttons_of(custom_ids: re.Pattern[str], answer: Answer) -> type[ui.DynamicItem[ui.Button[Layout]]]:
    """Return what gives a press on one of these buttons to `answer`, with the match of its custom id."""

    class KnownButton(ui.DynamicItem[ui.Button[Layout]], template=custom_ids):
        def __init__(self, button: ui.Button[Layout], match: re.Match[str]) -> None:
            super().__init__(button)
            self._match = match

        @classmethod
        async def from_custom_id(
            cls, _interaction: discord.Interaction, item: ui.Item[Layout], match: re.Match[str], /
        ) -> "KnownButton":
            return cls(ui.Button(custom_id=match[0]), match)

        async def callback(self, interaction: discord.Interaction) -> None:
            await answer(interaction, self._match)

    return KnownButton
