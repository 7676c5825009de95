"""Says in one or two lines what a setting of a guild is now, and since when it counts."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from bot.domain.guild import GuildField
from bot.domain.guild_choices import GuildChoices, Offered
from bot.domain.money import show_usd
from bot.domain.request import GATEWAY_AUTO, RATIO_DEFAULT
from bot.presentation.words import counted, date, listed

_NEXT = "from the next command on"
_MENTIONS_MAX = 25

PAUSED = (
    "New videos are paused in this server from now on.\nWhat a gateway has already goes on. What waits in line waits "
    "an hour at most, then its price is released. `/video-admin resume` ends the pause."
)
RESUMED = "New videos can be made in this server again. What waited in line goes on."


def changed_text(field: GuildField, choices: GuildChoices, offered: Offered) -> str:
    """Return what is said after a setting was changed; the same again says the same."""
    return _TEXTS[field](choices, offered)


def gateways_text(choices: GuildChoices, offered: Offered) -> str:
    """Return what is said after the allowed gateways were changed."""
    if choices.gateways is None:
        return f"Every gateway may be used, {_NEXT}."
    who = listed(titles(choices.gateways, offered), last="or")
    return f"Videos are made only by {who}, {_NEXT}. The free preview is always allowed."


def titles(names: Collection[str], offered: Offered) -> list[str]:
    """Return the titles of gateways; one that is not there any more is named as it was stored."""
    return [offered.gateways.get(name, f"{name} (not there any more)") for name in sorted(names)]


def mentions(form: str, ids: Collection[int], *, last: str = "and") -> str:
    """Join mentions as in a sentence; those that are too many are counted."""
    shown = [form.format(id=each) for each in sorted(ids)[:_MENTIONS_MAX]]
    more = len(ids) - len(shown)
    return listed([*shown, f"{more} more"]) if more else listed(shown, last=last)


def zone_words(choices: GuildChoices) -> str:
    """Return the time zone, and the one that follows it: "UTC; Europe/Berlin from 1 December 2026 00:00 on"."""
    zone = choices.settings.time_zone
    if zone.next_name is None or zone.next_from is None:
        return zone.name
    return f"{zone.name}; {zone.next_name} from {date(zone.next_from)} on"


def _channels(choices: GuildChoices, _: Offered) -> str:
    ids = choices.settings.channel_ids
    return f"Videos can be made in {mentions('<#{id}>', ids) if ids else 'every channel'}, {_NEXT}."


def _roles(choices: GuildChoices, _: Offered) -> str:
    ids = choices.settings.role_ids
    who = f"those who have {mentions('<@&{id}>', ids, last='or')}" if ids else "everybody"
    return f"Videos can be made by {who}, {_NEXT}."


def _paused(choices: GuildChoices, _: Offered) -> str:
    return PAUSED if choices.settings.paused else RESUMED


def _ratio(choices: GuildChoices, _: Offered) -> str:
    ratio = choices.settings.defaults.ratio or f"{RATIO_DEFAULT}, as everywhere"
    return f"The default ratio is {ratio}, {_NEXT}."


def _gateway(choices: GuildChoices, offered: Offered) -> str:
    name = choices.settings.defaults.gateway
    what = "auto, the cheapest that can make it" if name == GATEWAY_AUTO else titles([name], offered)[0]
    return f"The default gateway is {what}, {_NEXT}."


def _confirmation(choices: GuildChoices, _: Offered) -> str:
    above_microusd = choices.settings.confirm_above_microusd
    if above_microusd is None:
        return f"Nobody is asked before a video is made, {_NEXT}; people can still ask for it for themselves."
    if above_microusd == 0:
        return f"Before every paid video its price is shown and confirmed, {_NEXT}."
    return f"Before a video of more than {show_usd(above_microusd)} its price is shown and confirmed, {_NEXT}."


def _time_zone(choices: GuildChoices, _: Offered) -> str:
    zone = choices.settings.time_zone
    if zone.next_name is None or zone.next_from is None:
        return f"The time zone is {zone.name}."
    return (
        f"The time zone is {zone.next_name} from {date(zone.next_from)} on; until then {zone.name} counts, so that no "
        "limit begins anew early."
    )


def _retention(choices: GuildChoices, offered: Offered) -> str:
    days = choices.settings.retention_days
    if days is None:
        return f"Videos are kept for {counted(offered.retention_days_max, 'day')}, as the operator set."
    return f"Videos are kept for {counted(days, 'day')}. Older ones are deleted within the next minutes."


def _audit_channel(choices: GuildChoices, _: Offered) -> str:
    channel_id = choices.settings.audit_channel_id
    if channel_id is None:
        return "What managers and operators do is posted nowhere; `/video-admin audit` shows it."
    return f"What managers and operators do is posted in <#{channel_id}> from now on."


_TEXTS: Final[Mapping[GuildField, Callable[[GuildChoices, Offered], str]]] = {
    GuildField.CHANNELS: _channels,
    GuildField.ROLES: _roles,
    GuildField.PAUSED: _paused,
    GuildField.RESOLUTION: lambda made, _: f"The default resolution is {made.settings.defaults.resolution}, {_NEXT}.",
    GuildField.DURATION: lambda made, _: f"The default length is {made.settings.defaults.duration_s} s, {_NEXT}.",
    GuildField.RATIO: _ratio,
    GuildField.GATEWAY: _gateway,
    GuildField.CONFIRM_ABOVE: _confirmation,
    GuildField.TIME_ZONE: _time_zone,
    GuildField.RETENTION: _retention,
    GuildField.AUDIT_CHANNEL: _audit_channel,
}


def closed_channel_text(missing: Collection[str]) -> str:
    """Say what the bot lacks in the audit channel, and what happens until it has it."""
    return f"The bot cannot write there yet: it lacks {listed(list(missing))}. Until then acts wait, a day at most."
