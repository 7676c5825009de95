"""`/video quota`: what somebody may still spend, and the lower limits they set for themselves."""

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot.domain.errors import VideoBotError
from bot.domain.personal import PersonalService
from bot.domain.windows import Window
from bot.presentation.layout import Layout
from bot.presentation.own_limits import (
    ABOVE,
    BUTTON_ID,
    FORM_ID,
    Form,
    ask_set_text,
    limits_set_text,
    own_form,
)
from bot.presentation.quota import quota_card
from bot.presentation.replies import error_reply
from cogs.answers import button_answer, private_answer
from cogs.buttons import buttons_of
from cogs.forms import typed
from cogs.places import spender_at


class QuotaCommand(commands.Cog):
    """`/video quota`."""

    _personal: PersonalService

    @app_commands.command(description="See what you have left, and until when. Set lower limits of your own.")
    async def quota(self, interaction: discord.Interaction) -> None:
        await self.show_quota(interaction)

    async def show_quota(self, interaction: discord.Interaction) -> None:
        """Answer a command or a button privately with the card."""
        async with private_answer(interaction) as answer:
            await answer.show(quota_card(await self._personal.where_i_stand(spender_at(interaction))))

    async def show_own_form(self, interaction: discord.Interaction, form: Form) -> None:
        """Show a form. It must be the first answer, so nothing is deferred here."""
        try:
            settings = await self._personal.settings(interaction.user.id)
        except VideoBotError as error:
            await interaction.response.send_message(error_reply(error), ephemeral=True)
        else:
            await interaction.response.send_modal(own_form(form, settings))

    @commands.Cog.listener("on_interaction")
    async def on_own_form(self, interaction: discord.Interaction) -> None:
        """Take a form in. discord.py itself knows only forms that it showed since its start."""
        if interaction.type is discord.InteractionType.modal_submit and interaction.data is not None:
            match = FORM_ID.fullmatch(str(interaction.data.get("custom_id")))
            if match is not None:
                await self._set(interaction, Form(match["form"]))

    async def _set(self, interaction: discord.Interaction, form: Form) -> None:
        """Set what was typed; the card comes back with what counts now."""
        async with button_answer(interaction) as answer:
            user_id, words = interaction.user.id, typed(interaction)
            if form is Form.LIMITS:
                day, week, month = (words.get(window.value, "") for window in Window)
                await self._personal.set_limits(user_id, day=day, week=week, month=month)
            else:
                await self._personal.set_confirmation(user_id, words.get(ABOVE, ""))
            stand = await self._personal.where_i_stand(spender_at(interaction))
            note = limits_set_text(stand) if form is Form.LIMITS else ask_set_text(stand)
            await answer.show(quota_card(stand, note=note))


def own_form_button(cog: QuotaCommand) -> type[ui.DynamicItem[ui.Button[Layout]]]:
    """Return what answers the buttons of the card, also of one shown before a restart."""

    return buttons_of(BUTTON_ID, lambda interaction, match: cog.show_own_form(interaction, Form(match["form"])))
