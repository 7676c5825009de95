"""A person's content can be taken away and deleted; the books keep the amounts."""

import pytest

from bot.domain.errors import NotYourJob, Refusal, SubmissionRefused
from bot.domain.guild import Act, PersonSettings
from bot.domain.job import Delivery, JobState, LedgerKind
from bot.domain.ports import Progress, Reading
from bot.domain.request import Attachment, Mode
from tests.domain.world import PRICE, world

PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1000)
SECRET = "my grandmother's garden"


async def test_an_export_holds_every_job_and_entry_of_the_person_and_of_nobody_else(tmp_path):
    async with world(tmp_path) as w:
        await w.open(prompt=SECRET)
        await w.advance(21)
        await w.open(user_id=2)
        data = await w.privacy.export(1)

        assert [job.request.prompt for job in data.jobs] == [SECRET]
        assert [(entry.kind, entry.amount_microusd) for entry in data.entries] == [
            (LedgerKind.HOLD, PRICE),
            (LedgerKind.SETTLE, PRICE),
        ]


async def test_an_export_holds_what_was_decided_and_a_deletion_takes_what_one_set_for_oneself(tmp_path):
    async with world(tmp_path) as w:
        act = Act(7, 9, w.clock.now())
        await w.store.change_person(PersonSettings(1, day_microusd=5))
        await w.store.change_person(PersonSettings(2, day_microusd=6))
        await w.store.block(user_id=1, until=None, reason="spam", act=act)
        facts = (await w.privacy.export(1)).facts
        assert facts.settings == PersonSettings(1, day_microusd=5)
        assert [(guild_id, block.reason) for guild_id, block in facts.blocks] == [(7, "spam")]
        assert (await w.privacy.delete(1)).settings
        left = await w.privacy.export(1)

        assert (left.facts.settings, left.facts.blocks, left.is_empty) == (None, facts.blocks, False)
        assert (await w.privacy.export(2)).facts.settings == PersonSettings(2, day_microusd=6)
        assert (await w.privacy.export(3)).is_empty


async def test_deleting_erases_what_has_ended_with_its_files_and_keeps_the_amounts(tmp_path):
    async with world(tmp_path) as w:
        opened = await w.open(prompt=SECRET, mode=Mode.REFERENCE, attachments=(PICTURE,))
        await w.advance(21)
        (image,) = (await w.job(opened)).images
        books = await w.store.books()
        forgotten = await w.privacy.delete(1)
        await w.upkeep.forget()

        job = await w.job(opened)
        assert (forgotten.cancelled, forgotten.erased, forgotten.later) == (0, 1, 0)
        assert (job.request.prompt, job.images, job.forgotten) == ("", (), True)
        assert job.attempt is not None
        assert job.attempt.body == b""
        assert sorted(w.library.discarded) == sorted([image.name, f"{job.job_id}.mp4"])
        assert await w.store.books() == books
        assert await w.service.history(1) == []
        with pytest.raises(NotYourJob):
            await w.service.job(job.job_id, user_id=1)
        assert (await w.standings())[0].committed == PRICE


async def test_deleting_cancels_what_is_in_line_and_releases_it(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.BUSY, retry_after_s=60.0))
        opened = await w.open(gateway="hiapi", prompt=SECRET)
        forgotten = await w.privacy.delete(1)
        await w.settle()
        await w.upkeep.forget()

        job = await w.job(opened)
        assert (job.state, forgotten.cancelled) == (JobState.CANCELLED, 1)
        assert job.request.prompt == ""
        assert (await w.standings())[0].committed == 0


async def test_a_running_job_is_delivered_as_paid_for_and_erased_after_that(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.append(Reading(Progress.RUNNING))
        opened = await w.open(prompt=SECRET)
        await w.advance(21)
        forgotten = await w.privacy.delete(1)
        await w.upkeep.forget()
        assert forgotten.later == 1
        assert (await w.job(opened)).request.prompt == SECRET
        await w.advance(40, step_s=5)
        assert (await w.job(opened)).delivery is Delivery.POSTED
        await w.upkeep.forget()

        assert (await w.job(opened)).request.prompt == ""


async def test_deleting_twice_finds_nothing_more_and_touches_nobody_else(tmp_path):
    async with world(tmp_path) as w:
        await w.open(prompt=SECRET)
        theirs = await w.open(user_id=2, prompt=SECRET)
        await w.advance(21)
        await w.privacy.delete(1)
        again = await w.privacy.delete(1)
        await w.upkeep.forget()

        assert (again.cancelled, again.erased, again.later) == (0, 0, 0)
        assert (await w.job(theirs)).request.prompt == SECRET


async def test_what_a_crash_left_to_delete_is_deleted_by_the_next_start(tmp_path):
    async with world(tmp_path) as first:
        opened = await first.open(prompt=SECRET)
        await first.advance(21)
        await first.privacy.delete(1)
    async with world(tmp_path, before=first) as second:
        await second.upkeep.forget()
        assert second.library.discarded == [f"{opened.view.job.job_id}.mp4"]
        second.library.discarded.clear()
        await second.upkeep.forget()

        assert second.library.discarded == []


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False)])
async def test_content_is_erased_when_its_retention_is_over(tmp_path, days, kept):
    async with world(tmp_path) as w:
        opened = await w.open(prompt=SECRET)
        await w.advance(21)
        w.clock.turn(days * 86_400)
        await w.upkeep.forget()

        assert ((await w.job(opened)).request.prompt == SECRET) is kept
        assert bool(await w.service.history(1)) is kept


async def test_after_content_was_erased_the_database_is_written_anew_once(tmp_path):
    async with world(tmp_path) as w:
        compacted = []
        w.store.compact = lambda: compacted.append(1) or w.store.set_note("compacted", "")
        await w.upkeep.purge()
        await w.open(prompt=SECRET)
        await w.advance(21)
        await w.privacy.delete(1)
        w.clock.turn(31 * 86_400)
        await w.open(user_id=2)
        await w.advance(21)
        w.clock.turn(31 * 86_400)
        await w.upkeep.forget()
        await w.upkeep.purge()
        await w.upkeep.purge()

        assert compacted == [1]
