"""Asks before money is spent: shows quotes, takes presses, and lets what nobody pressed expire."""

import asyncio
import logging
import re
from collections.abc import Callable

import discord
from discord import ui
from discord.ext import commands

from bot.domain.errors import QuotaExceeded, QuoteGone, StoreFailed
from bot.domain.kept_quotes import KeptQuote, Over
from bot.domain.request import Ask
from bot.domain.video_service import Opened, VideoService
from bot.presentation.layout import Layout
from bot.presentation.private_answers import ended_text, opened_text
from bot.presentation.quotes import (
    CANCEL,
    QUOTA_ID,
    QUOTE_ID,
    Gone,
    expired_refusal_card,
    gone_card,
    quote_card,
    refusal_card,
)
from bot.presentation.replies import limit_reply, reply
from cogs.answers import PrivateAnswer, button_answer
from cogs.buttons import buttons_of
from cogs.places import link_to, place_of
from cogs.quota import QuotaCommand

log = logging.getLogger(__name__)

# A card is there within a second or two; after this the answer stands without the link to it.
_CARD_TIMEOUT_S = 20.0


class QuoteCards(commands.Cog):
    """What stands between a spending command and its job. Each quote has a task that ends with it, or with the cog."""

    _service: VideoService
    _waiting: set[asyncio.Task[None]]

    async def answer_ask(self, interaction: discord.Interaction, answer: PrivateAnswer, ask: Ask) -> None:
        """Open the job, ask first, or refuse with what would pass instead."""
        try:
            made = await self._service.request(ask)
        except QuotaExceeded as error:
            await self._refuse(answer, ask, error)
        else:
            await self._show(interaction, answer, made)

    async def press(self, interaction: discord.Interaction, quote_id: str, choice: str) -> None:
        """Take a quote, or leave it; the card it stood on shows what came of it."""
        async with button_answer(interaction) as answer:
            user_id = interaction.user.id
            try:
                if choice == CANCEL:
                    await self._service.dismiss(quote_id, user_id=user_id)
                    await answer.show(gone_card(Gone.CANCELLED))
                else:
                    place = place_of(interaction)
                    made = await self._service.press(quote_id, int(choice), user_id=user_id, place=place)
                    await self._show(interaction, answer, made)
            except QuoteGone:
                if not _is_own(interaction):
                    raise
                await answer.show(gone_card(Gone.EXPIRED))

    async def end_quotes(self) -> None:
        """End every quote's task; nobody can press any of them afterwards."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _show(self, interaction: discord.Interaction, answer: PrivateAnswer, made: Opened | KeptQuote) -> None:
        if isinstance(made, KeptQuote):
            self._let_expire(answer, made, lambda: gone_card(Gone.EXPIRED))
            await answer.show(quote_card(made))
        else:
            await answer.say(opened_text(made, None))
            await self._add_link(interaction, answer, made)

    async def _refuse(self, answer: PrivateAnswer, ask: Ask, error: QuotaExceeded) -> None:
        log.info("refused interaction_id=%s error=%s", ask.interaction_id, type(error).__name__)
        kept = await self._service.request_instead(ask)
        words = limit_reply(error, is_cheaper_left=kept.choices[0].price_microusd > 0) if kept else reply(error)
        if kept is not None:
            self._let_expire(answer, kept, lambda: expired_refusal_card(words, kept))
        await answer.show(refusal_card(words, kept))

    def _let_expire(self, answer: PrivateAnswer, kept: KeptQuote, card: Callable[[], Layout]) -> None:
        task = asyncio.create_task(self._expire(answer, kept, card), name=f"quote {kept.quote_id}")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _expire(self, answer: PrivateAnswer, kept: KeptQuote, card: Callable[[], Layout]) -> None:
        try:
            if await self._service.quote_over(kept) is Over.EXPIRED:
                await answer.show(card())
        except Exception:
            # Nobody waits for this task: the quote is over whether its card says so or not.
            log.exception("quote not ended quote_id=%s", kept.quote_id)

    async def _add_link(self, interaction: discord.Interaction, answer: PrivateAnswer, opened: Opened) -> None:
        try:
            job = await self._service.card_posted(opened.view.job.job_id, timeout_s=_CARD_TIMEOUT_S)
            if job is None:
                return
            if job.card is not None:
                await answer.say(opened_text(opened, link_to(interaction.client, job.card, job)))
            else:
                await answer.say(ended_text(await self._service.job(job.job_id, user_id=job.user_id)))
        except StoreFailed:
            # The job is open and its price on hold: the answer that says so must stand.
            log.exception("card not linked job_id=%s", opened.view.job.job_id)


def _is_own(interaction: discord.Interaction) -> bool:
    """Say whether the card answers a command of whoever pressed: a restart forgot its quote, and it says so itself."""
    command = interaction.message.interaction_metadata if interaction.message is not None else None
    return command is not None and command.user.id == interaction.user.id


def quote_button(cog: QuoteCards) -> type[ui.DynamicItem[ui.Button[Layout]]]:
    """Return what answers the buttons of a quote, also of one that a restart has forgotten."""
    return buttons_of(
        re.compile(QUOTE_ID), lambda interaction, match: cog.press(interaction, match["quote_id"], match["choice"])
    )


def quota_button(cog: QuotaCommand) -> type[ui.DynamicItem[ui.Button[Layout]]]:
    """Return what answers the button that shows where somebody stands."""
    return buttons_of(re.compile(QUOTA_ID), lambda interaction, _: cog.show_quota(interaction))
