"""Fetches what a person attached, from Discord's own file hosts and nowhere else."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from bot.domain.errors import GatewayUnavailable, VideoUnusable
from bot.domain.request import Attachment

HOSTS: Final = ("cdn.discordapp.com", "media.discordapp.net")
TIMEOUT_S: Final = 60.0


class AttachmentFetcher:
    """Called with an attachment, returns its bytes; `download` writes an address to a file, from these hosts alone.

    Raises OSError where Discord does not hand it over.
    """

    def __init__(self, download: Callable[[str, Path], Awaitable[None]]) -> None:
        self._download = download

    async def __call__(self, attachment: Attachment) -> bytes:
        with tempfile.TemporaryDirectory(prefix="gallop-") as folder:
            target = Path(folder) / "attachment"
            try:
                await self._download(attachment.address, target)
            except (GatewayUnavailable, VideoUnusable) as error:
                raise OSError(error.detail) from error
            return await asyncio.to_thread(target.read_bytes)
