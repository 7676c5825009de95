"""The bot killed at the worst moments and started again: one submission, one video, the money right."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.domain.job import JobState
from bot.sandbox.discord import Interaction, Message
from bot.sandbox.gateways.faults import JobFault, MediaFault, SubmitFault
from tests.scenarios.process import Life, Stage, stage
from tests.scenarios.theatre import has_video, videos

pytestmark = pytest.mark.wire

PROMPT = "A paper boat sails down a rainy street"
PRICE_MICROUSD = 645_000
# The first life never looks; the next one looks at once, because whatever is unfinished is due at a start.
NEVER_LOOKS = {"watch_first_s": "3600"}

Moment = Callable[[Stage], Awaitable[None]]


def cards(stage: Stage) -> list[Message]:
    return [message for message in stage.theatre.channel.messages if not has_video(message)]


async def ask(stage: Stage, prompt: str = PROMPT) -> Interaction:
    return await stage.theatre.command("video text", {"prompt": prompt, "gateway": "shortapi"})


async def card_being_posted(stage: Stage) -> None:
    """Discord has the card, the bot has no answer."""
    held = stage.theatre.discord.faults.hold_answer(r"POST .*/channels/\d+/messages$")
    await ask(stage)
    await held.reached.wait()


async def running(stage: Stage) -> None:
    await ask(stage)
    await stage.theatre.card("● rendering")


async def downloading(stage: Stage) -> None:
    """The gateway has finished and stalls half way through handing the video out."""
    gateway = stage.theatre.gateways.shortapi
    gateway.faults.media.append(MediaFault.STALLED)
    await ask(stage)
    await gateway.hanging.wait()


async def delivering(stage: Stage) -> None:
    """Discord has the video, the bot has no answer."""
    gateway = stage.theatre.gateways.shortapi
    gateway.faults.submit.append(SubmitFault.STALL_THEN_ACCEPT)
    await ask(stage)
    await gateway.hanging.wait()
    held = stage.theatre.discord.faults.hold_answer(r"POST .*/channels/\d+/messages$")
    gateway.released.set()
    await held.reached.wait()
    assert len(videos(stage.theatre.channel)) == 1


@asynccontextmanager
async def killed(stage: Stage, moment: Moment, **first_life: Any) -> AsyncIterator[Life]:
    """Kill the bot at the moment, and give it a second life."""
    async with stage.life(**first_life) as life:
        await moment(stage)
        await life.kill()
    stage.theatre.gateways.shortapi.released.set()
    stage.theatre.discord.faults.clear()
    async with stage.life() as life:
        yield life


@pytest.mark.parametrize(
    ("moment", "first_life"),
    [(card_being_posted, {}), (running, NEVER_LOOKS), (downloading, {}), (delivering, {})],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_killed_bot_buys_once_posts_once_and_charges_once(
    tmp_path: Path, moment: Moment, first_life: dict[str, str]
) -> None:
    async with stage(tmp_path) as made:
        async with killed(made, moment, **first_life) as life:
            card = await made.theatre.card("discord.com/channels")
            assert await life.stop() == 0

        assert len(made.theatre.gateways.shortapi.submissions) == 1
        assert len(videos(made.theatre.channel)) == 1
        assert cards(made) == [card]
        (book,) = await made.books()
        assert (book.state, book.settled_microusd, book.released_microusd) == (JobState.STORED, PRICE_MICROUSD, 0)


async def test_a_bot_stopped_while_discord_holds_the_answer_to_a_video_ends_at_once_and_posts_it_once(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as made:
        async with made.life() as life:
            await delivering(made)
            assert await life.stop() == 0
        made.theatre.discord.faults.clear()
        async with made.life() as life:
            await made.theatre.card("discord.com/channels")
            assert await life.stop() == 0

        assert len(videos(made.theatre.channel)) == 1


async def test_a_job_in_line_when_the_bot_was_killed_keeps_its_card_and_its_turn(tmp_path: Path) -> None:
    async def in_line(made: Stage) -> None:
        made.theatre.gateways.shortapi.faults.job.append(JobFault.NEVER_FINISHES)
        await ask(made, "the first boat")
        await made.theatre.card("the first boat", "● rendering")
        await ask(made)
        await made.theatre.card(PROMPT, "in line (1st)")

    async with stage(tmp_path, jobs_per_user="2") as made, killed(made, in_line, jobs_per_user="1") as life:
        card = await made.theatre.card(PROMPT, "discord.com/channels")
        assert await life.stop() == 0

        assert len(made.theatre.gateways.shortapi.submissions) == 2
        assert len(videos(made.theatre.channel)) == 1
        assert [message for message in cards(made) if PROMPT in message.text] == [card]
        books = {book.state: (book.held_microusd, book.settled_microusd) for book in await made.books()}
        assert books == {
            JobState.RUNNING: (PRICE_MICROUSD, 0),
            JobState.STORED: (PRICE_MICROUSD, PRICE_MICROUSD),
        }


async def test_a_bot_killed_while_it_was_submitting_never_submits_again_and_keeps_the_hold(tmp_path: Path) -> None:
    async def submitting(made: Stage) -> None:
        gateway = made.theatre.gateways.shortapi
        gateway.faults.submit.append(SubmitFault.ACCEPT_THEN_HANG)
        await ask(made)
        await gateway.hanging.wait()

    async with stage(tmp_path) as made, killed(made, submitting) as life:
        card = await made.theatre.card("has not confirmed")
        assert await life.stop() == 0

        assert "$0.645 stays on hold" in card.text
        assert len(made.theatre.gateways.shortapi.submissions) == 1
        assert videos(made.theatre.channel) == []
        (book,) = await made.books()
        assert (book.state, book.held_microusd) == (JobState.UNCONFIRMED, PRICE_MICROUSD)
        assert (book.settled_microusd, book.released_microusd) == (0, 0)
