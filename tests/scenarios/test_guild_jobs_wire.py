"""A manager asks for a video again over the wire: a deleted one comes back once, one that is there stays alone."""

import asyncio
from pathlib import Path

import pytest

from bot.domain.job import Delivery, Job
from tests.scenarios.theatre import Theatre, theatre, videos

pytestmark = pytest.mark.wire

DEADLINE_S = 20.0


async def delivered(t: Theatre, job_id: str) -> Job:
    """Wait until the delivery has come to its end."""
    async with asyncio.timeout(DEADLINE_S):
        while (job := await t.app.store.job(job_id)).delivery is not Delivery.POSTED:  # noqa: ASYNC110 - rings no bell
            await asyncio.sleep(0.01)
    return job


async def deliver_again(t: Theatre, job_id: str) -> Job:
    said = await t.said("video-admin deliver", {"job": job_id}, user=t.discord.owner)
    assert "is posted again in" in said
    return await delivered(t, job_id)


async def test_a_deleted_video_comes_back_once_and_is_then_left_alone(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        asked = await t.command("video text", {"prompt": "A paper boat", "gateway": "shortapi", "duration": 3})
        first = await t.video()
        job_id = (await t.job_of(asked)).job_id
        await delivered(t, job_id)
        t.discord.faults.delete_message(first)

        again = await deliver_again(t, job_id)
        [second] = videos(t.channel)
        left_alone = await deliver_again(t, job_id)

        assert videos(t.channel) == [second]
        assert again.video_message.message_id == left_alone.video_message.message_id == second.id != first.id
        assert len(t.gateways.shortapi.submissions) == 1
