"""`/video privacy`: everything of one's own in one file, and its deletion, for nobody else."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.errors import StoreFailed
from bot.domain.guild import Act
from bot.domain.job import CardFace, JobState, MessageRef
from bot.domain.request import Mode
from bot.presentation.privacy import BEING_MADE, NOT_ASKED, NOT_SENT, NOTHING_KEPT, TOO_LARGE, deletion_card
from tests.cogs.stage import Stage, shown, stage
from tests.cogs.walks import opened, pictures, running, stored
from tests.picture_samples import jpeg

BOB = 80351110224678912
MIB = 2**20
REF = MessageRef(1, 2)
KEPT = ", your ledger, settings, grants and blocks."
SAVE = "Only you see this. Save the file: Discord removes it with this answer."


async def handed_out(on: Stage, result: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the document and the files beside it."""
    [part] = [part for part in result.response.components if part["type"] == 13]
    data = on.env.backend.cdn.get(part["file"]["url"])
    assert part["file"]["url"].split("?")[0].endswith("gallop-data.zip")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("data.json")), files


async def test_export_holds_jobs_money_pictures_and_videos(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        opened_job = await opened(on, "It *moves*", mode=Mode.IMAGE, attachments=pictures(on, jpeg()))
        job = await stored(on, opened_job, b"the video", settle_microusd=600_000)

        result = await on.slash("privacy export")
        document, files = await handed_out(on, result)

        assert result.ephemeral
        assert shown(result).split("\n") == [
            "**Your data**",
            f"`data.json` holds your 1 job with prompts, options, times and amounts{KEPT}",
            "Beside it: 1 picture and 1 video.",
            SAVE,
        ]
        picture = on.library.path(job.images[0].name).read_bytes()
        assert files == {f"pictures/{job.job_id}-1.jpg": picture, f"videos/{job.job_id}.mp4": b"the video"}
        assert document["user_id"] == str(on.member.id)
        [told] = document["jobs"]
        assert told["prompt"] == "It *moves*"
        assert told["price"] == {"usd": "$0.645", "microusd": 645_000}
        assert told["charged"] == {"usd": "$0.60", "microusd": 600_000}
        assert (told["state"], told["mode"], told["duration_s"], told["gateway"]) == ("stored", "image", 5, "shortapi")
        assert told["pictures"][0]["file"] == f"pictures/{job.job_id}-1.jpg"
        assert told["video"]["file"] == f"videos/{job.job_id}.mp4"
        assert [(entry["kind"], entry["amount"]["microusd"]) for entry in document["ledger"]] == [
            ("hold", 645_000), ("settle", 600_000),
        ]  # fmt: skip
        assert document["left_out"] == []


async def test_export_holds_no_secret_and_nothing_of_others(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await opened(on, "Somebody else's boat", user_id=BOB)
        job = await stored(on, await opened(on))
        await on.store.hint(job.job_id, number=1, gateway_job_id="tk-hinted", now=on.clock.now())

        document, _ = await handed_out(on, await on.slash("privacy export"))

        text = json.dumps(document)
        attempt = job.attempt
        for secret in (attempt.callback_token, attempt.idempotency_key, job.video_address, "tk-hinted"):
            assert json.dumps(secret) not in text
        assert "Somebody else" not in text
        assert str(BOB) not in text


async def test_export_with_nothing_kept_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("privacy export") == NOTHING_KEPT == "Gallop keeps nothing about you."


async def test_what_was_decided_about_somebody_without_a_job_is_handed_out(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        act = Act(21, BOB, on.clock.now())
        await on.store.block(user_id=on.member.id, until=None, reason="spam", act=act)

        result = await on.slash("privacy export")
        document, _ = await handed_out(on, result)

        assert shown(result).split("\n")[1] == "`data.json` holds your settings, grants and blocks."
        assert document["blocks"][0]["reason"] == "spam"
        assert document["acts"][0]["after"] == "until unblocked: spam"
        assert str(BOB) not in json.dumps(document)


async def test_export_after_the_deletion_hands_out_what_is_left(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on, "The ended one"))
        await on.store.delivered(job.job_id, message=REF, now=on.clock.now())
        await on.store.card_shown(job.job_id, face=CardFace.DELIVERED)
        going = await running(on, await opened(on, "The running one"))
        await on.store.forget(on.member.id, now=on.clock.now())

        result = await on.slash("privacy export")
        document, files = await handed_out(on, result)

        assert [(told["job_id"], told["deleted"], told["prompt"]) for told in document["jobs"]] == [
            (going.job_id, False, "The running one"), (job.job_id, True, None),
        ]  # fmt: skip
        assert all(told["deletion_asked"] for told in document["jobs"])
        assert [entry["kind"] for entry in document["ledger"]] == ["hold", "settle", "hold"]
        assert files == {}
        assert "1 job of these is deleted: no prompt, no files." in shown(result)


async def test_what_does_not_fit_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        first = await stored(on, await opened(on, "First"), bytes(15 * MIB))
        second = await stored(on, await opened(on, "Second"), bytes(15 * MIB))

        result = await on.slash("privacy export")
        document, files = await handed_out(on, result)

        assert list(files) == [f"videos/{second.job_id}.mp4"]
        assert document["left_out"] == [
            {
                "file": f"videos/{first.job_id}.mp4",
                "job_id": first.job_id,
                "why": "larger than what Discord takes here",
                "where": f"/video show job:{first.job_id}",
            }
        ]
        assert document["jobs"][1]["video"]["file"] is None
        assert (
            "1 file does not fit into what Discord takes here; `data.json` names them. `/video show` brings each video."
        ) in shown(result)


async def test_a_file_kept_no_longer_is_named_as_such(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await stored(on, await opened(on))
        on.library.path(job.video.name).unlink()

        result = await on.slash("privacy export")
        document, files = await handed_out(on, result)

        assert files == {}
        assert (document["left_out"][0]["why"], document["left_out"][0]["where"]) == ("no longer kept", None)
        assert "not fit" not in shown(result)


async def test_a_file_that_discord_finds_too_large_after_all_is_made_smaller(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await stored(on, await opened(on), bytes(15 * MIB))
        on.env.inject_error("POST", "/webhooks/*", status=413, code=40005)

        document, files = await handed_out(on, await on.slash("privacy export"))

        assert files == {}
        assert len(document["left_out"]) == 1


async def test_a_file_that_is_too_large_twice_is_not_to_be_asked_for_here_again(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await stored(on, await opened(on))
        for _ in range(2):
            on.env.inject_error("POST", "/webhooks/*", status=413, code=40005)

        assert await on.say("privacy export") == TOO_LARGE


async def test_a_document_that_does_not_fit_alone_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cogs.privacy._BYTES_MAX", 100)
    async with stage(tmp_path, jobs_run=False) as on:
        await opened(on)

        assert await on.say("privacy export") == TOO_LARGE


async def test_export_says_so_when_discord_does_not_take_the_file(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await stored(on, await opened(on))
        on.env.inject_error("POST", "/webhooks/*", status=400, code=50035)

        assert await on.say("privacy export") == NOT_SENT


async def test_a_second_export_at_the_same_time_is_not_made(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await opened(on)
        on.bot.get_cog("VideoCog")._exporting.add(on.member.id)

        assert await on.say("privacy export") == BEING_MADE


async def test_delete_says_exactly_what_will_happen_before_anything_does(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await opened(on)

        result = await on.slash("privacy delete")

        assert result.ephemeral
        assert shown(result).split("\n") == [
            "**Delete your data?**",
            "- Prompts, pictures and videos of all your jobs are deleted. They leave `/video history`, and "
            "`/video show` cannot bring them again.",
            "- Jobs in line are cancelled and their price is released.",
            "- Jobs that a gateway has, or may have, cannot be stopped: they go on as usual and are deleted after "
            "their end.",
            "- What you set for yourself with `/video quota` goes, too: your own limits, and when you are asked first.",
            "- Amounts, times, options and ids stay in the bot's books, and so does what a server's managers decided; "
            "prompts, pictures and videos do not. What you have used of your limits stays used.",
            "- Messages already posted stay. Moderators can delete those in channels; gateways keep what they were "
            "sent by their own rules.",
            "It cannot be undone. `/video privacy export` gives you a copy first.",
        ]
        assert (await on.store.job(job.job_id)).state is JobState.HELD


async def test_the_button_deletes_and_counts_what_it_did(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        ended = await stored(on, await opened(on, "The ended one"))
        await on.store.delivered(ended.job_id, message=ended.card or REF, now=on.clock.now())
        now = await on.store.job(ended.job_id)
        await on.store.card_shown(ended.job_id, face=now.face)
        going = await running(on, await opened(on, "The running one"))
        waiting = await opened(on, "The waiting one")
        asked = await on.slash("privacy delete")

        result = await on.member.click(asked.response, label="Delete my data")

        assert shown(result).split("\n") == [
            "**Your data is deleted**",
            "1 job in line cancelled, the price released.",
            "1 job deleted, with prompt, pictures and video.",
            "1 job not over yet: deleted soon after the end.",
        ]
        assert (await on.store.job(waiting.job_id)).state is JobState.CANCELLED
        assert (await on.store.job(going.job_id)).state is JobState.RUNNING
        assert (await on.store.job(ended.job_id)).request.prompt == ""
        assert "The running one" in (history := await on.say("history"))
        assert "The ended one" not in history


async def test_after_the_deletion_no_button_is_left(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        asked = await on.slash("privacy delete")

        result = await on.member.click(asked.response, label="Delete my data")

        assert shown(result) == "There was nothing to delete."
        assert "custom_id" not in json.dumps(result.response.components)


async def test_the_button_works_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await opened(on)
        asked = await on.slash("privacy delete")
        bot = GallopBot()
        await on.add_cogs(bot)
        await on.env.restart_bot(bot)

        result = await on.member.click(asked.response, label="Delete my data")

        assert "1 job in line cancelled, the price released." in shown(result)


async def test_somebody_elses_button_deletes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        job = await opened(on)
        channel = on.bot.get_channel(on.channel.id)
        forged = await channel.send(view=deletion_card(on.member.id))
        bob = on.guild.add_member(on.env.create_user("bob"))

        result = await bob.click(forged, label="Delete my data")

        assert (shown(result), result.ephemeral) == (NOT_ASKED, True)
        assert (await on.store.job(job.job_id)).state is JobState.HELD


async def test_a_failed_database_is_said_and_the_button_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await opened(on)
        asked = await on.slash("privacy delete")

        async def fail(_user_id: int) -> None:
            raise StoreFailed

        monkeypatch.setattr(on.privacy, "delete", fail)
        result = await on.member.click(asked.response, label="Delete my data")

        assert result.followups[0].content.startswith("The bot could not use its database.")
        assert "Delete my data" in json.dumps(asked.response.components)
