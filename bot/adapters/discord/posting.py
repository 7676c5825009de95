"""Sends and edits single messages: nonces, files, mentions, replies and time limits."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import discord

from bot.adapters.discord.answers import CallFailed, Failure, sorted_failures
from bot.adapters.discord.places import Place
from bot.domain.job import Job, MessageRef
from bot.domain.ports import Library
from bot.presentation.layout import ALTERNATIVE_TEXT_MAX, Layout

# Two uploads at once keep the memory bounded: about 250 MiB with files of 10 MiB, measured.
UPLOADS_MAX: Final = 2
TRANSFER_TIMEOUT_S: Final = 180.0
# Discord remembers a nonce for "the past few minutes"; this much can be relied on.
NONCE_LIFE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send under a name, with its alternative text."""

    path: Path
    name: str
    description: str

    @property
    def reference(self) -> str:
        """The address by which a gallery in the same message names the file."""
        return f"attachment://{self.name}"

    def open(self) -> discord.File:
        return discord.File(self.path, filename=self.name, description=self.description[:ALTERNATIVE_TEXT_MAX])


def picture_uploads(job: Job, library: Library) -> list[Upload]:
    """Return the job's pictures as files named after the job and their position, from 1."""
    paths = [library.path(image.name) for image in job.images]
    return [
        Upload(path, f"{job.job_id}-{number}{path.suffix}", job.request.prompt) for number, path in enumerate(paths, 1)
    ]


class Posting:
    """Sends with a nonce, so that the same message sent twice within a few minutes is there once."""

    def __init__(self, *, transfer_timeout_s: float = TRANSFER_TIMEOUT_S) -> None:
        self._transfer_timeout_s = transfer_timeout_s
        self._uploads = asyncio.Semaphore(UPLOADS_MAX)

    async def send(
        self,
        place: Place,
        view: Layout,
        *,
        nonce: str,
        uploads: Sequence[Upload] = (),
        reply_to: MessageRef | None = None,
        pings_user_id: int | None = None,
    ) -> discord.Message:
        """Post a message; without a reply where replying is refused.

        Raises:
            CallFailed: unless the failure is `UNCLEAR`, it is certainly not there.
        """
        options: dict[str, Any] = {"view": view, "nonce": nonce, "allowed_mentions": _mentions(pings_user_id)}
        reference = _reference(place, reply_to)
        if reference is None:
            return await self._send(place, uploads, options)
        try:
            return await self._send(place, uploads, {**options, "reference": reference})
        except CallFailed as failed:
            if failed.failure is not Failure.NO_REPLY:
                raise
            return await self._send(place, uploads, options)

    async def _send(self, place: Place, uploads: Sequence[Upload], options: dict[str, Any]) -> discord.Message:
        if not uploads:
            async with sorted_failures():
                return await place.channel.send(**options)
        async with self._uploads, sorted_failures(self._transfer_timeout_s):
            return await place.channel.send(files=[upload.open() for upload in uploads], **options)

    async def edit(self, message: discord.PartialMessage, view: Layout, *, drops_files: bool) -> None:
        """Replace what a message shows.

        Without `drops_files` the request has no `attachments` key: Discord then keeps the message's files.

        Raises:
            CallFailed
        """
        mentions = _mentions(None)
        async with sorted_failures():
            if drops_files:
                await message.edit(view=view, attachments=[], allowed_mentions=mentions)
            else:
                await message.edit(view=view, allowed_mentions=mentions)


def _mentions(user_id: int | None) -> discord.AllowedMentions:
    mentions = discord.AllowedMentions.none()
    if user_id is not None:
        mentions.users = [discord.Object(user_id)]
    return mentions


def _reference(place: Place, reply_to: MessageRef | None) -> discord.MessageReference | None:
    if reply_to is None or reply_to.channel_id != place.channel_id or place.history_readable is False:
        return None
    return discord.MessageReference(
        message_id=reply_to.message_id,
        channel_id=reply_to.channel_id,
        guild_id=place.guild_id,
        fail_if_not_exists=False,
    )
