"""`/video-admin jobs`, `release`, `refund` and `deliver`: what managers see of their server's jobs, and may do."""

import logging
import re
from collections.abc import Callable

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.errors import StoreFailed
from bot.domain.guild import REASON_MAX, GuildJob
from bot.domain.guild_jobs import GuildJobService
from bot.domain.job import Delivery, JobState, MessageRef
from bot.presentation.card_age import opened_mark, require_fresh
from bot.presentation.guild_jobs import (
    LISTED_STATES,
    LISTED_WORDS,
    Listed,
    delivered_again_text,
    guild_job_choice,
    jobs_card,
    refunded_text,
    released_text,
)
from bot.presentation.layout import Layout
from bot.presentation.words import message_link
from cogs.answers import button_answer, private_answer
from cogs.forms import number_in
from cogs.member_names import MemberNames
from cogs.options import CHOICES_MAX
from cogs.places import managed_guild_id

log = logging.getLogger(__name__)

_JOB = "Which one; the list shows those it can be done with. Required."
_STATES = [app_commands.Choice(name=words, value=listed.value) for listed, words in LISTED_WORDS.items()]


class JobAdmin(commands.Cog):
    """The part of `/video-admin` that is about jobs. Discord's command permissions say who may use it."""

    _guild_jobs: GuildJobService
    _member_names: MemberNames

    @app_commands.command(
        description="See this server's newest jobs: whose, where they stand, what became of the price."
    )
    @app_commands.describe(member="Whose jobs. Default: everybody's.", state="Where they stand. Default: all.")
    @app_commands.choices(state=_STATES)
    async def jobs(
        self, interaction: discord.Interaction, member: discord.User | None = None, state: str = Listed.ALL.value
    ) -> None:
        async with private_answer(interaction) as answer:
            opened = opened_mark(self._guild_jobs.now)
            user_id = member.id if member is not None else None
            await answer.show(await self._jobs_page(interaction, Listed(state), user_id, opened, 0))

    async def turn_jobs(self, interaction: discord.Interaction, match: re.Match[str]) -> None:
        """Show a page of the list in the place of what the message shows."""
        async with button_answer(interaction) as answer:
            require_fresh(match["opened"], self._guild_jobs.now)
            listed, user_id = Listed(match["listed"]), number_in(match["user_id"]) or None
            page = await self._jobs_page(interaction, listed, user_id, match["opened"], int(match["page"]))
            await answer.show(page)

    async def _jobs_page(
        self, interaction: discord.Interaction, listed: Listed, user_id: int | None, opened: str, page: int
    ) -> Layout:
        guild_id = managed_guild_id(interaction)
        jobs = await self._guild_jobs.jobs(guild_id, user_id=user_id, states=LISTED_STATES[listed])
        links = {job.job_id: link for job in jobs if (link := _link(interaction.guild, job))}
        return jobs_card(jobs, listed=listed, user_id=user_id, links=links, opened=opened, page=page)

    @app_commands.command(description="End a job that is still in line; its price is released.")
    @app_commands.describe(job=_JOB)
    async def release(self, interaction: discord.Interaction, job: str) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            await answer.say(released_text(await self._guild_jobs.release(job, guild_id=guild_id, actor_id=actor_id)))

    @app_commands.command(description="Give back what somebody was charged for a video, once for each.")
    @app_commands.describe(
        job=_JOB,
        reason="Why; the audit and the person's own data show it. Required.",
        amount="How much, such as 0.645. Default: all that was charged.",
    )
    async def refund(
        self,
        interaction: discord.Interaction,
        job: str,
        reason: app_commands.Range[str, 1, REASON_MAX],
        amount: str | None = None,
    ) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            done = await self._guild_jobs.refund(
                job, guild_id=guild_id, actor_id=actor_id, amount=amount, reason=reason
            )
            await answer.say(refunded_text(done))

    @app_commands.command(description="Post a finished video again, where its message was lost or never came.")
    @app_commands.describe(job=_JOB)
    async def deliver(self, interaction: discord.Interaction, job: str) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            again = await self._guild_jobs.deliver_again(job, guild_id=guild_id, actor_id=actor_id)
            await answer.say(delivered_again_text(again))

    @release.autocomplete("job")
    async def _jobs_in_line(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._fitting_jobs(interaction, typed, {JobState.HELD}, lambda job: True)

    @refund.autocomplete("job")
    async def _jobs_charged(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._fitting_jobs(interaction, typed, {JobState.STORED}, _is_refundable)

    @deliver.autocomplete("job")
    async def _jobs_kept(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await self._fitting_jobs(interaction, typed, {JobState.STORED, JobState.LOST}, _is_deliverable)

    async def _fitting_jobs(
        self, interaction: discord.Interaction, typed: str, states: set[JobState], fits: Callable[[GuildJob], bool]
    ) -> list[app_commands.Choice[str]]:
        guild = interaction.guild
        if guild is None:
            return []
        try:
            jobs = [job for job in await self._guild_jobs.jobs(guild.id, states=frozenset(states)) if fits(job)]
        except StoreFailed:
            log.exception("jobs not listed guild_id=%s", guild.id)
            return []
        names = await self._member_names.of(guild, (job.user_id for job in jobs))
        wanted, now = typed.strip().casefold(), self._guild_jobs.now
        choices = [
            app_commands.Choice(name=guild_job_choice(job, member=names[job.user_id], now=now), value=job.job_id)
            for job in jobs
        ]
        return [each for each in choices if wanted in each.name.casefold() or wanted in each.value][:CHOICES_MAX]


def _is_refundable(job: GuildJob) -> bool:
    return bool(job.charged_microusd) and not job.refunded_microusd


def _is_deliverable(job: GuildJob) -> bool:
    return job.is_kept and job.delivery is not Delivery.DUE


def _link(guild: discord.Guild | None, job: GuildJob) -> str:
    """Return the address of the newest of the job's messages that stands in the server; empty where none does."""
    for message in (job.video_message, job.card):
        if message is not None and _is_in(guild, message, job):
            return message_link(message, guild_id=guild.id if guild is not None else None)
    return ""


def _is_in(guild: discord.Guild | None, message: MessageRef, job: GuildJob) -> bool:
    known = guild is not None and guild.get_channel_or_thread(message.channel_id) is not None
    return known or message.channel_id == job.channel_id
