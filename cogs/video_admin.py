"""`/video-admin unconfirmed`, for operators alone: the unconfirmed jobs, and what only they can decide."""

import logging
import re
from collections.abc import Mapping

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.binding import BindProblem, BindRejected
from bot.domain.errors import VideoBotError
from bot.domain.guild_choices import SettingsService
from bot.domain.guild_doctor import GuildDoctor
from bot.domain.guild_jobs import GuildJobService
from bot.domain.managing import ManagerService
from bot.domain.operating import OperatorService
from bot.domain.ports import CardView
from bot.domain.reporting import ReportService
from bot.presentation.admin_lists import BUTTON_ID as LIST_ID
from bot.presentation.guild_jobs import PAGE_ID as JOBS_PAGE_ID
from bot.presentation.layout import Layout
from bot.presentation.replies import error_reply, reply
from bot.presentation.unconfirmed import BUTTON_ID as UNCONFIRMED_ID
from bot.presentation.unconfirmed import (
    FORM_ID,
    GATEWAY_JOB_ID,
    GATEWAY_JOB_ID_MAX,
    Does,
    Patience,
    bind_form,
    bound_text,
    closed_text,
    closing_card,
    unconfirmed_card,
)
from cogs.admin_audit import AuditAdmin
from cogs.admin_doctor import DoctorAdmin
from cogs.admin_jobs import JobAdmin
from cogs.admin_members import MemberAdmin
from cogs.admin_report import ReportAdmin
from cogs.admin_rules import RuleAdmin
from cogs.admin_settings import SettingsAdmin
from cogs.answers import button_answer, private_answer
from cogs.buttons import buttons_of
from cogs.forms import custom_id_of, typed
from cogs.member_names import MemberNames

log = logging.getLogger(__name__)


@app_commands.default_permissions(manage_guild=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
@app_commands.allowed_installs(guilds=True, users=False)
class VideoAdminCog(
    JobAdmin,
    DoctorAdmin,
    SettingsAdmin,
    AuditAdmin,
    RuleAdmin,
    MemberAdmin,
    ReportAdmin,
    commands.GroupCog,
    group_name="video-admin",
    group_description="For the server's managers, and what only the bot's operators can decide.",
):
    """The `/video-admin` group. What is for operators alone, the service checks, whatever Discord lets through.

    In a direct message Discord asks for no permission, so that an operator who manages no guild can use it there.
    """

    def __init__(
        self,
        client: commands.Bot | commands.AutoShardedBot,
        service: OperatorService,
        patience: Patience,
        *,
        managers: ManagerService,
        guild_jobs: GuildJobService,
        settings: SettingsService,
        doctor: GuildDoctor,
        reports: ReportService,
        titles: Mapping[str, str],
    ) -> None:
        self._client = client
        self._service = service
        self._patience = patience
        self._managers = managers
        self._guild_jobs = guild_jobs
        self._member_names = MemberNames()
        self._settings = settings
        self._doctor = doctor
        self._reports = reports
        self._titles = titles
        self._reporting = set()
        self._buttons = (
            buttons_of(UNCONFIRMED_ID, self.press_unconfirmed),
            buttons_of(JOBS_PAGE_ID, self.turn_jobs),
            buttons_of(LIST_ID, self.press),
        )

    async def cog_load(self) -> None:
        self._client.add_dynamic_items(*self._buttons)

    async def cog_unload(self) -> None:
        self._client.remove_dynamic_items(*self._buttons)

    @app_commands.command(description="Operators: the jobs that no gateway has confirmed, and what can be done.")
    async def unconfirmed(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(await self._card(interaction.user.id))

    async def press_unconfirmed(self, interaction: discord.Interaction, match: re.Match[str]) -> None:
        """Answer a button of the list of unconfirmed jobs."""
        job_id, page = match["job_id"] or "", int(match["page"])
        match Does(match["does"]):
            case Does.PAGE:
                await self.turn_to(interaction, page)
            case Does.ASK:
                await self.ask(interaction, job_id, page)
            case Does.CLOSE:
                await self.close(interaction, job_id, page)
            case Does.BIND:
                await self.show_form(interaction, job_id, page)

    async def turn_to(self, interaction: discord.Interaction, page: int) -> None:
        """Show a page of the list in the place of what the message shows."""
        async with button_answer(interaction) as answer:
            await answer.show(await self._card(interaction.user.id, page))

    async def ask(self, interaction: discord.Interaction, job_id: str, page: int) -> None:
        """Ask in the place of the list whether the job shall be closed."""
        async with button_answer(interaction) as answer:
            actor_id = interaction.user.id
            view = await self._find(job_id, actor_id)
            gone = reply(BindRejected(BindProblem.NOT_UNCONFIRMED, ""))
            await answer.show(closing_card(view, page=page) if view else await self._card(actor_id, page, gone))

    async def close(self, interaction: discord.Interaction, job_id: str, page: int) -> None:
        """Close the job as lost; the list comes back with what became of it."""
        async with button_answer(interaction) as answer:
            actor_id = interaction.user.id
            try:
                note = closed_text(await self._service.close_as_lost(job_id, actor_id=actor_id))
            except BindRejected as error:
                note = reply(error)
            await answer.show(await self._card(actor_id, page, note))

    async def show_form(self, interaction: discord.Interaction, job_id: str, page: int) -> None:
        """Show the form for a gateway job id. A form must be the first answer, so nothing is deferred here."""
        try:
            view = await self._find(job_id, interaction.user.id)
            if view is None:
                raise BindRejected(BindProblem.NOT_UNCONFIRMED, "")
        except VideoBotError as error:
            await interaction.response.send_message(error_reply(error), ephemeral=True)
        else:
            await interaction.response.send_modal(bind_form(view, page=page))

    async def bind(self, interaction: discord.Interaction, job_id: str, page: int) -> None:
        """Bind the typed id; the list comes back with what became of it."""
        async with button_answer(interaction) as answer:
            actor_id = interaction.user.id
            gateway_job_id = typed(interaction).get(GATEWAY_JOB_ID, "")[:GATEWAY_JOB_ID_MAX].strip()
            try:
                note = bound_text(await self._service.bind(job_id, gateway_job_id, actor_id=actor_id), gateway_job_id)
            except BindRejected as error:
                note = reply(error)
            await answer.show(await self._card(actor_id, page, note))

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Take the form in. discord.py itself knows only forms that it showed since its start."""
        if interaction.type is discord.InteractionType.modal_submit:
            match = FORM_ID.fullmatch(custom_id_of(interaction))
            if match is not None:
                await self.bind(interaction, match["job_id"], int(match["page"]))

    async def _card(self, actor_id: int, page: int = 0, note: str = "") -> Layout:
        """Return the list as it is now, the newest job first."""
        views = await self._service.unconfirmed(actor_id=actor_id)
        return unconfirmed_card(views[::-1], self._patience, page=page, note=note)

    async def _find(self, job_id: str, actor_id: int) -> CardView | None:
        views = await self._service.unconfirmed(actor_id=actor_id)
        return next((view for view in views if view.job.job_id == job_id), None)
