"""Private answers that fail: an answered interaction is nobody's condition for a job, and none says what is not so."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from bot.sandbox.discord import Fault, Faults
from tests.scenarios.discord_faults import POSTED, Play, playing

pytestmark = [pytest.mark.wire, pytest.mark.asyncio(loop_scope="module")]

CALLBACK, WORDS, MESSAGES = "POST .*/callback$", "PATCH .*/messages/@original$", "POST .*/webhooks/"

Strike = Callable[[Faults, str], Fault]
LOST: dict[str, Strike] = {
    "dropped before": lambda faults, requests: faults.drop_before(requests),
    "dropped after": lambda faults, requests: faults.drop_after(requests),
    "500": lambda faults, requests: faults.answer(requests, 500),
    "429": lambda faults, requests: faults.answer(requests, 429),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with playing(tmp_path_factory.mktemp("answers")) as play:
        yield play


@pytest.fixture
def play(stage: Play) -> Iterator[Play]:
    yield stage
    stage.clear()


@pytest.fixture(params=LOST.values(), ids=LOST.keys())
def lose(request: pytest.FixtureRequest) -> Strike:
    return request.param


async def test_an_interaction_discord_does_not_know_any_more_holds_nothing(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    story = play.story()
    fault = play.faults.answer(CALLBACK, 404, code=10062)
    with caplog.at_level(logging.INFO):
        await story.ask()
        await fault.reached.wait()
        assert "You have no videos yet" in await play.theatre.said("video status", user=story.member)

    assert await story.jobs() == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_command_whose_deferral_is_lost_goes_on_and_is_answered(play: Play, lose: Strike) -> None:
    story = play.story()
    fault = lose(play.faults, CALLBACK)
    interaction = await story.ask()

    assert await story.ended() == POSTED
    answer = await interaction.answer(until=lambda message: "channels/" in message.text)
    assert "$0.387 on hold" in answer.text
    assert fault.met == 1
    assert interaction.followups == []


async def test_a_command_acknowledged_behind_a_502_holds_nothing_and_is_answered(play: Play) -> None:
    story = play.story()
    play.faults.answer_after(CALLBACK, 502)
    interaction = await story.ask()

    assert "`/video status` shows whether your video is under way." in (await interaction.answer()).text
    assert await story.jobs() == []


async def test_an_acceptance_whose_words_are_lost_is_said_again(play: Play, lose: Strike) -> None:
    story = play.story()
    fault = lose(play.faults, WORDS)
    interaction = await story.ask()

    assert await story.ended() == POSTED
    answer = await interaction.answer(until=lambda message: "channels/" in message.text)
    assert "$0.387 on hold" in answer.text
    assert fault.met == 1
    assert interaction.followups == []


async def test_a_refusal_whose_words_are_lost_is_said_again(play: Play, lose: Strike) -> None:
    story = play.story()
    fault = lose(play.faults, WORDS)
    interaction = await story.ask(prompt="\u200b")

    assert "Nothing was held." in (await interaction.answer()).text
    assert fault.met == 1
    assert interaction.followups == []
    assert await story.jobs() == []


async def test_a_job_outlives_the_token_of_its_command(play: Play) -> None:
    story = play.story()
    card = play.faults.hold_answer(story.posts())
    interaction = await story.ask()
    await card.reached.wait()
    interaction.expire_token()
    card.release()

    assert await story.ended() == POSTED
    assert "channels/" not in (interaction.original.text if interaction.original else "")
    assert await story.handed_out()


async def test_a_command_told_twice_opens_one_job(play: Play) -> None:
    story = play.story()
    held = play.faults.hold(CALLBACK)
    interaction = await story.ask()
    await held.reached.wait()
    play.theatre.discord.deliver_again(interaction)
    held.release()

    assert await story.ended() == POSTED
    assert "$0.387 on hold" in (await interaction.answer()).text
    assert interaction.followups == []


@pytest.mark.parametrize(
    ("lose", "shown"),
    [
        pytest.param(LOST["dropped before"], False, id="dropped before"),
        pytest.param(LOST["dropped after"], True, id="dropped after"),
    ],
)
async def test_a_video_asked_for_again_is_shown_once_or_said_not_to_be(play: Play, lose: Strike, shown: bool) -> None:
    story = play.story()
    await story.ask()
    assert await story.ended() == POSTED
    lose(play.faults, MESSAGES)
    job = await story.job()
    show = await play.theatre.command("video show", {"job": job.job_id}, user=story.member, channel=story.channel)

    answer = await show.answer()
    assert (len(answer.media) == 1) is shown
    assert ("Discord did not take the video just now. Try again in a minute." in answer.text) is not shown
    assert len([followup for followup in show.followups if not followup.deleted]) == 0


async def test_a_button_whose_deferral_is_lost_still_cancels(play: Play, lose: Strike) -> None:
    story = play.story()
    card = await story.in_line()
    lose(play.faults, CALLBACK)
    pressed = await play.theatre.discord.press(story.member, story.said()[0], "Cancel")

    assert (await pressed.answer()).text == "Cancelled. $0.387 released."
    card.release()
    outcome = await story.ended()
    assert (outcome.submissions, outcome.settled_microusd, outcome.released_microusd) == (0, 0, 387_000)


async def test_a_private_job_whose_first_direct_message_has_no_answer_begins_all_the_same(play: Play) -> None:
    story = play.story()
    play.faults.drop_after(story.posts(story.member.dm))
    await story.ask(private=True)

    assert await story.ended() == POSTED
    knock, card, video = story.said()
    assert {knock.channel, card.channel, video.channel} == {story.member.dm}
