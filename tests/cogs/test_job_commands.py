"""The commands about one's own jobs, and the Cancel button: private, honest, and closed to everybody else."""

from pathlib import Path
from typing import Any

import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.job import Job, JobState, MessageRef
from bot.presentation.cards import job_card
from bot.presentation.private_answers import NO_JOBS
from tests.cogs.stage import Stage, shown, stage
from tests.cogs.walks import opened, stored, submitting

NO_SUCH_JOB = "You have no such job. Nothing was changed.\n`/video history` lists yours."
CANCELLED = "Cancelled. $0.645 released."


async def test_status_without_a_job_shows_the_newest_unfinished_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await opened(on, "The unfinished one")
        done = await opened(on, "The cancelled one")
        await on.say("cancel", job=done.job_id)

        assert (await on.say("status")).split("\n")[0] == "**The unfinished one**"


async def test_status_of_a_named_job_shows_its_card_with_every_place_in_line(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for number in range(5):
            await opened(on, f"Number {number}")
        job = await on.newest_job()

        answer = await on.say("status", job=job.job_id.upper())

        assert answer.split("\n")[0] == "**Number 4**"
        assert "● in line (5th)" in answer


async def test_status_of_a_posted_video_leads_to_it(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))
        await on.store.delivered(job.job_id, message=MessageRef(on.channel.id, 77), now=on.clock.now())

        assert await on.say("status") == (
            f"A paper boat · video: https://discord.com/channels/{on.guild.id}/{on.channel.id}/77"
        )


async def test_without_any_job_status_and_history_say_how_to_begin(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("status") == NO_JOBS
        assert await on.say("history") == NO_JOBS


@pytest.mark.parametrize("command", ["status", "cancel", "show"])
async def test_somebody_elses_job_gets_the_same_answer_as_none(tmp_path: Path, command: str) -> None:
    async with stage(tmp_path) as on:
        job = await opened(on)
        bob = on.guild.add_member(on.env.create_user("bob"))

        theirs = await bob.slash(on.channel, f"video {command}", job=job.job_id)
        none = await bob.slash(on.channel, f"video {command}", job="0" * 16)

        assert shown(theirs) == shown(none) == NO_SUCH_JOB
        assert (await on.newest_job()).state is JobState.HELD


async def test_only_ones_own_jobs_are_listed_while_typing(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job = await opened(on, "A *paper* boat\nsails")
        bob = on.guild.add_member(on.env.create_user("bob"))

        assert await bob.autocomplete(on.channel, "video status", "job", "") == []
        listed = [
            {"name": f"A *paper* boat sails · in line · 5 s · ShortAPI · …{job.job_id[-5:]}", "value": job.job_id}
        ]
        assert await on.member.autocomplete(on.channel, "video status", "job", "PAPER") == listed
        assert await on.member.autocomplete(on.channel, "video cancel", "job", "PAPER") == listed
        assert await on.member.autocomplete(on.channel, "video show", "job", "PAPER") == []


async def test_cancel_releases_the_hold(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job = await opened(on)

        assert await on.say("cancel", job=job.job_id) == CANCELLED
        assert "Today: **$5.00 of $5.00 left** ← tightest\n`░░░░░░░░░░` nothing used yet" in await on.say("quota")


async def test_cancel_comes_too_late_once_the_gateway_has_it(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await opened(on)
        await submitting(on, job)

        assert await on.say("cancel", job=job.job_id) == (
            "ShortAPI has it already; it cannot be stopped. You pay only if the video arrives."
        )


async def test_cancel_of_an_ended_job_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))

        assert await on.say("cancel", job=job.job_id) == (
            "This job has ended; there is nothing to cancel. Nothing was changed."
        )


async def test_history_lists_ten_newest_first_with_ids_and_money(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        for number in range(10):
            await opened(on, f"Number {number}", gateway="animatic")
        newest = await opened(on, "Number 10")

        title, *entries = (await on.say("history")).split("\n")
        assert title == "**Your newest videos**"
        assert entries[::2] == [f"**Number {number}**" for number in range(10, 0, -1)]
        assert entries[1] == (
            f"in line · <t:{int(newest.created_at.timestamp())}:R> · 5 s · 720p · ShortAPI · $0.645 on hold"
            f" · `{newest.job_id}`"
        )


async def test_help_is_one_card_with_three_examples_and_every_price(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        answer = await on.say("help")

        assert answer.count("```/video ") == 3
        assert "ShortAPI, HappyHorse 1.0: $0.645 at 720p, $1.145 at 1080p · text, image and reference" in answer
        assert "PixelDojo, HappyHorse 1.0: $0.645 at 720p, $1.145 at 1080p · reference" in answer
        assert (
            "Animatic: free preview, pictures in slow moves, no generated video · text, image and reference" in answer
        )


async def test_show_posts_the_kept_video_again_only_for_the_asker(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))

        result = await on.slash("show", job=job.job_id)

        assert result.ephemeral
        assert shown(result).split("\n") == [
            "**A paper boat**",
            "text · 5 s · 720p · 16:9 · ShortAPI, HappyHorse 1.0 · $0.645",
        ]
        [gallery] = [part for part in result.response.components if part["type"] == 12]
        assert f"{job.job_id}.mp4" in gallery["items"][0]["media"]["url"]
        assert gallery["items"][0]["description"] == "A paper boat"


async def test_show_sends_the_file_with_the_post_that_completes_the_answer(tmp_path: Path) -> None:
    """Adding an upload to a Components V2 message by PATCH can fail."""
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))
        before = len(on.env.http_requests)

        await on.slash("show", job=job.job_id)

        assert [r.method for r in on.env.http_requests[before:]] == ["POST", "POST"]


async def test_show_says_how_to_get_a_video_that_is_too_large_here(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on), data=bytes(26_214_401))

        assert await on.say("show", job=job.job_id) == (
            "The video has 25.0 MiB; Discord takes 25.0 MiB here.\n"
            f"`/video show job:{job.job_id}` works where larger files are allowed."
        )


async def test_a_video_discord_finds_too_large_after_all_is_explained_too(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))
        await on.store.delivered(job.job_id, message=MessageRef(on.channel.id, 77), now=on.clock.now())
        on.env.inject_error("POST", "/webhooks/*", status=413, code=40005)

        assert (await on.say("show", job=job.job_id)).split("\n")[1] == (
            f"It was posted here: https://discord.com/channels/{on.guild.id}/{on.channel.id}/77"
        )


async def test_show_before_there_is_a_video_says_where_the_job_stands(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job = await opened(on)

        assert await on.say("show", job=job.job_id) == (
            f"There is no video yet: in line. `/video status job:{job.job_id}` shows more."
        )


async def test_show_after_the_retention_time_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))
        on.library.path(f"{job.job_id}.mp4").unlink()

        assert await on.say("show", job=job.job_id) == "This video is no longer kept."


async def test_show_of_a_job_that_ended_without_a_video_says_how_it_ended(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job = await opened(on)
        await on.say("cancel", job=job.job_id)

        assert await on.say("show", job=job.job_id) == CANCELLED


async def posted_card(on: Stage) -> tuple[Job, Any]:
    job = await opened(on)
    view = await on.service.job(job.job_id, user_id=on.member.id)
    channel = on.bot.get_channel(on.channel.id)
    return job, await channel.send(view=job_card(view))


async def test_the_cancel_button_cancels_and_answers_privately(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job, card = await posted_card(on)

        result = await on.member.click(card, label="Cancel")

        assert result.ephemeral
        assert shown(result) == CANCELLED
        assert (await on.store.job(job.job_id)).state is JobState.CANCELLED


async def test_the_button_of_a_card_from_before_a_restart_still_works(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job, card = await posted_card(on)
        bot = GallopBot()
        await on.add_cogs(bot)
        await on.env.restart_bot(bot)

        assert shown(await on.member.click(card, label="Cancel")) == CANCELLED
        assert (await on.store.job(job.job_id)).state is JobState.CANCELLED


async def test_a_press_by_somebody_else_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        job, card = await posted_card(on)
        bob = on.guild.add_member(on.env.create_user("bob"))

        result = await bob.click(card, label="Cancel")

        assert result.ephemeral
        assert shown(result) == NO_SUCH_JOB
        assert (await on.store.job(job.job_id)).state is JobState.HELD


async def test_a_bug_behind_the_button_is_answered_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path) as on:
        _, card = await posted_card(on)

        async def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(on.service, "cancel", fail)
        result = await on.member.click(card, label="Cancel")

        assert shown(result).startswith("Something went wrong in the bot, and it was logged.")
        assert "cancel button failed" in caplog.text


async def test_no_view_is_kept_in_memory_for_a_card(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await posted_card(on)

        assert on.bot.persistent_views == []
        assert on.bot._connection._view_store._views == {}
