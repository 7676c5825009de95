"""The page of the settings card that says where and by whom videos can be made, and by which gateways."""

from collections.abc import Collection

from discord import ButtonStyle, ChannelType, Object, SelectDefaultValue, SelectOption, ui

from bot.domain.guild import GuildField
from bot.presentation.layout import Layout, text
from bot.presentation.setting_words import mentions, titles
from bot.presentation.settings_view import CHOSEN_MAX, GATEWAYS, Does, Page, SettingsView, select_row
from bot.presentation.words import listed

_DELETED_SHOWN_MAX = 5
# Where a video can be asked for; a thread counts as its channel.
_PLACES = [
    ChannelType.text,
    ChannelType.news,
    ChannelType.voice,
    ChannelType.stage_voice,
    ChannelType.forum,
]


def where_page(view: SettingsView) -> list[ui.Item[Layout]]:
    settings = view.choices.settings
    channels, roles = settings.channel_ids, settings.role_ids
    allowed = view.choices.gateways or frozenset()
    paid = [name for name in view.offered.gateways if name not in view.offered.free]
    options = [SelectOption(label=view.offered.gateways[name], value=name, default=name in allowed) for name in paid]
    custom_ids = [view.custom_id(Does.SET, Page.WHERE, what) for what in (GuildField.CHANNELS, GuildField.ROLES)]
    return [
        text("A list without a choice allows all."),
        _pause(view),
        text(
            "**Channels** in which videos can be made", *_lost(view, channels, "channel"), *_many(channels, "channel")
        ),
        ui.ActionRow(
            ui.ChannelSelect(
                custom_id=custom_ids[0],
                channel_types=_PLACES,
                placeholder=_placeholder(channels, "Every channel"),
                min_values=0,
                max_values=CHOSEN_MAX,
                default_values=[SelectDefaultValue.from_channel(each) for each in _chosen(view, channels)],
            )
        ),
        *_tidying(view, GuildField.CHANNELS, channels),
        text("**Roles** whose members can make videos", *_lost(view, roles, "role"), *_many(roles, "role")),
        ui.ActionRow(
            ui.RoleSelect(
                custom_id=custom_ids[1],
                placeholder=_placeholder(roles, "Everybody"),
                min_values=0,
                max_values=CHOSEN_MAX,
                default_values=[SelectDefaultValue.from_role(each) for each in _chosen(view, roles)],
            )
        ),
        *_tidying(view, GuildField.ROLES, roles),
        *_gateways(view, options),
    ]


def _pause(view: SettingsView) -> ui.Item[Layout]:
    does, label, style, words = Does.PAUSE, "Pause", ButtonStyle.danger, "**New videos** can be made."
    if view.choices.settings.paused:
        does, label, style = Does.RESUME, "Resume", ButtonStyle.success
        words = "**New videos are paused.** What a gateway has already goes on."
    custom_id = view.custom_id(does, Page.WHERE)
    return ui.Section(words, accessory=ui.Button(label=label, style=style, custom_id=custom_id))


def _gateways(view: SettingsView, options: list[SelectOption]) -> list[ui.Item[Layout]]:
    unknown = [name for name in view.choices.gateways or () if name not in view.offered.gateways]
    lost = f"Allowed, too: {listed(titles(unknown, view.offered))}." if unknown else ""
    head = text("**Gateways**, the services that make the videos; the free preview is always allowed", lost)
    if not options:
        return [head, text("No gateway is set up here but the free preview.")]
    return [
        head,
        select_row(view, Page.WHERE, GATEWAYS, options, placeholder="Every gateway", most=len(options)),
    ]


def _lost(view: SettingsView, ids: Collection[int], thing: str) -> list[str]:
    """Say which of the chosen ones were deleted. When all were, nobody can make a video: then say so."""
    deleted = sorted(each for each in ids if each in view.gone)
    if not deleted:
        return []
    named = [f"`{each}`" for each in deleted[:_DELETED_SHOWN_MAX]]
    if more := len(deleted) - len(named):
        named.append(f"{more} more")
    if len(deleted) < len(ids):
        return [f"Deleted since they were chosen: {listed(named)}."]
    then = "every channel" if thing == "channel" else "everybody"
    return [
        f"All that were chosen are deleted ({listed(named)}), so nobody can make a video. Choose anew, or forget them: "
        f"then {then} is allowed."
    ]


def _many(ids: Collection[int], thing: str) -> list[str]:
    """Say what to do where a list of Discord's is too short."""
    if len(ids) > CHOSEN_MAX:
        form = "<#{id}>" if thing == "channel" else "<@&{id}>"
        what = f"A choice here takes the place of all {len(ids)}; Discord's list holds {CHOSEN_MAX}."
        return [f"{mentions(form, ids)}.", what]
    if len(ids) == CHOSEN_MAX:
        more = {
            "channel": "allow channels in Discord's Server Settings, Integrations",
            "role": "give all of them one role and choose it",
        }[thing]
        return [f"Discord's list holds {CHOSEN_MAX}. For more, {more}."]
    return []


def _placeholder(ids: Collection[int], nothing: str) -> str:
    return f"{len(ids)} chosen; choose anew" if ids else nothing


def _chosen(view: SettingsView, ids: Collection[int]) -> list[Object]:
    """Return what the list shows as chosen: nothing where not all of it can be shown, else a press would drop it."""
    there = sorted(each for each in ids if each not in view.gone)
    return [Object(each) for each in there] if len(there) <= CHOSEN_MAX else []


def _tidying(view: SettingsView, field: GuildField, ids: Collection[int]) -> list[ui.Item[Layout]]:
    if not view.gone.intersection(ids):
        return []
    label = f"Forget deleted {'channels' if field is GuildField.CHANNELS else 'roles'}"
    custom_id = view.custom_id(Does.TIDY, Page.WHERE, field.value)
    return [ui.ActionRow(ui.Button(label=label, style=ButtonStyle.secondary, custom_id=custom_id))]
