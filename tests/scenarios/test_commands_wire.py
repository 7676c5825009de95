"""The commands beside spending, over the wire: what they answer, how quickly, and after a lost connection."""

import time
from pathlib import Path

import pytest

from bot.domain.job import JobState
from bot.sandbox.gateways.faults import JobFault
from tests.scenarios.theatre import Theatre, theatre

pytestmark = pytest.mark.wire

PROMPT = "A paper boat"
TEXT = {"prompt": PROMPT, "gateway": "shortapi", "duration": 3}
AUTOCOMPLETE_WITHIN_S = 0.3


async def one_video(t: Theatre) -> str:
    """Make a video; return its job's id."""
    interaction = await t.command("video text", TEXT)
    await t.card("discord.com/channels")
    return (await t.job_of(interaction)).job_id


async def test_before_the_first_video_every_list_says_how_to_make_one(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        first = "You have no videos yet. `/video text` makes the first one, `/video help` shows how."

        assert await t.said("video status") == first
        assert await t.said("video history") == first
        assert await t.discord.autocomplete(t.member, t.channel, "video show", "job", {"job": ""}) == []


async def test_a_finished_video_is_listed_explained_and_handed_out_again(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job_id = await one_video(t)
        posted = await t.video()

        status = await t.said("video status")
        history = await t.said("video history")
        shown = await (await t.command("video show", {"job": job_id})).answer()
        quota = await t.said("video quota")

        assert f"https://discord.com/channels/{t.guild.id}/{t.channel.id}/{posted.id}" in status
        assert all(words in history for words in (PROMPT, "posted", "3 s", "ShortAPI", "$0.387 charged", job_id))
        assert shown.ephemeral
        (file,) = shown.media
        assert file.filename == f"{job_id}.mp4"
        assert await t.discord.download(file.url) == await t.discord.download(posted.media[0].url)
        assert "$4.613 of $5.00 left" in quota
        assert "$0.387 charged · starts again" in quota


async def test_help_fits_one_card_with_commands_and_prices(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        said = await t.said("video help")

        for words in ("/video reference prompt:", "ShortAPI", "$0.645", "$1.145", "/video quota", "/video cancel"):
            assert words in said


async def test_somebody_elses_job_is_answered_like_one_that_does_not_exist(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job_id = await one_video(t)
        stranger = t.discord.add_user("noa")
        t.guild.add_member(stranger)

        for command in ("video status", "video cancel", "video show"):
            theirs = await t.said(command, {"job": job_id}, user=stranger)
            nobodys = await t.said(command, {"job": "0000000000000000"}, user=stranger)
            assert theirs == nobodys == "You have no such job. Nothing was changed.\n`/video history` lists yours."


async def test_a_waiting_job_is_found_by_autocomplete_and_cancelled_by_command(tmp_path: Path) -> None:
    async with theatre(tmp_path, jobs_per_user="1") as t:
        t.gateways.shortapi.faults.job.append(JobFault.NEVER_FINISHES)
        await t.command("video text", {**TEXT, "prompt": "In front"})
        await t.card("In front", "● rendering")
        waiting = await t.command("video text", TEXT)
        await t.card(PROMPT, "in line (1st)")

        (choice,) = await t.discord.autocomplete(t.member, t.channel, "video cancel", "job", {"job": "paper"})
        too_late = await t.said("video cancel", {"job": (await t.app.store.jobs_of(t.member.id, limit=2))[1].job_id})
        cancelled = await t.said("video cancel", {"job": choice["value"]})
        await t.card(PROMPT, "released")

        assert choice["name"] == f"A paper boat · in line · 3 s · ShortAPI · …{choice['value'][-5:]}"
        assert cancelled == "Cancelled. $0.387 released."
        assert "ShortAPI has it already; it cannot be stopped. You pay only if the video arrives." in too_late
        assert (await t.job_of(waiting)).state is JobState.CANCELLED
        assert len(t.gateways.shortapi.submissions) == 1


async def test_the_gateways_are_offered_with_their_prices_in_time(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        took_s = []
        for _ in range(3):
            began = time.perf_counter()
            choices = await t.discord.autocomplete(t.member, t.channel, "video text", "gateway", {"gateway": ""})
            took_s.append(time.perf_counter() - began)
        dearer = await t.discord.autocomplete(
            t.member, t.channel, "video text", "gateway", {"resolution": "1080p", "duration": 10, "gateway": "short"}
        )

        assert {choice["value"]: choice["name"] for choice in choices} == {
            "auto": "auto · the cheapest that can do it: ShortAPI, $0.645",
            "shortapi": "ShortAPI, HappyHorse 1.0 · $0.645",
            "hiapi": "HiAPI, HappyHorse 1.1 · $0.695",
            "animatic": "Animatic · free preview",
            "pixeldojo": "PixelDojo · needs reference pictures",
        }
        assert "ShortAPI, HappyHorse 1.0 · $2.29" in [choice["name"] for choice in dearer]
        assert min(took_s) < AUTOCOMPLETE_WITHIN_S


async def at_once(_shard_id: int | None, *, initial: bool = False) -> None:
    """Take the place of discord.py's five seconds before a second login."""


async def test_a_session_lost_for_good_is_begun_anew_at_the_same_discord(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        t.app.bot.before_identify_hook = at_once
        t.discord.faults.close_gateway(resumable=False)
        await t.discord.ready()
        await t.command("video text", TEXT)

        assert await t.video()
        assert t.discord.gateway.resumes == 0


async def test_commands_that_did_not_change_are_not_registered_again_at_the_next_start(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        await t.restart()
        assert "no videos yet" in await t.said("video status")

        assert len([request for request in t.discord.requests if request.method == "PUT"]) == 1


async def test_show_says_so_when_discord_does_not_take_the_file_just_now(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        interaction = await t.command("video text", TEXT)
        await t.video()
        job = await t.job_of(interaction)
        t.discord.faults.answer("POST .*/webhooks/", 400, code=50035)

        assert await t.said("video show", {"job": job.job_id}) == (
            "Discord did not take the video just now. Try again in a minute."
        )


async def test_two_jobs_with_the_same_prompt_can_be_told_apart_in_the_list(tmp_path: Path) -> None:
    async with theatre(tmp_path, jobs_per_user="1") as t:
        for _ in range(3):
            await (await t.command("video text", TEXT)).answer()
        choices = await t.discord.autocomplete(t.member, t.channel, "video status", "job", {"job": ""})

        assert len({choice["name"] for choice in choices}) == 3
