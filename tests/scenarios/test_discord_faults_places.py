"""Places that vanish under a job: in line it is released and told, later the one video finds the next allowed place."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from bot.app import set_paused
from bot.sandbox import samples
from bot.sandbox.discord import Channel
from bot.sandbox.discord import permissions as bits
from tests.scenarios.discord_faults import FAILED, KEPT, NEVER_STARTED, POSTED, Outcome, Play, Story, playing

pytestmark = [pytest.mark.wire, pytest.mark.asyncio(loop_scope="module")]

NO_SENDING = bits.EVERYONE & ~bits.SEND_MESSAGES & ~bits.SEND_MESSAGES_IN_THREADS
NO_HISTORY = bits.EVERYONE & ~bits.READ_MESSAGE_HISTORY
NO_FILES = bits.EVERYONE & ~bits.ATTACH_FILES
NO_SIGHT = bits.EVERYONE & ~bits.VIEW_CHANNEL
WHY = "The bot may no longer post where this was asked, so it was never started. Nothing was charged."

Vanish = Callable[[Story], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with playing(tmp_path_factory.mktemp("places")) as play:
        yield play


@pytest.fixture
def play(stage: Play) -> Iterator[Play]:
    yield stage
    stage.clear()


async def heard(story: Story, event: str, act: Callable[[], object]) -> None:
    """Do it, and wait until the bot has heard of it."""
    async with story.play.hears(event):
        act()


async def deleted(story: Story) -> None:
    event = "raw_thread_delete" if story.channel.is_thread else "guild_channel_delete"
    await heard(story, event, story.channel.delete)


def permitted(permissions: int) -> Vanish:
    async def change(story: Story) -> None:
        place = story.channel.parent or story.channel
        await heard(
            story,
            "guild_channel_update",
            lambda: story.play.theatre.discord.set_bot_permissions(place, permissions),
        )

    return change


async def kicked(story: Story) -> None:
    await heard(story, "guild_remove", story.guild.remove_bot)


async def archived_and_locked(story: Story) -> None:
    story.channel.archive(locked=True)


async def locked(story: Story) -> None:
    story.channel.lock()


async def archived(story: Story) -> None:
    story.channel.archive(locked=False)


async def put_out(story: Story) -> None:
    story.channel.bot_is_member = False


def a_channel(play: Play) -> Story:
    return play.story()


def a_thread(play: Play) -> Story:
    return play.story().in_thread()


def a_private_thread(play: Play) -> Story:
    return play.story().in_thread(private=True)


def an_adults_thread(play: Play) -> Story:
    return play.story(nsfw=True).in_thread()


def a_guild(play: Play) -> Story:
    """A guild of its own; the person and the bot meet in no other."""
    return play.story(guild=play.guild())


def two_guilds(play: Play) -> Story:
    story = play.story(guild=play.guild())
    play.theatre.guild.add_member(story.member)
    return story


@pytest.mark.parametrize(
    ("place", "vanish"),
    [
        pytest.param(a_channel, deleted, id="channel deleted"),
        pytest.param(a_thread, deleted, id="thread deleted"),
        pytest.param(a_channel, permitted(NO_SIGHT), id="channel hidden"),
        pytest.param(two_guilds, kicked, id="guild left"),
    ],
)
async def test_a_job_in_line_whose_place_is_gone_is_never_started_and_explained_by_direct_message(
    play: Play, place: Callable[[Play], Story], vanish: Vanish
) -> None:
    story = place(play)
    card = await story.in_line()
    await vanish(story)
    card.release()

    assert await story.ended() == NEVER_STARTED
    (explanation,) = story.said(story.member.dm)
    assert WHY in explanation.text
    assert story.channel.parent is None or story.said(story.channel.parent) == []


@pytest.mark.parametrize("permissions", [NO_SENDING, NO_FILES], ids=["sending", "files"])
async def test_a_job_in_line_where_the_bot_may_no_longer_post_is_never_started_and_its_card_says_so(
    play: Play, permissions: int
) -> None:
    story = play.story()
    card = await story.in_line()
    await permitted(permissions)(story)
    card.release()

    assert await story.ended() == NEVER_STARTED
    (told,) = story.said()
    assert told.channel is story.channel
    assert WHY in told.text


async def test_a_job_in_line_in_a_guild_that_removed_the_bot_is_explained_to_who_asks(play: Play) -> None:
    story = a_guild(play)
    card = await story.in_line()
    await kicked(story)
    card.release()

    assert await story.ended() == NEVER_STARTED
    assert story.said(story.member.dm) == []
    assert WHY in await play.theatre.said("video status", user=story.member, channel=story.member.dm)


@pytest.mark.parametrize("card_known", [False, True], ids=["card unanswered", "card known"])
async def test_a_job_whose_place_vanished_while_the_bot_was_away_is_not_started_at_the_next_start(
    play: Play, card_known: bool
) -> None:
    gone, closed, settings = play.story(), play.story(), play.theatre.app.settings
    cards = [await gone.in_line(), await closed.in_line()]
    await set_paused(settings, paused=True)
    if card_known:
        for story, card in zip((gone, closed), cards, strict=True):
            card.release()
            await story.until(lambda job: job.card is not None)
    await play.theatre.stop()
    play.faults.clear()
    gone.channel.delete()
    play.theatre.discord.set_bot_permissions(closed.channel, NO_SENDING)
    await set_paused(settings, paused=False)
    await play.start()

    assert [await gone.ended(), await closed.ended()] == [NEVER_STARTED, NEVER_STARTED]
    (explanation,) = gone.said()
    assert explanation.channel is gone.member.dm
    assert WHY in explanation.text
    assert WHY in closed.said()[0].text


def in_itself(story: Story) -> Channel:
    return story.channel


def in_parent(story: Story) -> Channel:
    assert story.channel.parent is not None
    return story.channel.parent


def in_direct_messages(story: Story) -> Channel:
    return story.member.dm


@pytest.mark.parametrize(
    ("place", "vanish", "where"),
    [
        pytest.param(a_thread, deleted, in_direct_messages, id="thread deleted"),
        pytest.param(a_thread, archived, in_itself, id="thread archived"),
        pytest.param(a_thread, locked, in_parent, id="thread locked"),
        pytest.param(a_private_thread, locked, in_direct_messages, id="private thread locked"),
        pytest.param(an_adults_thread, archived_and_locked, in_direct_messages, id="adults' thread archived"),
        pytest.param(a_thread, permitted(NO_SENDING), in_direct_messages, id="thread and parent closed"),
        pytest.param(a_private_thread, put_out, in_direct_messages, id="put out of a private thread"),
        pytest.param(a_channel, permitted(NO_HISTORY), in_itself, id="history lost"),
        pytest.param(a_channel, permitted(NO_SENDING), in_direct_messages, id="sending lost"),
        pytest.param(a_channel, permitted(NO_FILES), in_direct_messages, id="files lost"),
        pytest.param(a_channel, permitted(NO_SIGHT), in_direct_messages, id="channel hidden"),
        pytest.param(two_guilds, kicked, in_direct_messages, id="guild left, another shared"),
    ],
)
async def test_a_video_whose_place_is_closed_comes_once_in_the_next_allowed_one(
    play: Play, place: Callable[[Play], Story], vanish: Vanish, where: Callable[[Story], Channel]
) -> None:
    story = place(play)
    await story.rendering()
    await vanish(story)
    play.go_on()

    assert await story.ended() == POSTED
    (video,) = story.videos(await story.job())
    assert video.channel is where(story)
    assert await story.handed_out(story.member.dm)


@pytest.mark.parametrize(
    ("place", "vanish"),
    [
        pytest.param(a_channel, deleted, id="channel deleted"),
        pytest.param(a_channel, permitted(NO_SENDING), id="sending lost"),
        pytest.param(a_private_thread, archived_and_locked, id="private thread"),
        pytest.param(an_adults_thread, archived_and_locked, id="adults' thread"),
        pytest.param(a_guild, kicked, id="guild left"),
    ],
)
async def test_a_video_that_no_place_takes_is_charged_kept_and_handed_out_on_request(
    play: Play, place: Callable[[Play], Story], vanish: Vanish
) -> None:
    story = place(play)
    await story.rendering()
    story.member.dms_open = False
    await vanish(story)
    play.go_on()

    assert await story.ended() == KEPT
    assert story.channel.parent is None or story.said(story.channel.parent) == []
    status = await play.theatre.said("video status", user=story.member, channel=story.member.dm)
    assert "The video could not be posted here. $0.387 charged." in status
    assert await story.handed_out(story.member.dm)


async def test_a_card_in_a_place_that_refuses_the_video_says_where_it_is(play: Play) -> None:
    sent, kept = play.story(), play.story()
    kept.member.dms_open = False
    for story in (sent, kept):
        await story.rendering()
        await permitted(NO_SENDING)(story)
    play.go_on()

    assert [await sent.ended(), await kept.ended()] == [POSTED, KEPT]
    (video,) = sent.videos(await sent.job())
    (link,), (remark,) = sent.said(sent.channel), kept.said(kept.channel)
    assert f"discord.com/channels/@me/{sent.member.dm.id}/{video.id}" in link.text
    assert f"`/video show job:{(await kept.job()).job_id}` gets it." in remark.text
    assert await kept.handed_out()


@pytest.mark.parametrize(("fails", "outcome"), [(False, POSTED), (True, FAILED)], ids=["video", "failure"])
async def test_a_deleted_card_is_replaced_by_one_message(play: Play, fails: bool, outcome: Outcome) -> None:
    story = play.story()
    await story.rendering(fails=fails)
    (card,) = story.said()
    card.delete()
    play.go_on()

    assert await story.ended() == outcome
    (message,) = story.said()
    assert message.channel is story.channel
    assert message.reference is None
    assert ("Nothing was charged." in message.text) is fails


async def test_a_kept_video_whose_card_is_gone_is_explained_by_one_message(play: Play) -> None:
    story = play.story()
    await story.rendering()
    story.member.dms_open = False
    story.said()[0].delete()
    await permitted(NO_FILES)(story)
    play.go_on()

    assert await story.ended() == KEPT
    (explanation,) = story.said()
    assert explanation.channel is story.channel
    assert "The video could not be posted here. $0.387 charged." in explanation.text


async def test_a_deleted_card_takes_its_pictures_along_and_the_job_is_never_started(play: Play) -> None:
    story = play.story()
    card = await story.in_line(image1=samples.balloon_webp())
    story.said()[0].delete()
    card.release()

    assert await story.ended() == NEVER_STARTED
    (explanation,) = story.said()
    assert "The pictures could not be handed to ShortAPI, so it was never started." in explanation.text


@pytest.mark.parametrize("place", [a_thread, a_private_thread], ids=["public", "private"])
async def test_a_failure_in_a_closed_thread_is_explained_once_where_the_video_would_have_gone(
    play: Play, place: Callable[[Play], Story]
) -> None:
    story = place(play)
    await story.rendering(fails=True)
    await archived_and_locked(story)
    play.go_on()

    assert await story.ended() == FAILED
    card, explanation = story.said()
    assert card.channel is story.channel
    assert explanation.channel is (story.member.dm if story.channel.is_private_thread else story.channel.parent)


async def test_a_guild_in_an_outage_of_discord_is_not_taken_for_gone(play: Play) -> None:
    story = play.story(guild=play.guild())
    card = await story.in_line()
    await heard(story, "guild_unavailable", story.guild.become_unavailable)
    card.release()

    assert await story.ended() == POSTED


async def test_a_private_job_whose_direct_messages_close_in_line_is_never_started(play: Play) -> None:
    story = play.story()
    knock = play.faults.hold(story.posts(story.member.dm), times=1)
    await story.ask(private=True)
    await knock.reached.wait()
    card = play.faults.hold(story.posts(story.member.dm))
    knock.release()
    await card.reached.wait()
    story.member.dms_open = False
    card.release()

    assert await story.ended() == NEVER_STARTED
    status = await play.theatre.said("video status", user=story.member, channel=story.channel)
    assert "Your direct messages are closed to the bot, so it was never started." in status
    assert story.said(story.channel) == []


async def test_a_private_video_whose_direct_messages_close_is_kept_and_its_card_says_so(play: Play) -> None:
    story = play.story()
    await story.rendering(private=True)
    story.member.dms_open = False
    play.go_on()

    assert await story.ended() == KEPT
    knock, card = story.said()
    assert "gets it." in card.text
    assert {knock.channel, card.channel} == {story.member.dm}
    assert await story.handed_out()
