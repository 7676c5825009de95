"""Reads our own messages: the files they show, their words, and finding one again in a channel's history."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import discord
from discord.components import MediaGalleryComponent, TextDisplay

from bot.adapters.discord.answers import CallFailed, Failure, sorted_failures
from bot.adapters.discord.places import Place

# 10 requests of 100; a channel that says more between a try and the next look is too busy to be sure of anything.
MESSAGES_READ_MAX: Final = 1000
# Discord's clock and ours may differ by this much.
_CLOCK_SLACK = timedelta(seconds=60)


class HistoryUnreadable(Exception):
    """Whether our message is there cannot be known."""


def _walk(components: Any) -> Iterator[Any]:
    for component in components:
        yield component
        yield from _walk(getattr(component, "children", None) or ())
        if (accessory := getattr(component, "accessory", None)) is not None:
            yield accessory


def shown_files(message: discord.Message) -> list[tuple[str, str]]:
    """Return file name and address of everything the message shows, in order.

    A Components V2 message lists no attachments (discord-api-docs #8277), its galleries do; should Discord ever list
    them again, they count as well.
    """
    shown = [
        (file_name(item.media.url), item.media.url)
        for component in _walk(message.components)
        if isinstance(component, MediaGalleryComponent)
        for item in component.items
    ]
    listed = [(attachment.filename, attachment.url) for attachment in message.attachments]
    return shown + [file for file in listed if file not in shown]


def file_name(address: str) -> str:
    return PurePosixPath(unquote(urlsplit(address).path)).name


def words(message: discord.Message) -> list[str]:
    """Return the message's text displays, in order."""
    return [component.content for component in _walk(message.components) if isinstance(component, TextDisplay)]


def custom_ids(message: discord.Message) -> set[str]:
    return {
        custom_id for component in _walk(message.components) if (custom_id := getattr(component, "custom_id", None))
    }


async def find_own(
    place: Place, *, since: datetime, is_wanted: Callable[[discord.Message], bool]
) -> discord.Message | None:
    """Return our newest message that is wanted and not older than `since`.

    Raises:
        HistoryUnreadable: it may be there, but we may not look, or the channel is too busy.
        CallFailed: unclear.
    """
    if place.history_readable is False:
        raise HistoryUnreadable
    oldest = since - _CLOCK_SLACK
    read = 0
    try:
        async with sorted_failures():
            async for message in place.channel.history(limit=MESSAGES_READ_MAX):
                read += 1
                if message.created_at < oldest:
                    return None
                if message.author.id == place.own_user_id and is_wanted(message):
                    return message
    except CallFailed as failed:
        if failed.failure is Failure.GONE:
            return None
        if failed.refused:
            raise HistoryUnreadable from failed
        raise
    # Without the permission Discord answers with an empty list, not with 403.
    if read >= MESSAGES_READ_MAX or (read == 0 and place.history_readable is None):
        raise HistoryUnreadable
    return None
