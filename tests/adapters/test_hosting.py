"""Picture addresses: fresh, in order, complete, and private where the job is."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.adapters.discord.delivery import DiscordMessenger
from bot.adapters.discord.hosting import DiscordHosting, WebHosting
from bot.adapters.discord.own_messages import file_name
from bot.adapters.discord.uploads import UploadLimits, VideoFiles
from bot.adapters.web import MediaLinks
from bot.domain.errors import UploadFailed
from bot.domain.job import Job, MessageRef
from bot.sandbox.discord import permissions as bits
from tests.adapters.discord_stage import JOB_ID, OTHER_JOB_ID, Stage, stage, view_of

pytestmark = pytest.mark.wire

MESSAGES = r"POST .*/messages$"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as on_stage:
        yield on_stage
        on_stage.sandbox.assert_clean()


class Memory:
    """Remembers which message shows a job's pictures."""

    def __init__(self) -> None:
        self.messages: dict[str, MessageRef] = {}

    async def remember(self, job_id: str, *, message: MessageRef) -> None:
        self.messages[job_id] = message


def hosting_on(scene: Stage, *, staging_channel_id: int | None = None, memory: Memory | None = None) -> DiscordHosting:
    return DiscordHosting(
        places=scene.places,
        posting=scene.posting,
        library=scene.library,
        remember=(memory or Memory()).remember,
        staging_channel_id=staging_channel_id,
    )


async def carded(scene: Stage, job: Job) -> Job:
    async def never(*_: object, **__: object) -> bool:
        raise AssertionError("no video is posted here")

    messenger = DiscordMessenger(
        places=scene.places,
        posting=scene.posting,
        library=scene.library,
        limits=UploadLimits(scene.store, scene.clock, bytes_default=1),
        videos=VideoFiles(scene.library, work_dir=scene.library.path("work"), fit=never, plays_inline=never),
        clock=scene.clock,
        link=lambda _: None,
    )
    return replace(job, card=await messenger.post_card(view_of(job), look_first=False))


async def test_the_addresses_are_the_cards_pictures_in_order(scene: Stage) -> None:
    job = await carded(scene, scene.job(pictures=9))

    addresses = await hosting_on(scene).addresses(job)

    fetched = [await scene.sandbox.download(address) for address in addresses]
    assert [file_name(address) for address in addresses] == [f"{JOB_ID}-{n}.png" for n in range(1, 10)]
    assert fetched == [scene.library.path(image.name).read_bytes() for image in job.images]


async def test_a_job_that_waited_gets_freshly_signed_addresses(scene: Stage) -> None:
    job = await carded(scene, scene.job(pictures=1))
    hosting = hosting_on(scene)
    [first] = await hosting.addresses(job)
    scene.clock.turn(2 * 86_400)

    [second] = await hosting.addresses(job)

    assert second != first
    assert await scene.sandbox.download(second)


async def test_a_job_without_pictures_asks_discord_nothing(scene: Stage) -> None:
    asked = len(scene.sandbox.requests)

    assert await hosting_on(scene).addresses(scene.job()) == ()
    assert len(scene.sandbox.requests) == asked


async def test_a_card_not_yet_posted_is_waited_for(scene: Stage) -> None:
    with pytest.raises(UploadFailed) as failed:
        await hosting_on(scene).addresses(scene.job(pictures=1))

    assert not failed.value.permanent


async def test_a_deleted_card_ends_the_upload(scene: Stage) -> None:
    job = await carded(scene, scene.job(pictures=1))
    scene.channel.messages[0].delete()

    with pytest.raises(UploadFailed) as failed:
        await hosting_on(scene).addresses(job)

    assert failed.value.permanent


async def test_a_card_that_lacks_a_picture_ends_the_upload(scene: Stage) -> None:
    job = await carded(scene, scene.job(pictures=1))

    with pytest.raises(UploadFailed) as failed:
        await hosting_on(scene).addresses(replace(scene.job(pictures=2), card=job.card))

    assert failed.value.permanent


async def test_an_unclear_answer_is_no_verdict_on_the_upload(scene: Stage) -> None:
    job = await carded(scene, scene.job(pictures=1))
    scene.sandbox.faults.answer("GET .*/messages/", 503)

    with pytest.raises(UploadFailed) as failed:
        await hosting_on(scene).addresses(job)

    assert not failed.value.permanent


async def test_the_staging_channel_shows_the_pictures_once(scene: Stage) -> None:
    staging, memory = scene.guild.add_channel("staging"), Memory()
    hosting = hosting_on(scene, staging_channel_id=staging.id, memory=memory)
    job = scene.job(pictures=2)

    addresses = await hosting.addresses(job)
    asked = len(scene.sandbox.requests)
    again = await hosting.addresses(replace(job, pictures_message=memory.messages[JOB_ID]))

    [shown] = staging.messages
    assert len(scene.sandbox.requests) == asked + 1
    assert [file_name(address) for address in addresses] == [media.filename for media in shown.media]
    assert [file_name(address) for address in again] == [media.filename for media in shown.media]
    assert scene.channel.messages == []


async def test_a_staging_message_forgotten_by_a_crash_is_found_again(scene: Stage) -> None:
    staging = scene.guild.add_channel("staging")
    hosting = hosting_on(scene, staging_channel_id=staging.id)
    scene.sandbox.faults.drop_after(MESSAGES)
    with pytest.raises(UploadFailed) as failed:
        await hosting.addresses(scene.job(pictures=2))
    scene.sandbox.faults.forget_nonces()
    await hosting.addresses(scene.job(OTHER_JOB_ID, pictures=1))

    addresses = await hosting.addresses(scene.job(pictures=2))

    assert not failed.value.permanent
    assert len(addresses) == 2
    assert len(staging.messages) == 2


async def test_a_closed_staging_channel_ends_the_upload(scene: Stage) -> None:
    staging = scene.guild.add_channel("staging")
    scene.sandbox.set_bot_permissions(staging, bits.EVERYONE & ~bits.ATTACH_FILES)

    with pytest.raises(UploadFailed) as failed:
        await hosting_on(scene, staging_channel_id=staging.id).addresses(scene.job(pictures=1))

    assert failed.value.permanent


async def test_private_pictures_stay_in_the_direct_messages(scene: Stage) -> None:
    staging = scene.guild.add_channel("staging")
    job = await carded(scene, scene.job(pictures=1, private=True))

    [address] = await hosting_on(scene, staging_channel_id=staging.id).addresses(job)

    assert f"/{scene.member.dm.id}/" in address
    assert staging.messages == []


async def test_the_web_host_signs_an_address_for_each_picture(scene: Stage) -> None:
    links = MediaLinks(b"secret", "https://gallop.example", scene.clock)
    job = scene.job(pictures=2)

    addresses = await WebHosting(links).addresses(job)

    assert [file_name(address) for address in addresses] == [image.name for image in job.images]
    assert all(address.startswith("https://gallop.example/media/picture/") for address in addresses)
