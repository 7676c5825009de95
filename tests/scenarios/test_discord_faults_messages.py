"""Messages that exist though nobody said so, and faults that follow each other: still one video, or none and kept."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from bot.sandbox.discord import permissions as bits
from bot.sandbox.discord.faults import ALWAYS
from tests.scenarios.discord_faults import FAILED, KEPT, NEVER_STARTED, POSTED, Outcome, Play, Story, playing

pytestmark = [pytest.mark.wire, pytest.mark.asyncio(loop_scope="module")]

NO_HISTORY = bits.EVERYONE & ~bits.READ_MESSAGE_HISTORY
NO_SIGHT = bits.EVERYONE & ~bits.VIEW_CHANNEL
ONLY_SIGHT = bits.VIEW_CHANNEL
VIDEO, EXPLANATION = "video", "explanation"
# People see the video, the bot cannot know it: it is kept as well, and nothing is posted a second time.
KEPT_BESIDE_ONE_UNSEEN = KEPT._replace(videos=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with playing(tmp_path_factory.mktemp("messages")) as play:
        yield play


@pytest.fixture
def play(stage: Play) -> Iterator[Play]:
    yield stage
    stage.clear()


def permitted(permissions: int) -> Callable[[Story], None]:
    return lambda story: story.play.theatre.discord.set_bot_permissions(story.channel, permissions)


def kicked(story: Story) -> None:
    story.guild.remove_bot()


def in_a_channel(play: Play) -> Story:
    return play.story()


def in_a_thread(play: Play) -> Story:
    return play.story().in_thread()


def in_two_guilds(play: Play) -> Story:
    story = play.story(guild=play.guild())
    play.theatre.guild.add_member(story.member)
    return story


async def posted_unanswered(story: Story) -> None:
    """Let the video be posted, and its answer be lost."""
    await story.rendering()
    dropped = story.play.faults.drop_after(story.posts())
    story.play.go_on()
    await dropped.reached.wait()
    assert len(story.videos(await story.job())) == 1


@pytest.mark.parametrize(
    ("place", "then", "outcome", "by_direct_message"),
    [
        pytest.param(in_a_channel, lambda story: None, POSTED, None, id="nothing"),
        pytest.param(in_a_channel, lambda story: story.channel.delete(), POSTED, VIDEO, id="channel deleted"),
        pytest.param(in_a_thread, lambda story: story.channel.delete(), POSTED, VIDEO, id="thread deleted"),
        pytest.param(in_a_thread, lambda story: story.channel.archive(), POSTED, None, id="thread archived"),
        pytest.param(in_a_thread, lambda story: story.channel.lock(), POSTED, None, id="thread locked"),
        pytest.param(in_a_channel, permitted(NO_HISTORY), POSTED, None, id="history lost"),
        pytest.param(in_a_channel, permitted(ONLY_SIGHT), KEPT_BESIDE_ONE_UNSEEN, None, id="all but sight lost"),
        pytest.param(in_a_channel, permitted(NO_SIGHT), KEPT_BESIDE_ONE_UNSEEN, EXPLANATION, id="channel hidden"),
        pytest.param(in_two_guilds, kicked, KEPT_BESIDE_ONE_UNSEEN, EXPLANATION, id="guild left"),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "and restarted"])
async def test_a_video_posted_without_an_answer_is_not_posted_again_whatever_happens_then(
    play: Play,
    place: Callable[[Play], Story],
    then: Callable[[Story], None],
    outcome: Outcome,
    by_direct_message: str | None,
    restarted: bool,
) -> None:
    story = place(play)
    await posted_unanswered(story)
    if restarted:
        await play.theatre.stop()
    then(story)
    if restarted:
        await play.start()

    assert await story.ended() == outcome
    messages = story.said(story.member.dm)
    assert [VIDEO if m.media else EXPLANATION for m in messages] == ([by_direct_message] if by_direct_message else [])
    if by_direct_message == EXPLANATION:
        assert f"`/video show job:{(await story.job()).job_id}` gets it." in messages[0].text
    assert await story.handed_out(story.member.dm)


async def test_a_video_posted_without_an_answer_whose_nonce_is_forgotten_is_found(play: Play) -> None:
    story = play.story()
    await posted_unanswered(story)
    play.faults.forget_nonces()

    assert await story.ended() == POSTED
    assert len(story.said()) == 2


async def test_a_video_sent_to_the_direct_messages_without_an_answer_is_found_there(play: Play) -> None:
    story = play.story()
    await story.rendering()
    permitted(NO_SIGHT)(story)
    dropped = play.faults.drop_after(story.posts(story.member.dm))
    play.go_on()
    await dropped.reached.wait()
    play.faults.forget_nonces()

    assert await story.ended() == POSTED
    assert len(story.said(story.member.dm)) == 1


@pytest.mark.parametrize("then", ["answer lost", "refused again"])
async def test_a_video_refused_as_too_large_is_there_once_whatever_follows(play: Play, then: str) -> None:
    story = play.story(guild=play.guild())
    await story.rendering()
    if then == "answer lost":
        play.faults.answer(story.posts(), 413)
        play.faults.drop_after(story.posts())
    else:
        play.faults.answer(story.posts(), 413, times=2)
    play.go_on()

    is_link = then == "refused again"
    assert await story.ended() == POSTED._replace(videos=int(not is_link))
    _, message = story.said(story.channel)
    assert ("/video show" in message.text) is is_link
    assert await story.handed_out()


async def test_a_card_posted_without_an_answer_into_a_channel_that_is_deleted_starts_nothing(play: Play) -> None:
    story = play.story()
    dropped = play.faults.drop_after(story.posts())
    await story.ask()
    await dropped.reached.wait()
    story.channel.delete()

    assert await story.ended() == NEVER_STARTED
    (explanation,) = story.said()
    assert explanation.channel is story.member.dm


async def test_an_explanation_posted_without_an_answer_is_there_once(play: Play) -> None:
    story = play.story()
    await story.rendering(fails=True)
    story.said()[0].delete()
    dropped = play.faults.drop_after(story.posts())
    play.go_on()
    await dropped.reached.wait()
    play.faults.forget_nonces()

    assert await story.ended() == FAILED
    assert len(story.said()) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["video", "failure"])
async def test_a_card_that_takes_no_more_edits_leaves_its_news_to_a_message_of_its_own(play: Play, fails: bool) -> None:
    story = play.story()
    await story.rendering(fails=fails)
    play.faults.answer(story.edits(), 429, times=ALWAYS, retry_after_s=0.001, code=30046)
    play.go_on()

    assert await story.ended() == (FAILED if fails else POSTED)
    card, news = story.said()
    assert news.reference is card
    assert news.channel is story.channel
    assert ("Nothing was charged." in news.text) is fails
