"""The cards that ask before money is spent: a price with its cheaper choices, and a refusal with what would pass."""

from collections.abc import Sequence
from enum import StrEnum

from discord import ButtonStyle, ui

from bot.domain.errors import QuoteChanged
from bot.domain.kept_quotes import Choice, KeptQuote
from bot.domain.money import show_usd
from bot.domain.quota import LimitKind, narrowest
from bot.domain.request import Mode, VideoRequest
from bot.presentation.layout import Accent, Layout, boxed, plain, text
from bot.presentation.limit_words import left_words
from bot.presentation.markdown import shown
from bot.presentation.replies import reply
from bot.presentation.words import DOT, FREE, MODE_WORDS, capital, counted, gateway_and_model, stamp

CANCEL = "cancel"
QUOTE_ID = r"gallop:quote:(?P<quote_id>[0-9]+-[0-9]+):(?P<choice>[0-9]|cancel)"
QUOTA_ID = "gallop:show-quota"
_PREVIEW = "A free preview is pictures in slow moves, no generated video."


class Gone(StrEnum):
    """What a card says once its quote is over."""

    EXPIRED = "This offer has expired. Nothing was held.\nAsk again with `/video` for a new one."
    CANCELLED = "Cancelled. Nothing was held."


def quote_card(kept: KeptQuote) -> Layout:
    """Return the price and what it leaves, with buttons to take it, to take less, or to leave it."""
    first, *others = kept.choices
    price = show_usd(first.price_microusd)
    make = f"Make it for {price}" if first.price_microusd else "Make the free preview"
    takes = f", and usually takes {_lasting(kept.usual_s)}" if kept.usual_s else ""
    items: list[ui.Item[Layout]] = [
        text(f"**{shown(first.quote.request.prompt)}**", _settings(first, len(kept.images))),
        text(
            _changed(kept),
            f"This costs **{price}**{takes}.",
            _left(kept),
            f"Nothing is on hold yet. This offer ends {stamp(kept.expires_at)}.",
            _why(kept),
        ),
        ui.ActionRow(
            _button(make, kept, "0", ButtonStyle.primary),
            _button("Cancel", kept, CANCEL),
        ),
    ]
    if others:
        has_preview = any(not choice.price_microusd for choice in others)
        items.append(text("Or for less:", f"-# {_PREVIEW}" if has_preview else ""))
        items.append(ui.ActionRow(*(_choice_button(kept, n) for n in range(1, len(kept.choices)))))
    return boxed(Accent.GREY, *items)


def refusal_card(refusal: str, kept: KeptQuote | None) -> Layout:
    """Return a limit's refusal with a button that takes what would pass, where something would."""
    buttons = [_choice_button(kept, 0)] if kept else []
    return plain(text(refusal), ui.ActionRow(*buttons, _quota_button()))


def expired_refusal_card(refusal: str, kept: KeptQuote) -> Layout:
    """Return the refusal once what would have passed is offered no more."""
    offer = _label(kept.choices[0], kept.asked) if kept.choices[0].price_microusd else FREE
    return plain(text(refusal, f"-# The offer ({offer}) has expired."), ui.ActionRow(_quota_button()))


def gone_card(gone: Gone) -> Layout:
    return boxed(Accent.GREY, text(gone.value))


def _changed(kept: KeptQuote) -> str:
    if kept.was_microusd is None:
        return ""
    return reply(QuoteChanged(kept.was_microusd, kept.choices[0].price_microusd))


def _settings(choice: Choice, pictures: int) -> str:
    request, facts = choice.quote.request, choice.quote.offer.capabilities
    settings = [MODE_WORDS[request.mode], counted(pictures, "picture") if pictures else ""]
    settings += [f"{request.duration_s} s", request.resolution.value, request.ratio or ""]
    settings += [f"{choice.ask.ratio}" if request.mode is Mode.IMAGE and choice.ask.ratio else ""]
    settings.append(gateway_and_model(facts.title, facts.model_title))
    return DOT.join(setting for setting in settings if setting)


def _left(kept: KeptQuote) -> str:
    # How much the whole bot may still spend is the operator's business.
    known = [standing for standing in kept.standings_after if standing.kind is not LimitKind.BOT]
    least = narrowest(known)
    return f"After it {left_words(least)}." if least else ""


def _why(kept: KeptQuote) -> str:
    if kept.threshold is None:
        return ""
    above = show_usd(kept.threshold.above_microusd)
    dearer = f"videos above {above}" if kept.threshold.above_microusd else "every paid video"
    asks = "You wished to be asked" if kept.threshold.own else "On this server you are asked"
    return f"-# {asks} before {dearer}."


def _lasting(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} seconds"
    return f"about {round(seconds / 60)} minutes"


def _choice_button(kept: KeptQuote, number: int) -> ui.Button[Layout]:
    return _button(_label(kept.choices[number], kept.asked), kept, str(number))


def _label(choice: Choice, asked: VideoRequest) -> str:
    """Name what is different from what was asked, with its price: "720p, 4 s for $0.516"."""
    if not choice.price_microusd:
        return capital(FREE)
    return f"{', '.join(_differences(choice, asked)) or 'Make it'} for {show_usd(choice.price_microusd)}"


def _differences(choice: Choice, asked: VideoRequest) -> Sequence[str]:
    request = choice.quote.request
    parts = [request.resolution.value] if request.resolution is not asked.resolution else []
    parts += [f"{request.duration_s} s"] if request.duration_s != asked.duration_s else []
    # Without a named gateway it is the cheapest each time, whoever that is.
    is_other = choice.quote.is_named and request.gateway != asked.gateway
    return [*parts, choice.quote.offer.capabilities.title] if is_other else parts


def _button(label: str, kept: KeptQuote, choice: str, style: ButtonStyle = ButtonStyle.secondary) -> ui.Button[Layout]:
    return ui.Button(label=label, style=style, custom_id=f"gallop:quote:{kept.quote_id}:{choice}")


def _quota_button() -> ui.Button[Layout]:
    return ui.Button(label="Quota", style=ButtonStyle.secondary, custom_id=QUOTA_ID)
