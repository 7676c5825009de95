"""A person's own data over the wire: one file with everything, and its deletion."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bot.domain.job import JobState
from bot.sandbox.discord import SandboxRefusal
from bot.sandbox.gateways.faults import JobFault
from tests.picture_samples import jpeg
from tests.scenarios.theatre import Theatre, theatre

pytestmark = pytest.mark.wire

PROMPT = "A paper boat"
TEXT = {"prompt": PROMPT, "gateway": "shortapi", "duration": 3}


async def exported(t: Theatre) -> tuple[dict[str, Any], dict[str, bytes], str]:
    """Return the document, the files beside it, and the words of the answer."""
    answer = await (await t.command("video privacy export")).answer()
    assert answer.ephemeral
    [file] = answer.media
    assert file.filename == "gallop-data.zip"
    with zipfile.ZipFile(BytesIO(await t.discord.download(file.url))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("data.json")), files, answer.text


async def test_the_export_holds_the_picture_and_the_very_video_that_was_posted(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        asked = await t.command(
            "video image", {"prompt": PROMPT, "gateway": "shortapi", "duration": 3}, pictures={"image": jpeg()}
        )
        posted = await t.video()
        await t.card("discord.com/channels")
        job = await t.job_of(asked)

        document, files, said = await exported(t)

        assert set(files) == {f"pictures/{job.job_id}-1.jpg", f"videos/{job.job_id}.mp4"}
        assert files[f"videos/{job.job_id}.mp4"] == await t.discord.download(posted.media[0].url)
        assert [entry["kind"] for entry in document["ledger"]] == ["hold", "settle"]
        assert document["jobs"][0]["video_message"] == {
            "channel_id": str(t.channel.id),
            "message_id": str(posted.id),
        }
        assert "Beside it: 1 picture and 1 video." in said


async def test_no_key_token_or_signed_address_leaves_with_the_export(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        asked = await t.command("video text", TEXT)
        await t.video()
        job = await t.job_of(asked)
        attempt = job.attempt

        document, _, _ = await exported(t)

        text = json.dumps(document)
        secrets = (t.gateways.shortapi.key, t.discord.bot_token, attempt.callback_token, attempt.idempotency_key)
        assert not [secret for secret in (*secrets, "http://", "https://") if secret in text]


async def test_a_place_that_takes_little_gets_the_pictures_and_the_names_of_the_rest(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        await t.command(
            "video image", {"prompt": PROMPT, "gateway": "shortapi", "duration": 3}, pictures={"image": jpeg()}
        )
        posted = await t.video()
        await t.card("discord.com/channels")
        t.guild.upload_bytes_max = len(await t.discord.download(posted.media[0].url)) // 2

        document, files, said = await exported(t)

        assert [name.split("/")[0] for name in files] == ["pictures"]
        assert document["left_out"][0]["where"].startswith("/video show job:")
        assert "1 file does not fit" in said


async def test_deleting_cancels_erases_and_lets_what_runs_come_to_its_end(tmp_path: Path) -> None:
    async with theatre(tmp_path, jobs_per_user="1") as t:
        ended = await t.command("video text", {**TEXT, "prompt": "The first boat"})
        await t.card("discord.com/channels")
        first = await t.job_of(ended)
        t.gateways.shortapi.faults.job.append(JobFault.NEVER_FINISHES)
        await t.command("video text", {**TEXT, "prompt": "The second boat"})
        await t.card("The second boat", "● rendering")
        await t.command("video text", {**TEXT, "prompt": "The third boat"})
        await t.card("The third boat", "in line (1st)")

        asked = await (await t.command("video privacy delete")).answer()
        pressed = await t.discord.press(t.member, asked, "Delete my data")
        answer = await pressed.answer(until=lambda message: "is deleted" in message.text)
        await t.card("The third boat", "Cancelled. $0.387 released.")

        assert answer.text.split("\n") == [
            "**Your data is deleted**",
            "1 job in line cancelled, the price released.",
            "1 job deleted, with prompt, pictures and video.",
            "1 job not over yet: deleted soon after the end.",
        ]
        assert answer.buttons == []
        states = {book.job_id: book.state for book in await t.app.store.books()}
        assert sorted(states.values()) == [JobState.CANCELLED, JobState.RUNNING, JobState.STORED]
        assert (await t.app.store.job(first.job_id)).request.prompt == ""
        history = await t.said("video history")
        assert [boat in history for boat in ("The second boat", "The third boat")] == [True, False]


async def test_the_question_works_once_and_only_for_who_asked(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        asked = await (await t.command("video privacy delete")).answer()
        stranger = t.discord.add_user("noa")
        t.guild.add_member(stranger)

        with pytest.raises(SandboxRefusal):
            await t.discord.press(stranger, asked, "Delete my data")
        pressed = await t.discord.press(t.member, asked, "Delete my data")
        await pressed.answer(until=lambda message: message.text == "There was nothing to delete.")
        with pytest.raises(SandboxRefusal):
            await t.discord.press(t.member, asked, "Delete my data")


async def test_the_question_of_before_a_restart_is_answered_after_it(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        asked = await (await t.command("video privacy delete")).answer()
        await t.restart()

        pressed = await t.discord.press(t.member, asked, "Delete my data")

        assert (await pressed.answer(until=lambda message: "nothing" in message.text)).buttons == []
