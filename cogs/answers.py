"""Answers an interaction privately: deferred first, refusals put into words, a dead token logged."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from functools import partial
from typing import Any

import discord

from bot.domain.errors import VideoBotError
from bot.presentation.layout import Layout, plain
from bot.presentation.layout import text as words
from bot.presentation.replies import error_reply

log = logging.getLogger(__name__)

# The token of an interaction dies after 15 minutes (401 / 50027), and the network may fail. What else discord.py lets
# through goes to the command tree, which logs it and tries to answer by another way.
_FAILURES = (discord.HTTPException, OSError, TimeoutError)
_ALREADY_ACKNOWLEDGED = 40060


class Sent(Enum):
    """What came of sending files."""

    YES = auto()
    TOO_LARGE = auto()
    NO = auto()
    UNCLEAR = auto()


class PrivateAnswer:
    """The one message only the asker sees. It can be said anew; a failure to say it is logged, never raised."""

    def __init__(self, interaction: discord.Interaction, *, is_layout: bool = False) -> None:
        """`is_layout`: the message has shown a layout before; Discord lets it show no plain text any more."""
        self._interaction = interaction
        self._is_layout = is_layout

    async def say(self, text: str) -> None:
        if self._is_layout:
            await self._edit(view=plain(words(text)))
        else:
            await self._edit(content=text)

    async def show(self, layout: Layout) -> None:
        self._is_layout = True
        await self._edit(view=layout)

    async def _edit(self, **shown: Any) -> None:
        edit = partial(
            self._interaction.edit_original_response, **shown, allowed_mentions=discord.AllowedMentions.none()
        )
        try:
            try:
                await edit()
            except OSError:
                # Nobody knows whether it was taken: the same edit again does no harm.
                await edit()
        except _FAILURES as error:
            self._log(error)

    async def add(self, text: str) -> None:
        """Say something in a private message of its own, beside what is shown."""
        try:
            await self._interaction.followup.send(text, ephemeral=True, allowed_mentions=discord.AllowedMentions.none())
        except _FAILURES as error:
            self._log(error)

    async def is_thinking(self) -> bool:
        """Say whether nothing has been answered yet, as far as Discord tells; unknown is no."""
        try:
            message = await self._interaction.original_response()
        except (discord.ClientException, *_FAILURES) as error:
            log.warning(
                "private answer not read interaction_id=%s error=%s", self._interaction.id, type(error).__name__
            )
            return False
        return bool(message.flags.loading)

    async def send_files(self, layout: Layout, *files: discord.File) -> Sent:
        """Show a layout with its files, and say what came of it.

        A new file must come with the POST that completes the deferred answer: adding one to a Components V2 message by
        PATCH can fail (discord-api-docs #7529).
        """
        try:
            await self._interaction.followup.send(
                view=layout, files=files, ephemeral=True, allowed_mentions=discord.AllowedMentions.none()
            )
        except discord.HTTPException as error:
            self._log(error)
            if error.status == 413 or error.code == 40005:
                return Sent.TOO_LARGE
            return Sent.UNCLEAR if error.status >= 500 else Sent.NO
        except _FAILURES as error:
            self._log(error)
            return Sent.UNCLEAR
        return Sent.YES

    def _log(self, error: Exception) -> None:
        detail = f"{error.status}/{error.code}" if isinstance(error, discord.HTTPException) else type(error).__name__
        log.warning("private answer not given interaction_id=%s error=%s", self._interaction.id, detail)


@asynccontextmanager
async def private_answer(interaction: discord.Interaction) -> AsyncIterator[PrivateAnswer]:
    """Defer privately, then answer; whatever is raised on purpose inside is answered in words."""
    await _defer(interaction, ephemeral=True, thinking=True)
    answer = PrivateAnswer(interaction)
    try:
        yield answer
    except VideoBotError as error:
        log.info("refused interaction_id=%s error=%s", interaction.id, type(error).__name__)
        await answer.say(error_reply(error))


@asynccontextmanager
async def button_answer(interaction: discord.Interaction) -> AsyncIterator[PrivateAnswer]:
    """Answer a button or a form by changing the private message it stands on; what goes wrong is said beside it."""
    await _defer(interaction)
    answer = PrivateAnswer(interaction, is_layout=True)
    try:
        yield answer
    except VideoBotError as error:
        log.info("refused interaction_id=%s error=%s", interaction.id, type(error).__name__)
        await answer.add(error_reply(error))
    except Exception as error:
        # No command tree stands behind a button: discord.py only logs, and the person would see nothing happen.
        log.exception("button failed interaction_id=%s", interaction.id)
        await answer.add(error_reply(error))


async def _defer(interaction: discord.Interaction, **options: bool) -> None:
    try:
        await interaction.response.defer(**options)
    except OSError as error:
        log.warning("deferral unclear, repeated interaction_id=%s error=%s", interaction.id, type(error).__name__)
        try:
            await interaction.response.defer(**options)
        except discord.HTTPException as refused:
            # Then the first one was taken. Without a first one of ours, somebody else answers this interaction.
            if refused.code != _ALREADY_ACKNOWLEDGED:
                raise
