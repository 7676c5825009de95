"""Takes attachments in: fetches, checks and repairs them a few at a time, and keeps them in the library."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.adapters.media.checking import check
from bot.adapters.media.images import Prepared
from bot.adapters.media.library import FileLibrary
from bot.domain.errors import PictureProblem, PictureRejected
from bot.domain.request import ATTACHMENT_BYTES_MAX, Attachment, Image, Mode, PictureRules

log = logging.getLogger(__name__)

# All pictures of a card must fit one request to Discord, which may have 25 MiB; the rest is for the card's text.
_TOGETHER_BYTES_MAX = 22 * 1024 * 1024
_CHECKS_AT_ONCE = 2
# Raw pictures in memory at once, over all requests: 25 MB each at worst.
_RAW_AT_ONCE = 4


class PictureIntake:
    """The way in for pictures.

    `fetch` returns an attachment's bytes, at most one more than ATTACHMENT_BYTES_MAX of them, and raises OSError where
    Discord does not hand them over.
    """

    def __init__(self, *, fetch: Callable[[Attachment], Awaitable[bytes]], library: FileLibrary) -> None:
        self._fetch = fetch
        self._library = library
        self._raw = asyncio.Semaphore(_RAW_AT_ONCE)
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def take(
        self, attachments: tuple[Attachment, ...], *, rules: PictureRules, ratio: str | None, mode: Mode
    ) -> tuple[Image, ...]:
        """When several pictures are bad, the first of them is named."""
        bytes_max = min(rules.bytes_max, _TOGETHER_BYTES_MAX // max(1, len(attachments)))

        async def one(position: int, attachment: Attachment) -> Prepared:
            async with self._raw:
                data = await self._bytes(attachment, position, mode)
                async with self._checks:
                    return await check(
                        data, position=position, rules=rules, ratio=ratio, mode=mode, bytes_max=bytes_max
                    )

        tasks = [asyncio.create_task(one(n, attachment)) for n, attachment in enumerate(attachments, start=1)]
        try:
            ready = [await task for task in tasks]
        finally:  # after a bad one the later ones need no look: each may be made to take long
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return await self._kept(ready)

    async def discard(self, images: tuple[Image, ...]) -> None:
        await self._library.discard([image.name for image in images])

    async def _bytes(self, attachment: Attachment, position: int, mode: Mode) -> bytes:
        if attachment.bytes_count > ATTACHMENT_BYTES_MAX:  # said so beforehand: not even fetched
            raise PictureRejected(
                position,
                PictureProblem.TOO_LARGE,
                mode,
                measured=attachment.bytes_count,
                limit=ATTACHMENT_BYTES_MAX,
            )
        if attachment.bytes_count == 0:  # nor this
            raise PictureRejected(position, PictureProblem.EMPTY, mode)
        try:
            return await self._fetch(attachment)
        except OSError as error:
            log.warning("picture not fetched position=%s error=%s", position, type(error).__name__)
            raise PictureRejected(position, PictureProblem.UNREADABLE, mode) from error

    async def _kept(self, ready: list[Prepared]) -> tuple[Image, ...]:
        images: list[Image] = []
        try:
            for one in ready:
                name = await self._library.keep_picture(one.data, one.content_type)
                images.append(Image(name, one.content_type, one.width, one.height, len(one.data), one.note))
        finally:
            if len(images) < len(ready):  # the disk is full or the caller was cancelled: all or none
                await self.discard(tuple(images))
        return tuple(images)
