"""Delivery over the wire: cards and videos reach people exactly once, and only where they may."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import discord
import pytest

from bot.adapters.discord import own_messages
from bot.adapters.discord.answers import Failure, sort_failure
from bot.adapters.discord.delivery import DiscordMessenger
from bot.adapters.discord.posting import NONCE_LIFE_S, Posting
from bot.adapters.discord.uploads import BYTES_SAFE, MIB, UploadLimits, VideoFiles
from bot.domain.errors import DeliveryFailed, DirectMessagesClosed, VideoUnusable
from bot.domain.job import Delivery, Job, JobState, MessageRef
from bot.sandbox.discord import Channel, Message
from bot.sandbox.discord import permissions as bits
from tests.adapters.discord_stage import JOB_ID, OTHER_JOB_ID, VIDEO_BYTES, Stage, stage, view_of

pytestmark = pytest.mark.wire

NO_HISTORY = bits.EVERYONE & ~bits.READ_MESSAGE_HISTORY
NO_SENDING = bits.EVERYONE & ~bits.SEND_MESSAGES & ~bits.SEND_MESSAGES_IN_THREADS
LINK = "https://gallop.example/media/video/k7.mp4?until=1&sig=2"


class Fitting:
    """Stands for the encoder: writes as many bytes as it may, and records what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.plays = True
        self.can = True

    async def fit(self, path: Path, target: Path, *, bytes_max: int) -> None:
        self.asked.append(bytes_max)
        if not self.can:
            raise VideoUnusable("media", "fit ended with 1")
        self._write(path, target, bytes_max)

    @staticmethod
    def _write(path: Path, target: Path, bytes_max: int) -> None:
        target.write_bytes(b"f" * min(bytes_max, path.stat().st_size))

    async def plays_inline(self, path: Path) -> bool:
        return self.plays


@dataclass
class Scene:
    """The stage with a messenger on it."""

    stage: Stage
    messenger: DiscordMessenger
    fitting: Fitting
    folder: Path
    link: str | None = LINK

    def videos_in(self, channel: Channel, job_id: str = JOB_ID) -> list[Message]:
        name = f"{job_id}.mp4"
        return [message for message in channel.messages if name in {media.filename for media in message.media}]

    async def with_card(self, job: Job) -> Job:
        return replace(job, card=await self.messenger.post_card(view_of(job), look_first=False))

    async def video(self, job: Job, *, look_first: bool = False) -> MessageRef:
        return await self.messenger.post_video(view_of(job), look_first=look_first)


def messenger_on(scene_stage: Stage, fitting: Fitting, folder: Path, link: str | None, timeout_s: float = 30.0):
    return DiscordMessenger(
        places=scene_stage.places,
        posting=Posting(transfer_timeout_s=timeout_s),
        library=scene_stage.library,
        limits=UploadLimits(scene_stage.store, scene_stage.clock, bytes_default=20 * MIB),
        videos=VideoFiles(scene_stage.library, work_dir=folder, fit=fitting.fit, plays_inline=fitting.plays_inline),
        clock=scene_stage.clock,
        link=lambda _: link,
    )


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    fitting, work = Fitting(), tmp_path / "work"
    work.mkdir()
    async with stage(tmp_path) as on_stage:
        yield Scene(on_stage, messenger_on(on_stage, fitting, work, LINK), fitting, work)
        on_stage.sandbox.assert_clean()


MESSAGES = r"POST .*/messages$"


async def test_a_card_shows_its_pictures_in_order(scene: Scene) -> None:
    job = scene.stage.job(pictures=3)

    ref = await scene.messenger.post_card(view_of(job), look_first=False)

    [card] = scene.stage.channel.messages
    assert ref == MessageRef(scene.stage.channel.id, card.id)
    assert card.attachments == []
    assert [media.filename for media in card.media] == [f"{JOB_ID}-{n}.png" for n in (1, 2, 3)]


async def test_a_video_arrives_as_a_reply_to_its_card(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.stored_job())

    ref = await scene.video(job)

    card, video = scene.stage.channel.messages
    assert ref.message_id == video.id
    assert video.reference is card
    assert await scene.stage.sandbox.download(video.media[0].url) == VIDEO_BYTES


async def test_a_video_arrives_though_its_card_was_deleted(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.stored_job())
    scene.stage.channel.messages[0].delete()

    await scene.video(job)

    assert len(scene.videos_in(scene.stage.channel)) == 1


async def test_a_message_that_came_without_its_video_is_no_delivery(scene: Scene) -> None:
    job = scene.stage.stored_job()

    def lose_the_gallery(event: str, subject: object) -> None:
        if isinstance(subject, Message) and event == "MESSAGE_CREATE":
            subject.stored_components = subject.stored_components[1:]
            scene.stage.sandbox.world.observers.remove(lose_the_gallery)

    scene.stage.sandbox.world.observers.append(lose_the_gallery)
    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job)
    # As long as Discord knows the nonce, it hands out the message that was taken back.
    with pytest.raises(DeliveryFailed) as again:
        await scene.video(job, look_first=True)
    scene.stage.sandbox.faults.forget_nonces()
    await scene.video(job, look_first=True)

    [message] = scene.stage.channel.messages
    assert not failed.value.permanent
    assert not again.value.permanent
    assert [media.filename for media in message.media] == [f"{JOB_ID}.mp4"]
    assert scene.stage.member.dm.messages == []


async def test_an_explanation_is_found_again_though_the_card_is_gone(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.job(state=JobState.FAILED))
    scene.stage.channel.messages[0].delete()
    first = await scene.messenger.explain(view_of(job), look_first=False)
    scene.stage.sandbox.faults.forget_nonces()

    again = await scene.messenger.explain(view_of(job), look_first=True)

    assert again == first
    assert len(scene.stage.channel.messages) == 1


@pytest.mark.parametrize("nonce_is_remembered", [True, False])
async def test_a_lost_answer_makes_no_second_video(scene: Scene, nonce_is_remembered: bool) -> None:
    job = scene.stage.stored_job()
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job)
    if not nonce_is_remembered:
        scene.stage.sandbox.faults.forget_nonces()
    scene.stage.clock.turn(600)

    ref = await scene.video(job, look_first=True)

    [video] = scene.videos_in(scene.stage.channel)
    assert not failed.value.permanent
    assert ref.message_id == video.id


async def asked_again(scene: Scene, *, after_s: float) -> tuple[Job, Message]:
    """Post a video, let time pass, and return the job as it is when managers ask for the video again."""
    job = scene.stage.stored_job()
    ref = await scene.video(job)
    [message] = scene.videos_in(scene.stage.channel)
    scene.stage.clock.turn(after_s)
    return replace(job, video_message=ref, delivery_count=1, delivery_since=scene.stage.clock.now()), message


@pytest.mark.parametrize("after_s", [1, 86_400])
async def test_a_video_asked_for_again_is_not_posted_where_it_is_there(scene: Scene, after_s: float) -> None:
    job, message = await asked_again(scene, after_s=after_s)

    ref = await scene.video(job, look_first=True)

    assert scene.videos_in(scene.stage.channel) == [message]
    assert ref.message_id == message.id


@pytest.mark.parametrize("after_s", [1, 86_400])
async def test_a_video_asked_for_again_after_it_was_deleted_is_posted_once(scene: Scene, after_s: float) -> None:
    job, message = await asked_again(scene, after_s=after_s)
    scene.stage.sandbox.faults.delete_message(message)
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.video(job, look_first=True)

    ref = await scene.video(job, look_first=True)

    [posted] = scene.videos_in(scene.stage.channel)
    assert ref.message_id == posted.id != message.id


async def test_a_deleted_video_comes_again_though_its_channel_was_too_busy_since_to_be_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_messages, "MESSAGES_READ_MAX", 2)
    job, message = await asked_again(scene, after_s=60)
    for number in range(3):
        await scene.messenger.post_card(view_of(scene.stage.job(f"{OTHER_JOB_ID[:-1]}{number}")), look_first=False)
    scene.stage.clock.turn(600)
    scene.stage.sandbox.faults.delete_message(message)

    await scene.video(replace(job, delivery_since=scene.stage.clock.now()), look_first=True)

    assert len(scene.videos_in(scene.stage.channel)) == 1


async def test_a_video_whose_message_we_may_not_read_is_not_posted_again(scene: Scene) -> None:
    job, message = await asked_again(scene, after_s=600)
    await permit(scene, scene.stage.channel, NO_HISTORY)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job, look_first=True)

    assert failed.value.permanent
    assert scene.videos_in(scene.stage.channel) == [message]


async def test_the_nonce_alone_keeps_a_repeated_post_single(scene: Scene) -> None:
    job = scene.stage.stored_job()
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.video(job)

    await scene.video(job)

    assert len(scene.videos_in(scene.stage.channel)) == 1


@pytest.mark.parametrize("pictures", [0, 2])
async def test_a_lost_answer_makes_no_second_card(scene: Scene, pictures: int) -> None:
    job = scene.stage.job(pictures=pictures)
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.messenger.post_card(view_of(job), look_first=False)
    scene.stage.sandbox.faults.forget_nonces()

    ref = await scene.messenger.post_card(view_of(job), look_first=True)

    [card] = scene.stage.channel.messages
    assert ref.message_id == card.id


async def test_a_lost_answer_makes_no_second_explanation(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.job(state=JobState.FAILED))
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.messenger.explain(view_of(job), look_first=False)
    scene.stage.sandbox.faults.forget_nonces()

    ref = await scene.messenger.explain(view_of(job), look_first=True)

    card, explanation = scene.stage.channel.messages
    assert ref.message_id == explanation.id
    assert explanation.reference is card


async def test_another_jobs_messages_are_not_taken_for_this_ones(scene: Scene) -> None:
    other = await scene.with_card(scene.stage.stored_job(OTHER_JOB_ID))
    await scene.video(other)
    job = scene.stage.stored_job()

    await scene.video(job, look_first=True)

    assert len(scene.videos_in(scene.stage.channel)) == 1


@pytest.mark.parametrize("fault", ["drop_before", "503"])
async def test_an_unclear_answer_stays_in_the_same_place(scene: Scene, fault: str) -> None:
    job = scene.stage.stored_job()
    faults = scene.stage.sandbox.faults
    faults.drop_before(MESSAGES) if fault == "drop_before" else faults.answer(MESSAGES, 503)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job)
    await scene.video(job, look_first=True)

    assert not failed.value.permanent
    assert len(scene.videos_in(scene.stage.channel)) == 1
    assert scene.stage.member.dm.messages == []


async def test_a_video_in_the_direct_messages_is_found_when_the_channel_is_open_again(scene: Scene) -> None:
    job = scene.stage.stored_job()
    scene.stage.sandbox.set_bot_permissions(scene.stage.channel, NO_SENDING)
    scene.stage.sandbox.faults.drop_after(f"/channels/{scene.stage.member.dm.id}/messages")
    with pytest.raises(DeliveryFailed):
        await scene.video(job)
    scene.stage.sandbox.set_bot_permissions(scene.stage.channel, bits.EVERYONE)

    await scene.video(job, look_first=True)

    assert len(scene.videos_in(scene.stage.member.dm)) == 1
    assert scene.videos_in(scene.stage.channel) == []


async def test_a_hidden_channel_that_surely_refused_keeps_nothing_from_the_direct_messages(scene: Scene) -> None:
    job = scene.stage.stored_job()
    await permit(scene, scene.stage.channel, bits.EVERYONE & ~bits.VIEW_CHANNEL)
    scene.stage.sandbox.faults.answer("POST .*/users/@me/channels", 503)
    with pytest.raises(DeliveryFailed):
        await scene.video(job)
    scene.stage.clock.turn(NONCE_LIFE_S + 1)

    await scene.video(job, look_first=True)

    assert len(scene.videos_in(scene.stage.member.dm)) == 1


async def test_a_video_in_a_threads_channel_is_found_though_the_thread_is_gone(scene: Scene) -> None:
    thread = scene.stage.channel.add_thread("ideas")
    thread.archive()
    job = scene.stage.stored_job(channel_id=thread.id)
    scene.stage.sandbox.faults.drop_after(f"/channels/{scene.stage.channel.id}/messages")
    with pytest.raises(DeliveryFailed):
        await scene.video(job)
    thread.delete()

    await scene.video(job, look_first=True)

    assert len(scene.videos_in(scene.stage.channel)) == 1
    assert scene.stage.member.dm.messages == []


async def test_a_video_that_may_be_in_a_place_we_cannot_read_goes_to_no_other(scene: Scene) -> None:
    job = scene.stage.stored_job()
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.video(job)
    await permit(scene, scene.stage.channel, bits.EVERYONE & ~bits.VIEW_CHANNEL)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job, look_first=True)

    assert failed.value.permanent
    assert len(scene.videos_in(scene.stage.channel)) == 1
    assert scene.stage.member.dm.messages == []


async def test_an_explanation_is_rather_said_twice_than_never(scene: Scene) -> None:
    job = scene.stage.job(state=JobState.FAILED)
    await permit(scene, scene.stage.channel, bits.EVERYONE & ~bits.VIEW_CHANNEL)
    scene.stage.clock.turn(NONCE_LIFE_S + 1)

    ref = await scene.messenger.explain(view_of(job), look_first=True)

    assert ref.channel_id == scene.stage.member.dm.id


async def test_where_history_is_closed_a_fresh_nonce_still_allows_a_repeat(scene: Scene) -> None:
    job = scene.stage.stored_job()
    await permit(scene, scene.stage.channel, NO_HISTORY)
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.video(job)

    await scene.video(job, look_first=True)

    assert len(scene.videos_in(scene.stage.channel)) == 1


async def test_where_history_is_closed_and_the_nonce_is_old_nothing_is_posted_again(scene: Scene) -> None:
    job = scene.stage.stored_job()
    await permit(scene, scene.stage.channel, NO_HISTORY)
    scene.stage.clock.turn(NONCE_LIFE_S + 1)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job, look_first=True)

    assert failed.value.permanent
    assert scene.stage.channel.messages == []
    assert scene.stage.member.dm.messages == []


async def test_an_archived_threads_empty_history_proves_nothing(scene: Scene) -> None:
    thread = scene.stage.channel.add_thread("ideas")
    thread.archive(locked=False)
    scene.stage.channel.bot_permissions = NO_HISTORY
    job = scene.stage.stored_job(channel_id=thread.id)
    scene.stage.clock.turn(NONCE_LIFE_S + 1)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(job, look_first=True)

    assert failed.value.permanent
    assert thread.messages == []


async def permit(scene: Scene, channel: Channel, permissions: int) -> None:
    """Change what the bot may do and wait until the bot has heard of it."""
    heard = asyncio.create_task(scene.stage.bot.wait_for("guild_channel_update", timeout=10))
    await asyncio.sleep(0)
    scene.stage.sandbox.set_bot_permissions(channel, permissions)
    await heard


async def test_replying_is_given_up_where_history_is_closed(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.stored_job())
    # The bot has not heard of the change yet: Discord itself refuses the reply.
    scene.stage.channel.bot_permissions = NO_HISTORY

    await scene.video(job)

    [video] = scene.videos_in(scene.stage.channel)
    assert video.reference is None


async def test_a_closed_channel_sends_the_video_to_the_direct_messages(scene: Scene) -> None:
    scene.stage.sandbox.set_bot_permissions(scene.stage.channel, NO_SENDING)

    ref = await scene.video(scene.stage.stored_job())

    assert ref.channel_id == scene.stage.member.dm.id
    assert len(scene.videos_in(scene.stage.member.dm)) == 1


async def test_a_deleted_channel_sends_the_video_to_the_direct_messages(scene: Scene) -> None:
    job = scene.stage.stored_job()
    scene.stage.channel.delete()

    await scene.video(job)

    assert len(scene.videos_in(scene.stage.member.dm)) == 1


async def test_an_archived_thread_sends_the_video_to_its_channel(scene: Scene) -> None:
    thread = scene.stage.channel.add_thread("ideas")
    thread.archive()

    await scene.video(scene.stage.stored_job(channel_id=thread.id))

    assert len(scene.videos_in(scene.stage.channel)) == 1


@pytest.mark.parametrize("why", ["private", "age-restricted"])
async def test_a_video_never_leaves_a_small_audience_for_a_larger_one(scene: Scene, why: str) -> None:
    parent = scene.stage.guild.add_channel("adults", nsfw=True) if why == "age-restricted" else scene.stage.channel
    thread = parent.add_thread("ideas", private=why == "private")
    thread.archive()

    await scene.video(scene.stage.stored_job(channel_id=thread.id))

    assert parent.messages == []
    assert len(scene.videos_in(scene.stage.member.dm)) == 1


async def test_a_private_job_is_only_ever_seen_in_the_direct_messages(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.stored_job(private=True, pictures=1))
    await scene.video(job)
    await scene.messenger.explain(view_of(job), look_first=True)

    card, video, _ = scene.stage.member.dm.messages
    assert scene.stage.channel.messages == []
    assert [media.filename for media in card.media] == [f"{JOB_ID}-1.png"]
    assert video.reference is card


async def test_closed_direct_messages_end_the_ladder(scene: Scene) -> None:
    scene.stage.member.dms_open = False

    with pytest.raises(DeliveryFailed) as failed:
        await scene.video(scene.stage.stored_job(private=True))

    assert failed.value.permanent


async def test_a_card_never_climbs_to_another_place(scene: Scene) -> None:
    scene.stage.sandbox.set_bot_permissions(scene.stage.channel, NO_SENDING)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.messenger.post_card(view_of(scene.stage.job()), look_first=False)

    assert failed.value.permanent
    assert scene.stage.member.dm.messages == []


async def test_a_refused_file_is_sent_again_at_half_its_size(scene: Scene) -> None:
    scene.stage.guild.upload_bytes_max = 2 * MIB

    await scene.video(scene.stage.stored_job(size=3 * MIB))

    [video] = scene.videos_in(scene.stage.channel)
    assert scene.fitting.asked == [3 * MIB // 2]
    assert video.media[0].size == 3 * MIB // 2
    assert list(scene.folder.iterdir()) == []


async def test_a_large_refused_file_is_sent_again_at_a_size_taken_everywhere(scene: Scene) -> None:
    scene.stage.guild.upload_bytes_max = 10 * MIB

    await scene.video(scene.stage.stored_job(size=20 * MIB))

    assert scene.fitting.asked == [BYTES_SAFE]
    assert len(scene.videos_in(scene.stage.channel)) == 1


@pytest.mark.parametrize("link", [LINK, None])
async def test_a_file_refused_twice_becomes_a_link(scene: Scene, link: str | None) -> None:
    scene.stage.guild.upload_bytes_max = 1000
    messenger = messenger_on(scene.stage, scene.fitting, scene.folder, link)
    job = scene.stage.stored_job(size=3 * MIB)

    await messenger.post_video(view_of(job), look_first=False)

    [message] = scene.stage.channel.messages
    shown = message.text + " ".join(button.url or "" for button in message.link_buttons)
    assert len(scene.fitting.asked) == 1
    assert (link or "/video show") in shown


async def test_a_link_whose_answer_was_lost_is_not_posted_again(scene: Scene) -> None:
    scene.fitting.plays = scene.fitting.can = False
    messenger = messenger_on(scene.stage, scene.fitting, scene.folder, None)
    job = scene.stage.stored_job()
    scene.stage.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await messenger.post_video(view_of(job), look_first=False)
    scene.stage.sandbox.faults.forget_nonces()

    await messenger.post_video(view_of(job), look_first=True)

    assert len(scene.stage.channel.messages) == 1


async def test_a_learned_upload_limit_is_remembered_for_seven_days(scene: Scene) -> None:
    scene.stage.guild.upload_bytes_max = 2 * MIB
    await scene.video(scene.stage.stored_job(size=3 * MIB))
    learned = UploadLimits(scene.stage.store, scene.stage.clock, bytes_default=20 * MIB)
    elsewhere = await learned.bytes_max(scene.stage.guild.id + 1, None)

    now = await learned.bytes_max(scene.stage.guild.id, None)
    scene.stage.clock.turn(timedelta(days=7).total_seconds() - 1)
    still = await learned.bytes_max(scene.stage.guild.id, None)
    scene.stage.clock.turn(1)
    after = await learned.bytes_max(scene.stage.guild.id, None)

    assert (now, still, after, elsewhere) == (3 * MIB // 2, 3 * MIB // 2, 20 * MIB, 20 * MIB)


async def test_a_file_over_the_known_limit_is_fitted_before_it_is_sent(scene: Scene) -> None:
    await scene.video(scene.stage.stored_job(size=21 * MIB))

    assert scene.fitting.asked == [20 * MIB]
    assert len(scene.stage.posts(scene.stage.channel.id)) == 1


async def test_a_file_that_does_not_play_inline_is_encoded_anew(scene: Scene) -> None:
    scene.fitting.plays = False

    await scene.video(scene.stage.stored_job())

    [video] = scene.videos_in(scene.stage.channel)
    assert (await scene.stage.sandbox.download(video.media[0].url)).startswith(b"f")


async def test_a_fitted_copy_is_not_made_twice(scene: Scene) -> None:
    job = scene.stage.stored_job(size=21 * MIB)
    scene.stage.sandbox.faults.drop_before(MESSAGES)
    with pytest.raises(DeliveryFailed):
        await scene.video(job)

    await scene.video(job, look_first=True)

    assert scene.fitting.asked == [20 * MIB]


@pytest.mark.parametrize("prompt", ["@everyone look", "@here", "<@{owner}> and <@&1>"])
async def test_nothing_typed_in_a_prompt_pings_anybody(scene: Scene, prompt: str) -> None:
    written = prompt.format(owner=scene.stage.owner.id)
    job = await scene.with_card(scene.stage.stored_job(prompt=written))
    scene.stage.clock.turn(1000)
    await scene.messenger.edit_card(view_of(job))
    await scene.messenger.explain(view_of(job), look_first=False)
    await scene.video(job)
    await scene.messenger.knock(user_id=scene.stage.member.id, prompt=written, key="1")

    said = scene.stage.channel.messages + scene.stage.member.dm.messages
    assert len(said) == 4
    assert not any(message.pings_everyone for message in said)
    assert {user for message in said for user in message.pings} <= {scene.stage.member}


@pytest.mark.parametrize(("waited_s", "pinged"), [(120, False), (121, True)])
async def test_the_requester_is_pinged_only_after_two_minutes(scene: Scene, waited_s: int, pinged: bool) -> None:
    job = await scene.with_card(scene.stage.stored_job())
    scene.stage.clock.turn(waited_s)

    await scene.video(job)

    card, video = scene.stage.channel.messages
    assert card.pings == []
    assert video.pings == ([scene.stage.member] if pinged else [])


async def test_direct_messages_ping_nobody(scene: Scene) -> None:
    job = scene.stage.stored_job(private=True)
    scene.stage.clock.turn(1000)

    await scene.video(job)

    assert scene.stage.member.dm.messages[0].pings == []


async def test_an_edited_card_keeps_its_pictures(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.job(pictures=2))
    before = [media.filename for media in scene.stage.channel.messages[0].media]

    await scene.messenger.edit_card(view_of(replace(job, state=JobState.RUNNING)))

    [card] = scene.stage.channel.messages
    assert card.edited_at is not None
    assert [media.filename for media in card.media] == before
    assert await scene.stage.sandbox.download(card.media[1].url)


async def test_a_delivered_card_is_only_a_link(scene: Scene) -> None:
    job = await scene.with_card(scene.stage.stored_job(pictures=2))
    video = await scene.video(job)

    delivered = replace(job, delivery=Delivery.POSTED, video_message=video)
    await scene.messenger.edit_card(view_of(delivered))

    card = scene.stage.channel.messages[0]
    place = f"{scene.stage.guild.id}/{scene.stage.channel.id}/{video.message_id}"
    assert card.media == []
    assert card.files == []
    assert f"https://discord.com/channels/{place}" in card.text


async def test_a_card_too_large_for_one_message_comes_without_pictures_and_can_be_edited(scene: Scene) -> None:
    scene.stage.guild.upload_bytes_max = 10

    job = await scene.with_card(scene.stage.job(pictures=2))
    await scene.messenger.edit_card(view_of(replace(job, state=JobState.RUNNING)))

    [card] = scene.stage.channel.messages
    assert card.media == []
    assert card.edited_at is not None


@pytest.mark.parametrize("gone", ["message", "channel", "none"])
async def test_a_card_that_is_gone_cannot_be_edited_for_good(scene: Scene, gone: str) -> None:
    job = scene.stage.job()
    if gone != "none":
        job = await scene.with_card(job)
        scene.stage.channel.messages[0].delete() if gone == "message" else scene.stage.channel.delete()

    with pytest.raises(DeliveryFailed) as failed:
        await scene.messenger.edit_card(view_of(job))

    assert failed.value.permanent


async def test_a_knock_repeated_is_one_message_and_can_be_taken_back(scene: Scene) -> None:
    first = await scene.messenger.knock(user_id=scene.stage.member.id, prompt="A paper boat", key="1234567890123456789")
    again = await scene.messenger.knock(user_id=scene.stage.member.id, prompt="A paper boat", key="1234567890123456789")
    heard = len(scene.stage.member.dm.messages)
    await scene.messenger.unknock(first)
    await scene.messenger.unknock(first)

    assert first == again
    assert heard == 1
    assert scene.stage.member.dm.messages == []


async def test_a_knock_at_a_closed_door_says_so(scene: Scene) -> None:
    scene.stage.member.dms_open = False

    with pytest.raises(DirectMessagesClosed):
        await scene.messenger.knock(user_id=scene.stage.member.id, prompt="A paper boat", key="1")


async def test_an_unclear_knock_is_repeated_once_and_is_no_closed_door(scene: Scene) -> None:
    scene.stage.sandbox.faults.drop_before(MESSAGES, times=2)

    with pytest.raises(DeliveryFailed):
        await scene.messenger.knock(user_id=scene.stage.member.id, prompt="A paper boat", key="1")


async def test_a_place_is_judged_by_what_is_known_of_it(scene: Scene) -> None:
    job = scene.stage.job()
    other_guild = replace(job, guild_id=1, channel_id=2)
    private = scene.stage.job(private=True)
    before = await scene.messenger.may_deliver(job)
    await permit(scene, scene.stage.channel, bits.EVERYONE & ~bits.ATTACH_FILES)

    assert before
    assert not await scene.messenger.may_deliver(job)
    assert not await scene.messenger.may_deliver(other_guild)
    assert await scene.messenger.may_deliver(private)


async def test_a_place_that_is_not_known_is_asked_for_and_unclear_is_yes(scene: Scene) -> None:
    thread = scene.stage.channel.add_thread("ideas")
    thread.archive(locked=False)
    archived = scene.stage.job(channel_id=thread.id)
    unknown = scene.stage.job(channel_id=2)

    assert await scene.messenger.may_deliver(archived)
    assert not await scene.messenger.may_deliver(unknown)
    scene.stage.sandbox.faults.answer("GET .*/channels/2$", 503)
    assert await scene.messenger.may_deliver(unknown)


async def test_a_transfer_has_a_time_limit(scene: Scene) -> None:
    messenger = messenger_on(scene.stage, scene.fitting, scene.folder, None, timeout_s=0.05)
    fault = scene.stage.sandbox.faults.hold(MESSAGES)

    with pytest.raises(DeliveryFailed) as failed:
        await messenger.post_video(view_of(scene.stage.stored_job()), look_first=False)
    fault.release()

    assert not failed.value.permanent


async def test_a_post_given_up_while_the_whole_bot_is_rate_limited_closes_discord_to_nobody(scene: Scene) -> None:
    messenger = messenger_on(scene.stage, scene.fitting, scene.folder, None, timeout_s=0.05)
    scene.stage.sandbox.faults.answer(MESSAGES, 429, is_global=True, retry_after_s=0.3)
    job = scene.stage.stored_job()
    with pytest.raises(DeliveryFailed):
        await messenger.post_video(view_of(job), look_first=False)

    async with asyncio.timeout(5):
        await scene.video(job, look_first=True)

    assert len(scene.videos_in(scene.stage.channel)) == 1


async def test_a_channel_closed_for_long_is_not_waited_for(scene: Scene) -> None:
    scene.stage.sandbox.faults.answer(MESSAGES, 429, retry_after_s=3600)

    async with asyncio.timeout(5):
        with pytest.raises(DeliveryFailed) as failed:
            await scene.video(scene.stage.stored_job())

    assert not failed.value.permanent


async def test_at_most_two_uploads_run_at_once(scene: Scene) -> None:
    # discord.py itself sends one message at a time to a channel, so each has its own.
    channels = [scene.stage.guild.add_channel(name) for name in "abc"]
    faults = [scene.stage.sandbox.faults.hold(f"POST .*/{channel.id}/messages$") for channel in channels]
    jobs = [scene.stage.stored_job(channel.name * 16, channel_id=channel.id) for channel in channels]
    sending = [asyncio.create_task(scene.video(job)) for job in jobs]
    async with asyncio.timeout(10):
        await asyncio.wait(
            [asyncio.create_task(fault.reached.wait()) for fault in faults[:2]], return_when=asyncio.ALL_COMPLETED
        )
        third_waits = scene.messenger._posting._uploads.locked() and faults[2].met == 0
        faults[0].release()
        await faults[2].reached.wait()
        faults[1].release()
        faults[2].release()
        await asyncio.gather(*sending)

    assert third_waits
    assert [len(channel.messages) for channel in channels] == [1, 1, 1]


class Answered:
    """The part of an HTTP answer that discord.py's errors read."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reason = ""


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (404, 10003, Failure.GONE),
        (403, 50013, Failure.FORBIDDEN),
        (403, 50007, Failure.FORBIDDEN),
        (400, 50083, Failure.FORBIDDEN),
        (403, 50083, Failure.FORBIDDEN),
        (400, 160005, Failure.FORBIDDEN),
        (400, 160006, Failure.FORBIDDEN),
        (400, 240000, Failure.FORBIDDEN),
        (429, 30046, Failure.FORBIDDEN),
        (413, 0, Failure.TOO_LARGE),
        (400, 40005, Failure.TOO_LARGE),
        (403, 160002, Failure.NO_REPLY),
        (400, 50035, Failure.FORM),
        (400, 99999, Failure.UNCLEAR),
        (401, 0, Failure.UNCLEAR),
        (429, 0, Failure.UNCLEAR),
        (500, 0, Failure.UNCLEAR),
        (503, 0, Failure.UNCLEAR),
    ],
)
def test_only_definite_refusals_are_definite(status: int, code: int, failure: Failure) -> None:
    error = discord.HTTPException(Answered(status), {"code": code, "message": ""})

    assert sort_failure(error) is failure


@pytest.mark.parametrize(
    "error",
    [aiohttp.ServerDisconnectedError(), ConnectionResetError(), TimeoutError(), discord.RateLimited(60.0)],
)
def test_a_broken_connection_is_unclear(error: Exception) -> None:
    assert sort_failure(error) is Failure.UNCLEAR
