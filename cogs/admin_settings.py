"""`/video-admin settings`, `time-zone`, `pause` and `resume`: what managers choose for their server."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.errors import RequestRejected, VideoBotError
from bot.domain.guild import GuildField
from bot.domain.guild_choices import GuildChoices, SettingsService, zone_key
from bot.presentation.card_age import opened_mark, require_fresh
from bot.presentation.guild_settings import settings_card, settings_form
from bot.presentation.replies import error_reply, reply
from bot.presentation.setting_words import changed_text, closed_channel_text, gateways_text
from bot.presentation.settings_view import FORM_ID, FORM_VALUE, GATEWAYS, SETTINGS_ID, Does, Page, SettingsView
from cogs.answers import button_answer, private_answer
from cogs.forms import chosen, custom_id_of, typed
from cogs.gone import gone_of, require_here
from cogs.options import CHOICES_MAX
from cogs.places import managed_guild_id, missing_to_write


class SettingsAdmin(commands.Cog):
    """The part of `/video-admin` that is about settings. Discord's command permissions say who may use it."""

    _settings: SettingsService

    @app_commands.command(description="See and change this server's settings: channels, roles, defaults, time zone.")
    async def settings(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            choices = await self._settings.choices(managed_guild_id(interaction))
            view = self._view(interaction, choices, opened_mark(self._settings.now))
            await answer.show(settings_card(view, Page.WHERE))

    @app_commands.command(name="time-zone", description="Set the time zone in which this server's limits begin anew.")
    @app_commands.describe(zone="A city or zone, such as Europe/Berlin. It counts from next month on. Required.")
    async def time_zone(self, interaction: discord.Interaction, zone: app_commands.Range[str, 1, 60]) -> None:
        async with private_answer(interaction) as answer:
            _, said = await self._change(interaction, GuildField.TIME_ZONE, [zone])
            await answer.say(said)

    @time_zone.autocomplete("zone")
    async def _zones(self, _: discord.Interaction, begun: str) -> list[app_commands.Choice[str]]:
        """Return the zones that what was typed may mean, cities that begin so first, each with its clock's time."""
        wanted, now = zone_key(begun), datetime.now(UTC)
        names = [name for name in await self._settings.time_zones() if wanted in zone_key(name)]
        names.sort(key=lambda name: not zone_key(name).rpartition("/")[2].startswith(wanted))
        return [
            app_commands.Choice(name=f"{name} ({now.astimezone(ZoneInfo(name)):%H:%M} now)", value=name)
            for name in names[:CHOICES_MAX]
        ]

    @app_commands.command(description="Pause new videos in this server. Those that are being made go on.")
    async def pause(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            _, said = await self._change(interaction, GuildField.PAUSED, ["paused"])
            await answer.say(said)

    @app_commands.command(description="Let new videos be made in this server again.")
    async def resume(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            _, said = await self._change(interaction, GuildField.PAUSED, [])
            await answer.say(said)

    @commands.Cog.listener("on_interaction")
    async def on_settings_interaction(self, interaction: discord.Interaction) -> None:
        """Answer the card and its forms by their custom ids, also those shown before a restart."""
        custom_id = custom_id_of(interaction)
        if interaction.type is discord.InteractionType.component:
            match = SETTINGS_ID.fullmatch(custom_id)
            if match is not None and match["does"] == Does.ASK:
                await self._ask(interaction, match)
            elif match is not None:
                await self._press(interaction, match)
        elif interaction.type is discord.InteractionType.modal_submit:
            match = FORM_ID.fullmatch(custom_id)
            if match is not None:
                await self._take(interaction, match)

    async def _ask(self, interaction: discord.Interaction, match: re.Match[str]) -> None:
        """Show the form for a setting. A form must be the first answer, so nothing is deferred here."""
        try:
            require_fresh(match["opened"], self._settings.now)
            choices = await self._settings.choices(managed_guild_id(interaction))
        except VideoBotError as error:
            await interaction.response.send_message(error_reply(error), ephemeral=True)
        else:
            view = self._view(interaction, choices, match["opened"])
            await interaction.response.send_modal(settings_form(GuildField(match["what"]), view))

    async def _take(self, interaction: discord.Interaction, match: re.Match[str]) -> None:
        """Take in what was typed; the card comes back with what became of it."""
        async with button_answer(interaction) as answer:
            require_fresh(match["opened"], self._settings.now)
            field = GuildField(match["what"])
            choices, note = await self._tried(interaction, Does.SET, field, [typed(interaction).get(FORM_VALUE, "")])
            await answer.show(settings_card(self._view(interaction, choices, match["opened"]), Page.MONEY, note))

    async def _press(self, interaction: discord.Interaction, match: re.Match[str]) -> None:
        """Do what a button or a list is for; the card comes back with what became of it."""
        async with button_answer(interaction) as answer:
            require_fresh(match["opened"], self._settings.now)
            does, what = Does(match["does"]), match["what"]
            choices, note = await self._tried(interaction, does, what, chosen(interaction))
            view = self._view(interaction, choices, match["opened"])
            await answer.show(settings_card(view, Page(match["page"]), note))

    async def _tried(
        self, interaction: discord.Interaction, does: Does, what: str, values: list[str]
    ) -> tuple[GuildChoices, str]:
        """Change something; return what is chosen now, and what is said, also where it was refused."""
        try:
            return await self._done(interaction, does, what, values)
        except RequestRejected as error:
            return await self._settings.choices(managed_guild_id(interaction)), reply(error)

    async def _done(
        self, interaction: discord.Interaction, does: Does, what: str, values: list[str]
    ) -> tuple[GuildChoices, str]:
        guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
        match does:
            case Does.PAUSE:
                return await self._change(interaction, GuildField.PAUSED, ["paused"])
            case Does.RESUME:
                return await self._change(interaction, GuildField.PAUSED, [])
            case Does.TIDY:
                field = GuildField(what)
                gone = gone_of(interaction.guild, (await self._settings.choices(guild_id)).settings)
                choices = await self._settings.forget(guild_id, field, gone, actor_id=actor_id)
                return choices, changed_text(field, choices, self._settings.offered)
            case Does.SET if what == GATEWAYS:
                choices = await self._settings.allow_gateways(guild_id, values, actor_id=actor_id)
                return choices, gateways_text(choices, self._settings.offered)
            case Does.SET:
                return await self._change(interaction, GuildField(what), values)
            case _:
                return await self._settings.choices(guild_id), ""

    async def _change(
        self, interaction: discord.Interaction, field: GuildField, values: list[str]
    ) -> tuple[GuildChoices, str]:
        guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
        require_here(interaction.guild, field, values, (await self._settings.choices(guild_id)).settings)
        choices = await self._settings.change(guild_id, field, values, actor_id=actor_id)
        said = changed_text(field, choices, self._settings.offered)
        missing = _missing_in(interaction.guild, choices) if field is GuildField.AUDIT_CHANNEL else ()
        return choices, f"{said}\n{closed_channel_text(missing)}" if missing else said

    def _view(self, interaction: discord.Interaction, choices: GuildChoices, mark: str) -> SettingsView:
        return SettingsView(choices, self._settings.offered, gone_of(interaction.guild, choices.settings), mark)


def _missing_in(guild: discord.Guild | None, choices: GuildChoices) -> tuple[str, ...]:
    """Return what the bot lacks to write in the audit channel."""
    channel = guild.get_channel(choices.settings.audit_channel_id or 0) if guild is not None else None
    if guild is None or channel is None:
        return ()
    return missing_to_write(channel.permissions_for(guild.me), in_thread=False)
