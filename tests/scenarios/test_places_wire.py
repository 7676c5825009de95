"""Where things are posted: threads, archived threads, direct messages, and places that take only small files."""

import re
from pathlib import Path

import pytest

from bot.domain.job import Delivery, JobState
from bot.sandbox.discord import Channel
from bot.sandbox.gateways.faults import SubmitFault
from tests.scenarios.test_hosting_web import free_port
from tests.scenarios.theatre import Theatre, theatre, videos

pytestmark = pytest.mark.wire

PROMPT = "A paper boat sails down a rainy street"
TEXT = {"prompt": PROMPT, "gateway": "shortapi", "duration": 3}


async def test_a_command_in_a_thread_is_answered_in_the_thread(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        thread = t.channel.add_thread("boats")
        await t.command("video text", TEXT, channel=thread)
        video = await t.video(thread)
        card = await t.card("discord.com/channels", channel=thread)

        assert f"/{thread.id}/{video.id}" in card.text
        assert t.channel.messages == []


async def asked_while_gateway_thinks(t: Theatre, thread: Channel) -> None:
    """Ask in the thread, and return while the paid POST is under way."""
    gateway = t.gateways.shortapi
    gateway.faults.submit.append(SubmitFault.STALL_THEN_ACCEPT)
    await t.command("video text", TEXT, channel=thread)
    await gateway.hanging.wait()


async def test_a_thread_archived_meanwhile_gets_its_video_in_the_channel(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        thread = t.channel.add_thread("boats")
        await asked_while_gateway_thinks(t, thread)
        thread.archive(locked=True)
        t.gateways.shortapi.released.set()

        assert PROMPT in (await t.video(t.channel)).text
        assert videos(thread) == []


async def test_a_private_thread_archived_meanwhile_gets_its_video_by_direct_message(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        thread = t.channel.add_thread("secret boats", private=True)
        await asked_while_gateway_thinks(t, thread)
        thread.archive(locked=True)
        t.gateways.shortapi.released.set()

        assert PROMPT in (await t.video(t.member.dm)).text
        assert t.channel.messages == []


async def test_a_channel_deleted_meanwhile_gets_its_video_by_direct_message(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        await asked_while_gateway_thinks(t, t.channel)
        t.channel.delete()
        t.gateways.shortapi.released.set()

        assert PROMPT in (await t.video(t.member.dm)).text


async def test_an_operator_may_buy_by_direct_message(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        operator = t.discord.owner
        said = await t.said("video text", TEXT, user=operator, channel=operator.dm)
        video = await t.video(operator.dm)

        assert "$0.387 on hold" in said
        assert "$0.387" in video.text


async def test_anybody_else_gets_a_free_preview_by_direct_message_and_is_told_why(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        place = {"user": t.member, "channel": t.member.dm}
        named = await t.said("video text", TEXT, **place)
        said = await t.said("video text", {"prompt": PROMPT, "duration": 3}, **place)
        video = await t.video(t.member.dm)

        assert named == (
            "ShortAPI is not open here: the operator decides which servers may use paid gateways. Nothing was held.\n"
            "`gateway:animatic` makes a free preview."
        )
        assert "Free preview, nothing is charged." in said
        assert "The operator has not opened paid gateways here" in said
        assert "$" not in video.text
        assert not any(stand.submissions for stand in (t.gateways.shortapi, t.gateways.hiapi, t.gateways.pixeldojo))


async def asked_where_only(t: Theatre, bytes_max: int) -> Channel:
    """Ask in a guild that takes no larger file, though nothing said so beforehand."""
    guild = t.discord.add_guild("Small Boats", owner=t.discord.owner, upload_bytes_max=bytes_max)
    guild.add_member(t.member)
    channel = guild.add_channel("videos")
    await t.command("video text", TEXT, channel=channel)
    return channel


def uploads_to(t: Theatre, channel: Channel) -> list[int]:
    """Return the statuses of the bot's posts, but for the card."""
    path = f"/api/v10/channels/{channel.id}/messages"
    return [r.status for r in t.discord.requests if r.method == "POST" and r.path == path][1:]


async def test_a_video_too_large_for_the_place_is_made_smaller_once_and_posted(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        channel = await asked_where_only(t, 150_000)
        video = await t.video(channel)
        await t.card("discord.com/channels", channel=channel)

        assert uploads_to(t, channel) == [413, 200]
        assert video.media[0].size <= 150_000


@pytest.mark.parametrize("public", [True, False], ids=["with PUBLIC_URL", "without"])
async def test_a_video_that_fits_in_no_way_becomes_a_link_or_says_how_to_get_it(tmp_path: Path, public: bool) -> None:
    port = free_port()
    web = {"public_url": f"http://127.0.0.1:{port}", "http_port": str(port)} if public else {}
    async with theatre(tmp_path, **web) as t:
        channel = await asked_where_only(t, 4_000)
        said = await t.card("The video is ready, but larger than Discord takes here.", channel=channel, timeout_s=30)
        await t.card("video: https://discord.com/channels", channel=channel)

        (job,) = await t.app.store.jobs_of(t.member.id, limit=1)
        assert (job.state, job.delivery) == (JobState.STORED, Delivery.POSTED)
        assert uploads_to(t, channel)[-1] == 200
        if public:
            link = re.search(rf"video: (http://127\.0\.0\.1:{port}/\S+)", said.text)
            assert link is not None
            assert (await t.discord.download(link[1]))[4:8] == b"ftyp"
        else:
            assert f"`/video show job:{job.job_id}` posts it where larger files are allowed." in said.text
            assert "http" not in said.text
