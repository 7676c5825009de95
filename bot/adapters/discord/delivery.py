"""The only module that posts outside a command: cards, explanations and videos, each exactly once."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import discord

from bot.adapters.discord.answers import CallFailed, Failure, sorted_failures
from bot.adapters.discord.errands import Errand, Errands, Wanted, ref_of
from bot.adapters.discord.own_messages import custom_ids, shown_files, words
from bot.adapters.discord.places import Place, Places
from bot.adapters.discord.posting import Posting, Upload, picture_uploads
from bot.adapters.discord.uploads import UploadLimits, VideoFiles
from bot.domain.errors import DeliveryFailed, DirectMessagesClosed, VideoUnusable
from bot.domain.job import CardFace, Job, JobState, MessageRef
from bot.domain.ports import CardView, Clock, Library
from bot.presentation import cards
from bot.presentation.layout import Layout

log = logging.getLogger(__name__)

PING_AFTER_S: Final = 120.0
REPEATS_MAX: Final = 2


class DiscordMessenger:
    """Posts by the bot token. `link` gives a video's address on our own server, None where there is none.

    `restored_at`: the video of an older job may have been posted before the backup knew of it.
    """

    def __init__(
        self,
        *,
        places: Places,
        posting: Posting,
        library: Library,
        limits: UploadLimits,
        videos: VideoFiles,
        clock: Clock,
        link: Callable[[Job], str | None],
        restored_at: datetime | None = None,
    ) -> None:
        self._places = places
        self._errands = Errands(places, clock)
        self._posting = posting
        self._library = library
        self._limits = limits
        self._videos = videos
        self._clock = clock
        self._link = link
        self._restored_at = restored_at

    async def knock(self, *, user_id: int, prompt: str, key: str) -> MessageRef:
        try:
            try:
                return await self._knock(user_id, prompt, key)
            except CallFailed as failed:
                if failed.failure is not Failure.UNCLEAR:
                    raise
                # It may be there, and would say what is not so if the command were refused now.
                return await self._knock(user_id, prompt, key)
        except CallFailed as failed:
            if failed.refused:
                raise DirectMessagesClosed from failed
            raise DeliveryFailed(f"direct message {failed}", permanent=False) from failed

    async def _knock(self, user_id: int, prompt: str, key: str) -> MessageRef:
        place = await self._places.direct_to(user_id)
        async with sorted_failures():
            return ref_of(await place.channel.send(cards.knock_text(prompt), nonce=f"k{key}"))

    async def unknock(self, message: MessageRef) -> None:
        try:
            async with sorted_failures():
                await self._places.message(message).delete()
        except CallFailed as failed:
            log.warning("direct message not taken back message_id=%s reason=%s", message.message_id, failed)

    async def post_card(self, view: CardView, *, look_first: bool) -> MessageRef:
        return await self._errands.run(self._card_errand(view), look_first=look_first)

    async def find_card(self, view: CardView) -> MessageRef | None:
        return await self._errands.find(self._card_errand(view))

    def _card_errand(self, view: CardView) -> Errand:
        job = view.job

        async def post(place: Place) -> discord.Message:
            uploads = picture_uploads(job, self._library)
            message = await self._unless_too_large(self._post_card(place, view, uploads))
            if message is not None:
                return message
            # Too much for one message: the card comes without pictures, and hosting says what that means.
            log.warning("card posted without pictures job_id=%s", job.job_id)
            return await self._post_card(place, view, ())

        rungs = (self._places.card_rung(job),)
        return Errand(job, _card_nonce(job), rungs, post, _is_card_of(job), job.created_at)

    async def _post_card(self, place: Place, view: CardView, uploads: Sequence[Upload]) -> discord.Message:
        card = cards.job_card(view, pictures=[upload.reference for upload in uploads])
        return await self._posting.send(place, card, nonce=_card_nonce(view.job), uploads=uploads)

    async def edit_card(self, view: CardView) -> None:
        job = view.job
        if job.card is None:
            raise DeliveryFailed("there is no card", permanent=True)
        message = self._places.message(job.card)
        try:
            if job.face is CardFace.DELIVERED and job.video_message is not None:
                card = cards.delivered_card(view, link=self._places.link(job.video_message, job))
                await self._posting.edit(message, card, drops_files=True)
            else:
                await self._edit_keeping_pictures(message, view)
        except CallFailed as failed:
            raise DeliveryFailed(f"card not edited: {failed}", permanent=failed.refused) from failed

    async def _edit_keeping_pictures(self, message: discord.PartialMessage, view: CardView) -> None:
        pictures = [upload.reference for upload in picture_uploads(view.job, self._library)]
        try:
            card = cards.job_card(view, pictures=pictures)
            await self._posting.edit(message, card, drops_files=False)
        except CallFailed as failed:
            if failed.failure is not Failure.FORM or not pictures:
                raise
            # The card came without its pictures, or Discord wants its own addresses back.
            async with sorted_failures():
                shown = [address for _, address in shown_files(await message.fetch())]
            await self._posting.edit(message, cards.job_card(view, pictures=shown), drops_files=False)

    async def explain(self, view: CardView, *, look_first: bool) -> MessageRef:
        job = view.job
        nonce = f"e{job.job_id}"

        async def post(place: Place) -> discord.Message:
            return await self._posting.send(place, cards.explanation(view), nonce=nonce, reply_to=job.card)

        is_wanted = _is_explanation_of(job, _texts(cards.explanation(view)))
        errand = Errand(job, nonce, self._places.video_rungs(job), post, is_wanted, job.since_at, may_repeat=True)
        return await self._errands.run(errand, look_first=look_first)

    async def post_video(self, view: CardView, *, look_first: bool) -> MessageRef:
        job = view.job

        async def post(place: Place) -> discord.Message:
            return await self._post_video(place, view)

        if job.video_message is not None and await self._is_there(job.video_message):
            return job.video_message
        since = _video_since(job)
        if self._restored_at is not None and job.created_at < self._restored_at:
            since = job.created_at
        errand = Errand(job, _video_nonce(job), self._places.video_rungs(job), post, _is_video_of(job), since)
        try:
            posted = await self._errands.run(errand, look_first=look_first)
        except DeliveryFailed as failed:
            if failed.permanent:
                await self._videos.forget(job.job_id)
            raise
        await self._videos.forget(job.job_id)
        return posted

    async def _is_there(self, message: MessageRef) -> bool:
        """Say whether the message of an earlier delivery is there; one that cannot be read may be.

        Raises:
            DeliveryFailed: permanent where we may not read it.
        """
        try:
            async with sorted_failures():
                await self._places.message(message).fetch()
        except CallFailed as failed:
            if failed.failure is Failure.GONE:
                return False
            raise DeliveryFailed(f"earlier message not read: {failed}", permanent=failed.refused) from failed
        return True

    async def _post_video(self, place: Place, view: CardView) -> discord.Message:
        job = view.job
        bytes_max = await self._limits.bytes_max(place.guild_id, self._places.guild(place.guild_id))
        try:
            path = await self._videos.fitting(job, bytes_max=bytes_max)
            message = await self._unless_too_large(self._upload_video(place, view, path))
            if message is not None:
                return message
            bytes_max = await self._limits.refused(place.guild_id, path.stat().st_size)
            path = await self._videos.fitting(job, bytes_max=bytes_max)
            message = await self._unless_too_large(self._upload_video(place, view, path))
            if message is not None:
                return message
        except VideoUnusable as unfit:
            log.warning("video cannot be fitted job_id=%s bytes_max=%s reason=%s", job.job_id, bytes_max, unfit.detail)
        link = self._link(job)
        log.warning("video posted as a link job_id=%s has_link=%s", job.job_id, link is not None)
        layout = cards.video_link_message(view, link=link, ping=self._pings(job, place))
        return await self._send_video(place, view, layout, ())

    @staticmethod
    async def _unless_too_large(sending: Awaitable[discord.Message]) -> discord.Message | None:
        try:
            return await sending
        except CallFailed as failed:
            if failed.failure is not Failure.TOO_LARGE:
                raise
            return None

    async def _upload_video(self, place: Place, view: CardView, path: Path) -> discord.Message:
        job = view.job
        upload = Upload(path, f"{job.job_id}.mp4", job.request.prompt)
        layout = cards.video_message(view, address=upload.reference, ping=self._pings(job, place))
        message = await self._send_video(place, view, layout, (upload,))
        if _shows(message, upload.name):
            return message
        # Never seen. A message without its video must not count as a delivery, nor stay for a second one to follow; but
        # should Discord one day show files in another way, this must not repeat for ever.
        log.error("video missing in its message job_id=%s message_id=%s", job.job_id, message.id)
        try:
            async with sorted_failures():
                message = await message.channel.fetch_message(message.id)
                if _shows(message, upload.name) or job.delivery_count >= REPEATS_MAX:
                    return message
                await message.delete()
        except CallFailed as failed:
            # It speaks of the message, which may be gone already, and refuses nothing in this place.
            raise CallFailed(Failure.UNCLEAR, str(failed)) from failed
        raise CallFailed(Failure.UNCLEAR, "the message came without its video")

    async def _send_video(
        self, place: Place, view: CardView, layout: Layout, uploads: Sequence[Upload]
    ) -> discord.Message:
        job = view.job
        return await self._posting.send(
            place,
            layout,
            nonce=_video_nonce(job),
            uploads=uploads,
            reply_to=job.card,
            pings_user_id=job.user_id if self._pings(job, place) else None,
        )

    def _pings(self, job: Job, place: Place) -> bool:
        waited_s = (self._clock.now() - job.created_at).total_seconds()
        return place.guild_id is not None and waited_s > PING_AFTER_S

    async def may_deliver(self, job: Job) -> bool:
        return await self._places.may_post(job)


def _card_nonce(job: Job) -> str:
    return f"c{job.job_id}"


def _video_nonce(job: Job) -> str:
    if job.video_message is None or job.delivery_since is None:
        return f"v{job.job_id}"
    # Posted before, and asked for again: by the nonce of before, Discord would hand out that message, though deleted.
    return f"v{job.job_id}{int(job.delivery_since.timestamp()):x}"


def _video_since(job: Job) -> datetime:
    """Return when the video can have been posted first: what was given up is asked for again long after that."""
    if job.state is JobState.STORED and job.video_message is None:
        return job.since_at
    return job.delivery_since or job.created_at


def _texts(view: Layout) -> list[str]:
    return [item.content for item in view.walk_children() if isinstance(item, discord.ui.TextDisplay)]


def _shows(message: discord.Message, name: str) -> bool:
    return name in {shown for shown, _ in shown_files(message)}


def _is_card_of(job: Job) -> Wanted:
    def is_wanted(message: discord.Message) -> bool:
        pictures = any(name.startswith(f"{job.job_id}-") for name, _ in shown_files(message))
        return pictures or f"gallop:cancel:{job.job_id}" in custom_ids(message)

    return is_wanted


def _is_explanation_of(job: Job, text: list[str]) -> Wanted:
    """A reply to the card that shows no file; where the card is gone, only the words are left to compare."""

    def is_wanted(message: discord.Message) -> bool:
        if message.reference is None:
            return words(message) == text
        to_card = job.card is not None and message.reference.message_id == job.card.message_id
        return to_card and not shown_files(message)

    return is_wanted


def _is_video_of(job: Job) -> Wanted:
    def is_wanted(message: discord.Message) -> bool:
        return _shows(message, f"{job.job_id}.mp4") or any(job.job_id in text for text in words(message))

    return is_wanted
