"""The card on which managers see and change their guild's settings, and the forms behind it."""

from collections.abc import Mapping
from typing import Final

from discord import ButtonStyle, ChannelType, Object, SelectDefaultValue, SelectOption, ui

from bot.domain.guild import GuildField
from bot.domain.guild_choices import GuildChoices
from bot.domain.money import show_usd
from bot.domain.request import DURATION_MAX_S, DURATION_MIN_S, GATEWAY_AUTO, RATIO_DEFAULT, RATIOS, Resolution
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.setting_words import titles, zone_words
from bot.presentation.settings_view import FORM_VALUE, Does, Page, SettingsView, select_row
from bot.presentation.settings_where import where_page
from bot.presentation.words import counted

_VALUE_CHARACTERS_MAX = 60
_TITLES: Final[Mapping[Page, str]] = {
    Page.WHERE: "Where and who",
    Page.DEFAULTS: "Defaults",
    Page.MONEY: "Money and time",
}


def settings_card(view: SettingsView, page: Page, note: str = "") -> Layout:
    """Return one page. `note` says what has just happened."""
    items = {Page.WHERE: where_page, Page.DEFAULTS: _defaults, Page.MONEY: _money}[page](view)
    turning: list[ui.Button[Layout]] = [
        ui.Button(
            label=title,
            style=ButtonStyle.secondary,
            custom_id=view.custom_id(Does.SHOW, each),
            disabled=each is page,
        )
        for each, title in _TITLES.items()
    ]
    head = text(note, f"**Settings of this server: {_TITLES[page].lower()}**")
    return boxed(Accent.GREY, head, *items, ui.Separator(), ui.ActionRow(*turning))


def _defaults(view: SettingsView) -> list[ui.Item[Layout]]:
    usual, page = view.choices.settings.defaults, Page.DEFAULTS
    resolutions = [
        SelectOption(label=each.value, value=each.value, default=each is usual.resolution) for each in Resolution
    ]
    durations = [
        SelectOption(label=f"{seconds} s", value=str(seconds), default=seconds == usual.duration_s)
        for seconds in range(DURATION_MIN_S, DURATION_MAX_S + 1)
    ]
    ratios = [SelectOption(label=ratio, value=ratio, default=ratio == usual.ratio) for ratio in RATIOS]
    names = {GATEWAY_AUTO: "Auto: the cheapest that can make it", **view.offered.gateways}
    gateways = [SelectOption(label=title, value=name, default=name == usual.gateway) for name, title in names.items()]
    return [
        text("What counts where a member chooses nothing. What rules forbid stays forbidden."),
        text("**Resolution**"),
        select_row(view, page, GuildField.RESOLUTION, resolutions, least=1),
        text("**Length**"),
        select_row(view, page, GuildField.DURATION, durations, least=1),
        text("**Ratio**; `/video image` keeps the picture's own"),
        select_row(view, page, GuildField.RATIO, ratios, placeholder=f"{RATIO_DEFAULT}, as everywhere"),
        text("**Gateway**", *_gateway_in_vain(view)),
        select_row(view, page, GuildField.GATEWAY, gateways, placeholder="Auto", least=1),
    ]


def _gateway_in_vain(view: SettingsView) -> list[str]:
    name, allowed = view.choices.settings.defaults.gateway, view.choices.gateways
    if name == GATEWAY_AUTO or name in view.offered.free:
        return []
    if name not in view.offered.gateways:
        return [f"{titles([name], view.offered)[0]}: auto counts in its place."]
    if allowed is not None and name not in allowed:
        return [f"{view.offered.gateways[name]} is not allowed here: auto counts in its place."]
    return []


def _money(view: SettingsView) -> list[ui.Item[Layout]]:
    settings = view.choices.settings
    audit_channel_id = settings.audit_channel_id
    chosen = [] if audit_channel_id is None or audit_channel_id in view.gone else [Object(audit_channel_id)]
    lost = f"The chosen channel `{audit_channel_id}` was deleted." if audit_channel_id and not chosen else ""
    return [
        _asking(view, GuildField.CONFIRM_ABOVE, "Confirmation", _confirmation(view.choices)),
        _asking(
            view,
            GuildField.TIME_ZONE,
            "Time zone",
            f"{zone_words(view.choices)}\nThis server's limits begin anew at midnight there.",
        ),
        _asking(view, GuildField.RETENTION, "Videos are kept for", _retention(view)),
        text(
            "**Audit channel**, where every act of managers and operators is posted",
            "Whoever can read the channel can read them.",
            lost,
        ),
        ui.ActionRow(
            ui.ChannelSelect(
                custom_id=view.custom_id(Does.SET, Page.MONEY, GuildField.AUDIT_CHANNEL),
                channel_types=[ChannelType.text, ChannelType.news],
                placeholder="None",
                min_values=0,
                default_values=[SelectDefaultValue.from_channel(each) for each in chosen],
            )
        ),
    ]


def _confirmation(choices: GuildChoices) -> str:
    above_microusd = choices.settings.confirm_above_microusd
    if above_microusd is None:
        return "none\nMembers who want to be asked before a video is paid set that in `/video quota`."
    which = "every paid video" if above_microusd == 0 else f"videos of more than {show_usd(above_microusd)}"
    return f"{which}\nTheir price is shown first, and nothing is held until it is confirmed."


def _retention(view: SettingsView) -> str:
    days, most = view.choices.settings.retention_days, view.offered.retention_days_max
    kept = f"{counted(most, 'day')}, as the operator set" if days is None else counted(min(days, most), "day")
    return f"{kept}\nThen the bot deletes prompts, pictures and its copy of the video; what stands in Discord stays."


def _asking(view: SettingsView, field: GuildField, name: str, words: str) -> ui.Item[Layout]:
    button: ui.Button[Layout] = ui.Button(
        label="Change", style=ButtonStyle.secondary, custom_id=view.custom_id(Does.ASK, Page.MONEY, field)
    )
    return ui.Section(f"**{name}:** {words}", accessory=button)


def settings_form(field: GuildField, view: SettingsView) -> ui.Modal:
    """Return the form for a setting that is typed. It is answered by its custom id, also after a restart."""
    settings, most = view.choices.settings, view.offered.retention_days_max
    above_microusd, days = settings.confirm_above_microusd, settings.retention_days
    title, asked, hint, now = {
        GuildField.CONFIRM_ABOVE: (
            "Confirmation",
            "Confirm videos of more than, in dollars",
            "Such as 1.50. 0 confirms every paid video; empty asks nobody.",
            # Amounts are read without signs between the thousands.
            "" if above_microusd is None else show_usd(above_microusd).removeprefix("$").replace(",", ""),
        ),
        GuildField.TIME_ZONE: (
            "Time zone",
            "Name of the zone, or a city it is named after",
            "Such as Europe/Berlin. It counts from next month on. Empty: UTC.",
            settings.time_zone.next_name or settings.time_zone.name,
        ),
        GuildField.RETENTION: (
            "How long videos are kept",
            f"Days, 1 to {most}",
            f"Empty: {counted(most, 'day')}, as the operator set. What is deleted cannot be brought back.",
            "" if days is None else str(min(days, most)),
        ),
    }[field]
    form = ui.Modal(title=title, custom_id=f"gallop:settings-form:{field.value}:{view.mark}")
    entry: ui.TextInput[ui.Modal] = ui.TextInput(
        custom_id=FORM_VALUE, default=now or None, required=False, max_length=_VALUE_CHARACTERS_MAX
    )
    form.add_item(ui.Label(text=asked, description=hint, component=entry))
    # discord.py keeps a form that is not finished in memory, to wait for its answer itself.
    form.stop()
    return form
