"""`/video-admin report`: where the money went, as a picture and files."""

import asyncio
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.charts import NoPicture
from bot.domain.reporting import AskedPeriod, Made, ReportService
from bot.domain.windows import Window
from bot.presentation.report_chart import chart_of
from bot.presentation.report_files import (
    CSV_NAME,
    CSV_PACKED_NAME,
    JSON_NAME,
    PICTURE_NAME,
    csv_file,
    json_file,
)
from bot.presentation.report_text import BEING_MADE, NOT_SENT, TOO_LARGE, report_card
from cogs.answers import PrivateAnswer, Sent, private_answer
from cogs.report_names import names_of

_MIB = 2**20
# What was taken everywhere at any time so far, all files of a message together.
_BYTES_SAFE = 9 * _MIB
_BYTES_MAX = 100 * _MIB
_PERIODS = [app_commands.Choice(name=window.value, value=window.value) for window in Window]


class ReportAdmin(commands.Cog):
    """The part of `/video-admin` that tells what was spent."""

    _client: commands.Bot | commands.AutoShardedBot
    _reports: ReportService
    # The gateways' titles by their names.
    _titles: Mapping[str, str]
    # The guilds, or 0 for the whole bot, of which a report is being made.
    _reporting: set[int]

    @app_commands.command(description="See what was spent, by whom, where and for what: a picture, and files.")
    @app_commands.describe(
        period="The running day, week or month. Default: month.",
        first="The first day, such as 2026-11-01, in the place of a period. Default: that of the period.",
        last="The last day, such as 2026-11-20. Default: today.",
    )
    @app_commands.rename(first="from", last="until")
    @app_commands.choices(period=_PERIODS)
    async def report(
        self,
        interaction: discord.Interaction,
        period: str | None = None,
        first: app_commands.Range[str, 1, 20] | None = None,
        last: app_commands.Range[str, 1, 20] | None = None,
    ) -> None:
        asked = AskedPeriod(Window(period) if period else None, first, last)
        whose = interaction.guild_id or 0
        async with private_answer(interaction) as answer:
            if whose in self._reporting:
                await answer.say(BEING_MADE)
                return
            self._reporting.add(whose)
            try:
                await self._hand_out_report(interaction, answer, asked)
            finally:
                self._reporting.discard(whose)

    async def _hand_out_report(
        self, interaction: discord.Interaction, answer: PrivateAnswer, asked: AskedPeriod
    ) -> None:
        made = await self._reports.make_for(interaction.user.id, asked, guild_id=interaction.guild_id)
        names = await names_of(made.report, self._client, interaction.guild)
        title = (interaction.guild.name, "This server") if interaction.guild else ("The whole bot",)
        chart = chart_of(made.report, title=title, names=names, titles=self._titles)
        picture, (table, figures) = await asyncio.gather(
            self._reports.draw(chart), asyncio.to_thread(_files, made, interaction)
        )
        bytes_max = min(interaction.filesize_limit, _BYTES_MAX)
        sent = Sent.TOO_LARGE
        for room in dict.fromkeys((bytes_max, min(bytes_max // 2, _BYTES_SAFE))):
            if sent is Sent.TOO_LARGE:
                parts = await asyncio.to_thread(_fitting, picture, table, figures, bytes_max=room)
                card = report_card(made.report, titles=self._titles, files=list(parts.files), why_none=parts.why_none)
                files = [discord.File(BytesIO(content), name) for name, content in parts.files.items()]
                sent = await answer.send_files(card, *files)
        if sent is Sent.TOO_LARGE:
            await answer.say(TOO_LARGE)
        elif sent is not Sent.YES and (sent is not Sent.UNCLEAR or await answer.is_thinking()):
            await answer.say(NOT_SENT)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The files of one message, and why there is no picture among them."""

    files: dict[str, bytes]
    why_none: NoPicture | None


def _files(made: Made, interaction: discord.Interaction) -> tuple[bytes, bytes]:
    return csv_file(made.jobs), json_file(made.report, made_at=interaction.created_at)


def _fitting(picture: bytes | NoPicture, table: bytes, figures: bytes, *, bytes_max: int) -> _Parts:
    """Return as much as fits: the picture and the figures always, the table packed where it must be, or not at all."""
    why_none = picture if isinstance(picture, NoPicture) else None
    files = {} if isinstance(picture, NoPicture) else {PICTURE_NAME: picture}
    files[JSON_NAME] = figures
    room = bytes_max - sum(map(len, files.values()))
    if len(table) <= room:
        files[CSV_NAME] = table
    elif len(packed := _packed(table)) <= room:
        files[CSV_PACKED_NAME] = packed
    return _Parts(files, why_none)


def _packed(table: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CSV_NAME, table)
    return packed.getvalue()
