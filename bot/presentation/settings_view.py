"""What a settings card shows, and the custom ids by which its buttons, lists and forms are answered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from discord import SelectOption, ui

from bot.domain.guild_choices import GuildChoices, Offered
from bot.presentation.card_age import OPENED
from bot.presentation.layout import Layout

# Discord's longest choice.
CHOSEN_MAX = 25
GATEWAYS = "gateways"
FORM_VALUE = "value"
_WHAT = r"(?P<what>[a-z_]{1,30})"
SETTINGS_ID = re.compile(
    rf"gallop:settings:(?P<does>show|set|ask|tidy|pause|resume):(?P<page>where|defaults|money):{_WHAT}:{OPENED}"
)
FORM_ID = re.compile(rf"gallop:settings-form:{_WHAT}:{OPENED}")


class Page(StrEnum):
    """The pages of the card."""

    WHERE = "where"
    DEFAULTS = "defaults"
    MONEY = "money"


class Does(StrEnum):
    """What a button or select of the card does."""

    SHOW = "show"
    SET = "set"
    ASK = "ask"
    TIDY = "tidy"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class SettingsView:
    """What a card shows. `gone` are channels and roles that were deleted; `mark` says when the card was opened."""

    choices: GuildChoices
    offered: Offered
    gone: frozenset[int]
    mark: str

    def custom_id(self, does: Does, page: Page, what: str = "page") -> str:
        return f"gallop:settings:{does.value}:{page.value}:{what}:{self.mark}"


def select_row(
    view: SettingsView,
    page: Page,
    what: str,
    options: Sequence[SelectOption],
    *,
    placeholder: str = "",
    least: int = 0,
    most: int = 1,
) -> ui.ActionRow[Layout]:
    custom_id = view.custom_id(Does.SET, page, what)
    select: ui.Select[Layout] = ui.Select(
        custom_id=custom_id,
        placeholder=placeholder or None,
        min_values=least,
        max_values=most,
        options=list(options),
        required=False,
    )
    return ui.ActionRow(select)
