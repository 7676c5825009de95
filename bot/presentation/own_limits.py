"""The buttons and forms by which people set their own lower limits and when they are asked, and what is said of it."""

import re
from collections.abc import Mapping
from enum import StrEnum

from discord import ui

from bot.domain.guild import PersonSettings
from bot.domain.money import show_usd
from bot.domain.personal import WhereIStand
from bot.domain.windows import Window
from bot.presentation.layout import Layout
from bot.presentation.limit_words import limit_source
from bot.presentation.words import WINDOW_EACH, listed

BUTTON_ID = re.compile(r"gallop:quota:(?P<form>limits|ask)")
FORM_ID = re.compile(r"gallop:quota-form:(?P<form>limits|ask)")
ABOVE = "above"
_TYPED_MAX = 20
_ABOUT_LIMITS = "In all servers together, in UTC. Empty: no limit of your own. 0: nothing paid."


class Form(StrEnum):
    """What a person sets for themselves in one form."""

    LIMITS = "limits"
    ASK = "ask"


def own_limit_buttons() -> ui.ActionRow[Layout]:
    return ui.ActionRow(
        ui.Button(label="My limits", custom_id=f"gallop:quota:{Form.LIMITS}"),
        ui.Button(label="Ask me before spending", custom_id=f"gallop:quota:{Form.ASK}"),
    )


def own_form(form: Form, settings: PersonSettings) -> ui.Modal:
    """Return a form with what is set now. It is answered by its custom id, also after a restart."""
    made = ui.Modal(
        title="My own limits" if form is Form.LIMITS else "Ask me before spending",
        custom_id=f"gallop:quota-form:{form}",
    )
    if form is Form.LIMITS:
        for window, amount in own_amounts(settings).items():
            label = f"At most so many dollars {WINDOW_EACH[window]}"
            made.add_item(_field(window, label, _ABOUT_LIMITS, amount))
    else:
        label = "Ask me above this price, in dollars"
        about = "Empty: only where a server wants it. 0: before every paid video."
        made.add_item(_field(ABOVE, label, about, settings.confirm_above_microusd))
    # discord.py keeps a form that is not finished in memory, to wait for its answer itself.
    made.stop()
    return made


def own_amounts(settings: PersonSettings) -> Mapping[Window, int | None]:
    amounts = (settings.day_microusd, settings.week_microusd, settings.month_microusd)
    return dict(zip(Window, amounts, strict=True))


def _field(name: str, label: str, about: str, amount_microusd: int | None) -> ui.Label[ui.Modal]:
    # Amounts are read without signs between the thousands.
    typed = None if amount_microusd is None else show_usd(amount_microusd).removeprefix("$").replace(",", "")
    entry: ui.TextInput[ui.Modal] = ui.TextInput(
        custom_id=name, default=typed, placeholder="for example 5 or 2.50", max_length=_TYPED_MAX, required=False
    )
    return ui.Label(text=label, description=about, component=entry)


def limits_set_text(stand: WhereIStand) -> str:
    """Return what the person's own limits are now, and which of them change nothing."""
    amounts = [
        f"{show_usd(amount)} {WINDOW_EACH[window]}"
        for window, amount in own_amounts(stand.own).items()
        if amount is not None
    ]
    if not amounts:
        return "You have no limits of your own now."
    lines = [f"Your own limits are now {listed(amounts)}."]
    for own, lower in stand.without_effect():
        mine, less = (f"{show_usd(each.limit or 0)} {WINDOW_EACH[each.window]}" for each in (own, lower))
        lines.append(f"{mine} has no effect now; what counts is {less} ({limit_source(lower)}).")
    return "\n".join(lines)


def ask_set_text(stand: WhereIStand) -> str:
    """Return before which videos the person is asked now."""
    own = stand.own.confirm_above_microusd
    if own is None:
        return "You are asked only where a server wants it now."
    return f"You are asked before {asked_before(own)} now."


def asked_before(above_microusd: int) -> str:
    return f"a video of more than {show_usd(above_microusd)}" if above_microusd else "every paid video"
