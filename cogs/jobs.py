"""The commands about jobs that exist, `/video status`, `cancel`, `history` and `show`, and the card's Cancel button."""

import asyncio
import logging
import re
from collections.abc import Callable

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot.domain.errors import StoreFailed
from bot.domain.job import FINAL_STATES, CardFace, Delivery, Job, JobState
from bot.domain.ports import CardView
from bot.domain.video_service import VideoService
from bot.presentation.cards import delivered_card, job_card, kept_video
from bot.presentation.choices import job_choice
from bot.presentation.layout import Layout
from bot.presentation.private_answers import NO_JOBS, NOT_SENT, ended_text, history_card, no_video_text, too_large_text
from bot.presentation.replies import error_reply
from cogs.answers import PrivateAnswer, Sent, private_answer
from cogs.options import CHOICES_MAX
from cogs.places import link_to

log = logging.getLogger(__name__)

_PLACE_SHOWN_MAX = 1_000_000


class JobCommands(commands.Cog):
    """`/video status`, `cancel`, `history` and `show`: everybody sees their own jobs alone."""

    _service: VideoService

    @app_commands.command(description="See where a video of yours stands.")
    @app_commands.describe(job="Which one. Default: the newest that is not finished, else the newest.")
    async def status(self, interaction: discord.Interaction, job: str | None = None) -> None:
        async with private_answer(interaction) as answer:
            if job is None:
                view = _most_wanted(await self._service.history(interaction.user.id))
            else:
                view = await self._service.job(job, user_id=interaction.user.id)
            if view is None:
                await answer.say(NO_JOBS)
            else:
                await answer.show(_status_card(interaction.client, view))

    @app_commands.command(description="Cancel a video that is still in line; its price is released.")
    @app_commands.describe(job="Which one. Required.")
    async def cancel(self, interaction: discord.Interaction, job: str) -> None:
        async with private_answer(interaction) as answer:
            await answer.say(ended_text(await self._service.cancel(job, user_id=interaction.user.id)))

    @app_commands.command(description="See your ten newest videos.")
    async def history(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(history_card(await self._service.history(interaction.user.id)))

    @app_commands.command(description="Get a finished video of yours again, only for you.")
    @app_commands.describe(job="Which one. Required.")
    async def show(self, interaction: discord.Interaction, job: str) -> None:
        async with private_answer(interaction) as answer:
            view = await self._service.job(job, user_id=interaction.user.id)
            await self._show_video(interaction, answer, view)

    async def _show_video(self, interaction: discord.Interaction, answer: PrivateAnswer, view: CardView) -> None:
        job = view.job
        path = await asyncio.to_thread(self._service.video_path, job)
        if path is None:
            await answer.say(no_video_text(view))
            return
        limit_bytes = interaction.filesize_limit
        size_bytes = (await asyncio.to_thread(path.stat)).st_size
        if size_bytes <= limit_bytes:
            name = f"{job.job_id}.mp4"
            file = discord.File(path, filename=name)
            sent = await answer.send_files(kept_video(view, address=f"attachment://{name}"), file)
            if sent is Sent.NO or (sent is Sent.UNCLEAR and await answer.is_thinking()):
                await answer.say(NOT_SENT)
            if sent is not Sent.TOO_LARGE:
                return
        link = link_to(interaction.client, job.video_message, job) if job.video_message else None
        await answer.say(too_large_text(job, limit_bytes=limit_bytes, link=link))

    @status.autocomplete("job")
    async def _own_jobs(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._listed(interaction, typed, lambda job: True)

    @cancel.autocomplete("job")
    async def _jobs_in_line(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._listed(interaction, typed, lambda job: job.state is JobState.HELD)

    @show.autocomplete("job")
    async def _jobs_with_video(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._listed(interaction, typed, lambda job: job.video is not None)

    async def _listed(
        self, interaction: discord.Interaction, typed: str, fits: Callable[[Job], bool]
    ) -> list[app_commands.Choice[str]]:
        try:
            views = [view for view in await self._service.history(interaction.user.id) if fits(view.job)]
        except StoreFailed:
            log.exception("own jobs not listed user_id=%s", interaction.user.id)
            return []
        wanted = typed.strip().casefold()
        choices = [app_commands.Choice(name=job_choice(view), value=view.job.job_id) for view in views]
        return [choice for choice in choices if wanted in choice.name.casefold() or wanted in choice.value][
            :CHOICES_MAX
        ]


def cancel_button(service: VideoService) -> type[ui.DynamicItem[ui.Button[Layout]]]:
    """Return what answers the Cancel button of every card, also of those posted before a restart."""

    class CancelButton(
        ui.DynamicItem[ui.Button[Layout]],
        template=re.compile(r"gallop:cancel:(?P<job_id>[0-9a-z]{16})"),
    ):
        def __init__(self, button: ui.Button[Layout], job_id: str) -> None:
            super().__init__(button)
            self._job_id = job_id

        @classmethod
        async def from_custom_id(
            cls, _interaction: discord.Interaction, item: ui.Item[Layout], match: re.Match[str], /
        ) -> "CancelButton":
            return cls(ui.Button(label="Cancel", custom_id=match[0]), match["job_id"])

        async def callback(self, interaction: discord.Interaction) -> None:
            try:
                async with private_answer(interaction) as answer:
                    await answer.say(ended_text(await service.cancel(self._job_id, user_id=interaction.user.id)))
            except Exception as error:
                # No command tree stands behind a button: discord.py only logs, and "thinking" would stay for ever.
                log.exception("cancel button failed job_id=%s", self._job_id)
                await PrivateAnswer(interaction).say(error_reply(error))

    return CancelButton


def _most_wanted(views: list[CardView]) -> CardView | None:
    """Return the newest unfinished job, else the newest."""
    unfinished = (v for v in views if v.job.state not in FINAL_STATES or v.job.delivery is Delivery.DUE)
    return next(unfinished, views[0] if views else None)


def _status_card(client: discord.Client, view: CardView) -> Layout:
    job = view.job
    if job.face is CardFace.DELIVERED and job.video_message is not None:
        return delivered_card(view, link=link_to(client, job.video_message, job))
    return job_card(view, place_shown_max=_PLACE_SHOWN_MAX)
