"""`/video privacy export` and `delete`: a person's own data handed out, or deleted after one more question."""

import asyncio
import logging
import re

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot.domain.ports import Library
from bot.domain.privacy import PersonalData, PrivacyService
from bot.presentation.layout import Layout
from bot.presentation.privacy import (
    ARCHIVE,
    BEING_MADE,
    DELETE_ID,
    NOT_ASKED,
    NOT_SENT,
    NOTHING_KEPT,
    TOO_LARGE,
    deleted_card,
    deletion_card,
    export_card,
)
from cogs.answers import PrivateAnswer, Sent, button_answer, private_answer
from cogs.archive import Archive, make_archive

log = logging.getLogger(__name__)

_MIB = 2**20
# Discord has announced more than it took (discord-api-docs #7603); its highest limit for a server is this.
_BYTES_MAX = 100 * _MIB
# What was taken everywhere at any time so far.
_BYTES_SAFE = 9 * _MIB + _MIB // 2


class PrivacyCommands(commands.Cog):
    """`/video privacy`: everybody reaches their own data alone."""

    _privacy: PrivacyService
    _library: Library
    # Whose data is being put together: once at a time for each person.
    _exporting: set[int]
    # One archive at a time for all: it takes the disk as much room as the largest upload.
    _packing: asyncio.Semaphore

    privacy = app_commands.Group(name="privacy", description="Your own data: get all of it, or delete it.")

    @privacy.command(description="Get everything that is kept about you as one file, only for you.")
    async def export(self, interaction: discord.Interaction) -> None:
        user_id = interaction.user.id
        async with private_answer(interaction) as answer:
            if user_id in self._exporting:
                await answer.say(BEING_MADE)
                return
            self._exporting.add(user_id)
            try:
                await self._hand_out(interaction, answer, await self._privacy.export(user_id))
            finally:
                self._exporting.discard(user_id)

    @privacy.command(description="Delete your prompts, pictures, videos and history; you are asked once more.")
    async def delete(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(deletion_card(interaction.user.id))

    async def _hand_out(self, interaction: discord.Interaction, answer: PrivateAnswer, data: PersonalData) -> None:
        if data.is_empty:
            await answer.say(NOTHING_KEPT)
            return
        bytes_max = min(interaction.filesize_limit, _BYTES_MAX)
        async with self._packing:
            sent = await self._send(interaction, answer, data, bytes_max)
            if sent is Sent.TOO_LARGE:
                sent = await self._send(interaction, answer, data, min(bytes_max // 2, _BYTES_SAFE))
        if sent is Sent.TOO_LARGE:
            await answer.say(TOO_LARGE)
        elif sent is not Sent.YES and (sent is not Sent.UNCLEAR or await answer.is_thinking()):
            await answer.say(NOT_SENT)

    async def _send(
        self, interaction: discord.Interaction, answer: PrivateAnswer, data: PersonalData, bytes_max: int
    ) -> Sent:
        archive = await self._packed(interaction, data, bytes_max)
        with archive.file:
            if archive.bytes_count > bytes_max:
                return Sent.TOO_LARGE
            card = export_card(
                jobs=len(data.jobs),
                deleted=sum(job.is_erased for job in data.jobs),
                pictures=archive.pictures,
                videos=archive.videos,
                no_room=archive.no_room,
            )
            return await answer.send_files(card, discord.File(archive.file, filename=ARCHIVE))

    async def _packed(self, interaction: discord.Interaction, data: PersonalData, bytes_max: int) -> Archive:
        return await asyncio.to_thread(
            make_archive, data, self._library.path, bytes_max=bytes_max, made_at=interaction.created_at
        )


def delete_button(service: PrivacyService) -> type[ui.DynamicItem[ui.Button[Layout]]]:
    """Return what answers the button under the question, also of one asked before a restart."""

    class DeleteButton(ui.DynamicItem[ui.Button[Layout]], template=DELETE_ID):
        def __init__(self, button: ui.Button[Layout], user_id: int) -> None:
            super().__init__(button)
            self._user_id = user_id

        @classmethod
        async def from_custom_id(
            cls, _interaction: discord.Interaction, item: ui.Item[Layout], match: re.Match[str], /
        ) -> "DeleteButton":
            return cls(ui.Button(custom_id=match[0]), int(match["user_id"]))

        async def callback(self, interaction: discord.Interaction) -> None:
            if interaction.user.id != self._user_id:
                await interaction.response.send_message(NOT_ASKED, ephemeral=True)
                return
            async with button_answer(interaction) as answer:
                forgotten = await service.delete(self._user_id)
                log.info("personal data deleted user_id=%s erased=%d", self._user_id, forgotten.erased)
                await answer.show(deleted_card(forgotten))

    return DeleteButton
