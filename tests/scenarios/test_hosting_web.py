"""Where the gateways fetch the pictures: the bot's own server, a staging channel, and links that did not grow old."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox import samples
from bot.sandbox.discord import Channel
from bot.sandbox.gateways.books import SandboxJob
from bot.sandbox.gateways.faults import SubmitFault
from tests.scenarios.theatre import Theatre, theatre

pytestmark = pytest.mark.wire

PICTURES = {"image1": samples.balloon_webp(), "image2": samples.transparent_png()}
OPTIONS = {"prompt": "[Image 1] over [Image 2]", "gateway": "hiapi", "duration": 3}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def fetched_by_gateway(t: Theatre, channel: Channel | None = None, **options: Any) -> SandboxJob:
    """Make a video with two pictures; return the job of the gateway, which fetched them."""
    await t.command("video reference", {**OPTIONS, **options}, pictures=PICTURES)
    await t.video(channel)
    (job,) = t.gateways.hiapi.jobs.values()
    assert len(job.pictures) == len(PICTURES)
    return job


@pytest.mark.parametrize("gateway", ["shortapi", "hiapi", "pixeldojo"])
async def test_gateways_fetch_from_the_bots_own_server_where_that_is_asked_for(tmp_path: Path, gateway: str) -> None:
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    async with theatre(tmp_path, attachment_host="web", public_url=public, http_port=str(port)) as t:
        await t.command("video reference", {**OPTIONS, "gateway": gateway}, pictures=PICTURES)
        await t.video()

        (job,) = getattr(t.gateways, gateway).jobs.values()
        assert [address.startswith(f"{public}/media/picture/") for address in job.asked.addresses] == [True, True]
        assert [len(picture) > 0 for picture in job.pictures] == [True, True]


async def staged(t: Theatre) -> Channel:
    """Give the bot a staging channel and start it."""
    staging = t.guild.add_channel("staging")
    t.settings["staging_channel_id"] = str(staging.id)
    await t.start()
    return staging


async def test_pictures_are_staged_in_the_channel_that_is_set(tmp_path: Path) -> None:
    async with theatre(tmp_path, started=False) as t:
        staging = await staged(t)
        job = await fetched_by_gateway(t)

        (message,) = staging.messages
        assert len(message.media) == len(PICTURES)
        assert message.pings == []
        assert [f"/attachments/{staging.id}/" in address for address in job.asked.addresses] == [True, True]


async def test_private_pictures_are_never_staged(tmp_path: Path) -> None:
    async with theatre(tmp_path, started=False) as t:
        staging = await staged(t)
        job = await fetched_by_gateway(t, t.member.dm, private=True)

        assert staging.messages == []
        assert t.channel.messages == []
        assert [f"/attachments/{t.member.dm.id}/" in address for address in job.asked.addresses] == [True, True]


@pytest.mark.parametrize("staging", [False, True])
async def test_a_job_that_waited_in_line_hands_out_links_that_still_live(tmp_path: Path, staging: bool) -> None:
    async with theatre(tmp_path, started=False, jobs_per_user="1") as t:
        await (staged(t) if staging else t.start())
        gateway = t.gateways.hiapi
        gateway.faults.submit.append(SubmitFault.STALL_THEN_ACCEPT)
        await t.command("video text", {"prompt": "In front", "gateway": "hiapi", "duration": 3})
        await gateway.hanging.wait()
        await t.command("video reference", OPTIONS, pictures=PICTURES)
        card = await t.card("2 pictures", "in line (1st)")
        old = [media.url for media in card.media]

        # A day in line: every link signed so far is dead.
        t.discord.world.links._now = lambda: datetime.now(UTC) + timedelta(hours=25)
        gateway.released.set()
        await t.channel.wait_message(lambda message: message.reference is card, 30)

        job = list(gateway.jobs.values())[-1]
        assert len(job.pictures) == len(PICTURES)
        assert set(job.asked.addresses).isdisjoint(old)
