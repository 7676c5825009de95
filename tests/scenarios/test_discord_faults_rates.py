"""Discord slow, overloaded, out of reach or deaf: every job still ends in one video, posted once and paid once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.sandbox.discord import Fault, Faults
from bot.sandbox.discord.faults import ALWAYS
from tests.scenarios.discord_faults import POSTED, Play, Story, playing

pytestmark = [pytest.mark.wire, pytest.mark.asyncio(loop_scope="module")]

Strike = Callable[[Faults, str], Fault]

STRIKES: dict[str, Strike] = {
    "429 of the route": lambda faults, requests: faults.answer(requests, 429),
    "429 of the whole bot": lambda faults, requests: faults.answer(requests, 429, is_global=True),
    "429 of Cloudflare": lambda faults, requests: faults.answer(requests, 429, with_via=False),
    "500": lambda faults, requests: faults.answer(requests, 500),
    "503": lambda faults, requests: faults.answer(requests, 503),
    "dropped before": lambda faults, requests: faults.drop_before(requests),
    "dropped after": lambda faults, requests: faults.drop_after(requests),
    "502 after": lambda faults, requests: faults.answer_after(requests, 502),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with playing(tmp_path_factory.mktemp("rates"), jobs_per_guild="20", jobs_per_gateway="20") as play:
        yield play


@pytest.fixture
def play(stage: Play) -> Iterator[Play]:
    yield stage
    stage.clear()


async def ended(story: Story, fault: Fault) -> tuple[object, ...]:
    """Return how the story came out, how often the fault struck, and whether a card links to the one video."""
    outcome = await story.ended()
    card, video = story.said()
    linked = f"/{story.channel.id}/{video.id}" in card.text and video.reference is card
    return outcome, fault.met, linked, await story.handed_out()


async def test_a_fault_at_the_videos_post_delays_it_and_makes_no_second_one(play: Play) -> None:
    stories = {name: play.story() for name in STRIKES}
    for story in stories.values():
        await story.rendering()
    faults = [strike(play.faults, stories[name].posts()) for name, strike in STRIKES.items()]
    play.go_on()
    came = await asyncio.gather(*map(ended, stories.values(), faults))

    assert dict(zip(STRIKES, came, strict=True)) == dict.fromkeys(STRIKES, (POSTED, 1, True, True))


async def test_a_fault_at_the_cards_post_delays_it_and_makes_no_second_one(play: Play) -> None:
    stories = {name: play.story() for name in STRIKES}
    faults = [strike(play.faults, stories[name].posts()) for name, strike in STRIKES.items()]
    for story in stories.values():
        await story.ask()
    came = await asyncio.gather(*map(ended, stories.values(), faults))

    assert dict(zip(STRIKES, came, strict=True)) == dict.fromkeys(STRIKES, (POSTED, 1, True, True))


async def test_a_fault_at_the_cards_edits_costs_neither_the_video_nor_the_link(play: Play) -> None:
    stories = {name: play.story() for name in STRIKES}
    for story in stories.values():
        await story.rendering()
    faults = [strike(play.faults, stories[name].edits()) for name, strike in STRIKES.items()]
    play.go_on()
    came = await asyncio.gather(*map(ended, stories.values(), faults))

    assert dict(zip(STRIKES, came, strict=True)) == dict.fromkeys(STRIKES, (POSTED, 1, True, True))


async def test_a_channel_closed_for_an_hour_holds_up_nobody_else(play: Play) -> None:
    first, elsewhere = play.story(), play.story()
    second = play.story()
    second.channel = first.channel
    for story in (first, second, elsewhere):
        await story.rendering()
    closed = play.faults.answer(first.posts(), 429, times=ALWAYS, retry_after_s=3600)
    play.go_on()

    assert await elsewhere.ended() == POSTED
    await closed.reached.wait()
    assert first.videos(await first.job()) == []
    play.faults.clear()
    assert [await first.ended(), await second.ended()] == [POSTED, POSTED]


async def at_once(_shard_id: int | None, *, initial: bool = False) -> None:
    """Take the place of discord.py's five seconds before a second login."""


@pytest.mark.parametrize("restarted", [False, True], ids=["the bot waits", "the bot is restarted"])
@pytest.mark.parametrize("posted", [False, True], ids=["not posted before", "posted, but unanswered"])
async def test_a_video_waits_until_discord_is_back_and_is_there_once(
    tmp_path: Path, restarted: bool, posted: bool
) -> None:
    async with playing(tmp_path) as play:
        story = play.story()
        await story.rendering()
        looked = play.faults.answer(story.reads(), 503)
        if posted:
            dropped = play.faults.drop_after(story.posts())
            play.go_on()
            await dropped.reached.wait()
            play.faults.go_down()
            play.faults.forget_nonces()
        else:
            play.faults.go_down()
            play.go_on()
        await looked.reached.wait()
        if restarted:
            await play.theatre.stop()
        play.faults.clear()
        if restarted:
            await play.start()

        assert await story.ended() == POSTED
        card, video = story.said()
        assert card.channel is video.channel is story.channel
        assert f"/{story.channel.id}/{video.id}" in card.text


@pytest.mark.parametrize("how", ["closed", "cut", "asked to reconnect", "invalid but resumable"])
async def test_a_gateway_connection_that_ends_is_resumed_and_no_command_is_lost(play: Play, how: str) -> None:
    before, meanwhile = play.story(), play.story()
    gateway = play.theatre.discord.gateway
    resumes = gateway.resumes
    await before.rendering()
    match how:
        case "asked to reconnect":
            gateway.ask_to_reconnect()
        case "invalid but resumable":
            play.faults.invalidate_session(resumable=True)
        case _:
            play.faults.close_gateway(abruptly=how == "cut")
    await meanwhile.ask()
    await gateway.wait_resumed(resumes + 1, 10)
    play.go_on()

    assert [await before.ended(), await meanwhile.ended()] == [POSTED, POSTED]
    assert await before.handed_out()


@pytest.mark.parametrize("how", ["invalidated", "timed out"])
async def test_a_lost_gateway_session_is_begun_anew_and_no_job_notices(play: Play, how: str) -> None:
    before, after = play.story(), play.story()
    gateway, bot = play.theatre.discord.gateway, play.theatre.app.bot
    bot.before_identify_hook = at_once
    await before.rendering()
    begun = asyncio.ensure_future(bot.wait_for("shard_ready", timeout=10))
    if how == "invalidated":
        play.faults.invalidate_session()
    else:
        play.faults.close_gateway(resumable=False)
    await begun
    await gateway.wait_ready(10)
    await after.ask()
    play.go_on()

    assert [await before.ended(), await after.ended()] == [POSTED, POSTED]


async def test_a_gateway_that_falls_silent_is_left_and_the_command_it_swallowed_is_answered(tmp_path: Path) -> None:
    async with playing(tmp_path) as play:
        before, swallowed = play.story(), play.story()
        gateway = play.theatre.discord.gateway
        # A socket is given up after a minute without a word; here after 0.6 s, with heartbeats to match.
        gateway.heartbeat_interval_s = 0.2
        play.theatre.app.bot._connection.heartbeat_timeout = 0.6
        gateway.ask_to_reconnect()
        await gateway.wait_resumed(1, 10)
        await before.rendering()
        play.faults.silence_gateway()
        interaction = await swallowed.ask()
        await gateway.wait_resumed(2, 10)
        play.go_on()

        assert "on hold" in (await interaction.answer()).text
        assert [await before.ended(), await swallowed.ended()] == [POSTED, POSTED]
