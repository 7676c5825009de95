"""Operators decide unconfirmed jobs over the wire: the list, the question, the form, also after a restart."""

from pathlib import Path

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.job import Job, JobState
from bot.sandbox.discord import Interaction, Message, SandboxRefusal
from bot.sandbox.gateways.faults import SubmitFault
from tests.scenarios.theatre import Theatre, theatre

pytestmark = pytest.mark.wire

TEXT = {"prompt": "A paper boat", "gateway": "shortapi", "duration": 3}
NO = "Only the bot's operators may do this. Nothing was changed."


async def unconfirmed(t: Theatre) -> Job:
    """Make a job whose acceptance was lost on the way: the gateway has it, and nobody here knows."""
    t.gateways.shortapi.faults.submit.append(SubmitFault.ACCEPT_THEN_DROP)
    interaction = await t.command("video text", TEXT)
    await t.card("has not confirmed this job")
    return await t.job_of(interaction)


async def listed(t: Theatre, **more: object) -> Message:
    return await (await t.command("video-admin unconfirmed", user=t.discord.owner, **more)).answer()


async def press(t: Theatre, message: Message, does: str, job: Job, page: int = 0) -> Interaction:
    return await t.discord.press(t.discord.owner, message, f"gallop:unconfirmed:{does}:{page}:{job.job_id}")


async def changed(interaction: Interaction, words: str) -> Message:
    """Wait until the pressed message says this."""
    return await interaction.answer(until=lambda message: words in message.text)


async def test_a_bound_id_brings_the_video_after_all(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job = await unconfirmed(t)
        [at_gateway] = t.gateways.shortapi.jobs
        shown = await listed(t)

        form = await press(t, shown, "bind", job)
        await form.modal_shown()
        typed = await t.discord.submit_modal(t.discord.owner, form, {"gateway_job_id": f" {at_gateway} "})
        answer = await changed(typed, "Every submission is confirmed.")
        await t.video()

        assert answer is shown
        assert answer.text.startswith(f"`{job.job_id}` is {at_gateway} at ShortAPI: it is rendering now")
        assert len(t.gateways.shortapi.submissions) == 1
        assert (await t.app.store.job(job.job_id)).charged_microusd == 387_000


async def test_an_id_of_nobody_leaves_everything_as_it_is(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job = await unconfirmed(t)

        form = await press(t, await listed(t), "bind", job)
        await form.modal_shown()
        typed = await t.discord.submit_modal(t.discord.owner, form, {"gateway_job_id": "../../etc/passwd"})
        answer = await changed(typed, "Nothing was changed.")

        assert answer.text.startswith("ShortAPI shows no job of that id, or cannot be asked just now.")
        assert "**1 unconfirmed job**" in answer.text
        assert (await t.app.store.job(job.job_id)).state is JobState.UNCONFIRMED


async def test_a_job_is_closed_after_one_more_question_and_only_then(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job = await unconfirmed(t)
        asked = await press(t, await listed(t), "ask", job)
        question = await changed(asked, "Close this job as lost?")
        before = (await t.app.store.job(job.job_id)).state

        answer = await changed(await press(t, question, "close", job), "is closed as lost")
        await t.card("ShortAPI never confirmed this job. Nothing was charged.")

        assert "This releases $0.387 and books it as your loss. It cannot be undone." not in answer.text
        assert before is JobState.UNCONFIRMED
        assert (await t.app.store.job(job.job_id)).state is JobState.LOST
        [book] = await t.app.store.books()
        assert (book.released_microusd, book.billed_microusd) == (387_000, 387_000)


async def test_list_and_form_of_before_a_restart_are_answered_after_it(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job = await unconfirmed(t)
        [at_gateway] = t.gateways.shortapi.jobs
        shown = await listed(t)
        form = await press(t, shown, "bind", job)
        await form.modal_shown()
        await t.restart()

        asked = await press(t, shown, "ask", job)
        await changed(asked, "Close this job as lost?")
        typed = await t.discord.submit_modal(t.discord.owner, form, {"gateway_job_id": at_gateway})
        await changed(typed, "Every submission is confirmed.")

        assert await t.video()


async def test_an_operator_uses_it_in_direct_messages(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job = await unconfirmed(t)

        shown = await listed(t, channel=t.discord.owner.dm)

        assert job.job_id in shown.text


async def test_nobody_else_learns_anything(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        await unconfirmed(t)
        manager = t.discord.add_user("noa")
        t.guild.add_member(manager, manager=True)

        with pytest.raises(SandboxRefusal):
            await t.command("video-admin unconfirmed")

        assert await t.said("video-admin unconfirmed", user=manager) == NO
        assert await t.said("video-admin unconfirmed", channel=t.member.dm) == NO


async def test_operators_are_told_of_it_once_whatever_happens(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        job = await unconfirmed(t)
        inbox = t.discord.owner.dm
        await t.restart()
        told = await inbox.wait_message(lambda message: "ShortAPI has not confirmed a job" in message.text, 20)

        # A bot that died before it wrote down that it had told looks first.
        await t.stop()
        await forget_told(t, job)
        t.discord.faults.forget_nonces()
        looked = t.discord.faults.hold_answer(f"GET .*/{inbox.id}/messages")
        await t.start()
        await looked.reached.wait()
        looked.release()
        await t.said("video status")

        assert f"`{job.job_id}` of <@{t.member.id}> (text, 3 s): ShortAPI may have taken it, or not." in told.text
        assert "$0.387 stays on hold" in told.text
        assert inbox.messages == [told]


async def forget_told(t: Theatre, job: Job) -> None:
    async with open_store(t.folder / "gallop.db") as store:
        await store.forget_told(f"unconfirmed/{job.job_id}")


async def test_operators_with_a_channel_are_told_there(tmp_path: Path) -> None:
    async with theatre(tmp_path, started=False) as t:
        room = t.guild.add_channel("operators")
        t.settings["operator_channel_id"] = str(room.id)
        await t.start()
        await unconfirmed(t)
        await t.restart()

        await room.wait_message(lambda message: "ShortAPI has not confirmed a job" in message.text, 20)

        assert t.discord.owner.dm.messages == []
