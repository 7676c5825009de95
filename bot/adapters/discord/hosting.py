"""Gives a job's pictures addresses a gateway can fetch: Discord's own links, or our web server's."""

import logging
from typing import Protocol

import discord

from bot.adapters.discord.answers import CallFailed, sorted_failures
from bot.adapters.discord.own_messages import HistoryUnreadable, find_own, shown_files
from bot.adapters.discord.places import Place, Places
from bot.adapters.discord.posting import Posting, picture_uploads
from bot.domain.errors import UploadFailed
from bot.domain.job import Job, MessageRef
from bot.domain.ports import Library
from bot.presentation.layout import gallery, plain

log = logging.getLogger(__name__)


class Remember(Protocol):
    """Store.pictures_posted."""

    async def __call__(self, job_id: str, *, message: MessageRef) -> None: ...


class PictureLinks(Protocol):
    """Makes addresses on our own server."""

    def picture(self, name: str) -> str: ...


class WebHosting:
    """Signed, expiring addresses on our own server."""

    def __init__(self, links: PictureLinks) -> None:
        self._links = links

    async def addresses(self, job: Job) -> tuple[str, ...]:
        return tuple(self._links.picture(image.name) for image in job.images)


class DiscordHosting:
    """Discord's links, read off a message that shows the pictures; reading it anew signs them afresh.

    The message is the job's card, or one in the staging channel. Private pictures never leave the requester's direct
    messages.
    """

    def __init__(
        self,
        *,
        places: Places,
        posting: Posting,
        library: Library,
        remember: Remember,
        staging_channel_id: int | None = None,
    ) -> None:
        self._places = places
        self._posting = posting
        self._library = library
        self._remember = remember
        self._staging_channel_id = staging_channel_id

    async def addresses(self, job: Job) -> tuple[str, ...]:
        if not job.images:
            return ()
        try:
            shown = await self._shown(job)
        except CallFailed as failed:
            raise UploadFailed(f"pictures not readable: {failed}", permanent=failed.refused) from failed
        return _in_order(job, shown)

    async def _shown(self, job: Job) -> list[tuple[str, str]]:
        ref = job.card
        if self._staging_channel_id is not None and not job.request.private and job.guild_id is not None:
            ref = job.pictures_message or await self._stage(job, self._staging_channel_id)
        if ref is None:
            raise UploadFailed("the card is not posted yet", permanent=False)
        async with sorted_failures():
            return shown_files(await self._places.message(ref).fetch())

    async def _stage(self, job: Job, channel_id: int) -> MessageRef:
        """Show the pictures in the staging channel, once; after a restart the message is found again."""
        place = self._places.guild_place(channel_id, self._places.guild_of(channel_id))
        message = await self._staged(job, place) or await self._post(job, place)
        ref = MessageRef(channel_id, message.id)
        await self._remember(job.job_id, message=ref)
        return ref

    async def _staged(self, job: Job, place: Place) -> discord.Message | None:
        prefix = f"{job.job_id}-"
        try:
            return await find_own(
                place,
                since=job.created_at,
                is_wanted=lambda message: any(name.startswith(prefix) for name, _ in shown_files(message)),
            )
        except HistoryUnreadable:
            # A second message here costs nobody anything; only the addresses count.
            log.warning("staging channel history unreadable channel_id=%s", place.channel_id)
            return None

    async def _post(self, job: Job, place: Place) -> discord.Message:
        uploads = picture_uploads(job, self._library)
        view = plain(gallery([upload.reference for upload in uploads], [upload.description for upload in uploads]))
        return await self._posting.send(place, view, nonce=f"p{job.job_id}", uploads=uploads)


def _in_order(job: Job, shown: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the addresses of the job's pictures by the number in their names."""
    by_stem = {name.rpartition(".")[0]: address for name, address in shown}
    addresses = [by_stem.get(f"{job.job_id}-{n}") for n in range(1, len(job.images) + 1)]
    if None in addresses:
        raise UploadFailed("the message does not show every picture", permanent=True)
    return tuple(address for address in addresses if address is not None)
