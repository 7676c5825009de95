"""An unconfirmed job is healed by what only its gateway can know, and never by buying again."""

import pytest

from bot.domain.binding import BindProblem, BindRejected
from bot.domain.errors import (
    GatewayUnavailable,
    NotAnOperator,
    Refusal,
    SubmissionRefused,
    SubmissionUnconfirmed,
)
from bot.domain.job import BilledSource, Delivery, JobState
from bot.domain.ports import Accepted, Progress, Reading
from bot.domain.pricing import Idempotency
from bot.domain.watch_times import WatchTimes
from tests.domain.world import OPERATOR, PRICE, world
from tests.fakes import FakeGateway, capabilities

RUNNING = Reading(Progress.RUNNING)
DAY_S = 86_400.0


def unclear(**facts) -> SubmissionUnconfirmed:
    return SubmissionUnconfirmed("hiapi", "reset", **facts)


def replaying() -> FakeGateway:
    return FakeGateway(capabilities(idempotency=Idempotency.REPLAY))


async def unconfirmed(w, **changes):
    w.gateway.submit_script.append(unclear())
    opened = await w.open(**changes)
    return opened, opened.view.job.job_id


async def hint(w, job_id, gateway_job_id="named", *, number=1):
    await w.store.hint(job_id, number=number, gateway_job_id=gateway_job_id, now=w.clock.now())
    w.runner.wake()
    await w.settle()


async def ledger(w, job_id):
    book = next(book for book in await w.store.books() if book.job_id == job_id)
    return book.settled_microusd, book.released_microusd, book.billed_microusd


async def test_a_callback_confirms_the_job_and_its_video_is_posted_and_charged(tmp_path):
    async with world(tmp_path) as w:
        opened, job_id = await unconfirmed(w)
        await hint(w, job_id)

        job = await w.job(opened)
        assert (job.state, job.delivery) == (JobState.STORED, Delivery.POSTED)
        assert job.attempt is not None
        assert job.attempt.gateway_job_id == "named"
        assert await ledger(w, job_id) == (PRICE, 0, PRICE)
        assert len(w.gateway.submitted) == 1


async def test_a_callback_whose_job_cannot_be_read_confirms_nothing_and_is_tried_again(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.append(GatewayUnavailable("hiapi", "status 404"))
        opened, job_id = await unconfirmed(w)
        await hint(w, job_id)
        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        await w.advance(16)

        assert (await w.job(opened)).delivery is Delivery.POSTED


async def test_a_callback_that_names_another_jobs_id_confirms_nothing(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(Accepted("theirs"))
        w.gateway.read_script.extend([RUNNING] * 50)
        await w.open(user_id=2)
        opened, job_id = await unconfirmed(w)
        await hint(w, job_id, "theirs")
        await w.advance(60, step_s=5)
        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        w.gateway.read_script.clear()
        await hint(w, job_id, "ours")

        job = await w.job(opened)
        assert job.attempt is not None
        assert (job.state, job.attempt.gateway_job_id) == (JobState.STORED, "ours")


async def test_a_callback_without_an_id_shows_only_that_the_gateway_knows_the_job(tmp_path):
    async with world(tmp_path) as w:
        opened, job_id = await unconfirmed(w)
        await hint(w, job_id, None)

        job = await w.job(opened)
        assert job.state is JobState.UNCONFIRMED
        assert job.attempt is not None
        assert job.attempt.hinted_at == w.clock.now()


async def test_a_callback_during_the_submission_is_applied_when_the_post_has_ended(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.gate.clear()
        opened = await w.open()
        await hint(w, opened.view.job.job_id, "gw-early")
        assert (await w.job(opened)).state is JobState.SUBMITTING
        w.gateway.gate.set()
        await w.settle()

        assert (await w.job(opened)).delivery is Delivery.POSTED


async def test_a_callback_makes_a_running_job_read_at_once(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=3_600.0)) as w:
        opened = await w.open()
        await hint(w, opened.view.job.job_id)

        assert (await w.job(opened)).delivery is Delivery.POSTED


async def test_callbacks_repeated_without_end_bring_one_read_in_two_seconds(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=3_600.0)) as w:
        w.gateway.read_script.extend([RUNNING] * 1_000)
        opened = await w.open()
        for _ in range(100):
            await hint(w, opened.view.job.job_id)
        await w.advance(4, step_s=1)

        assert sum(w.gateway.reads.values()) <= 4


async def test_a_callback_for_a_job_that_is_lost_brings_its_video_free(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=20.0, task_life_s=600.0)) as w:
        opened, job_id = await unconfirmed(w)
        await w.advance(601)
        assert (await w.job(opened)).state is JobState.LOST
        await hint(w, job_id)

        job = await w.job(opened)
        assert (job.state, job.delivery) == (JobState.LOST, Delivery.POSTED)
        assert await ledger(w, job_id) == (0, PRICE, PRICE)


@pytest.mark.parametrize("state", ["stored", "cancelled", "failed"])
async def test_a_callback_after_the_end_changes_nothing(tmp_path, state):
    async with world(tmp_path) as w:
        if state == "failed":
            w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CONTENT))
        if state == "cancelled":
            w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.BUSY, retry_after_s=60.0))
        opened = await w.open(gateway="hiapi")
        if state == "cancelled":
            await w.service.cancel(opened.view.job.job_id, user_id=1)
        await w.advance(30, step_s=5)
        before, books = await w.job(opened), await w.store.books()
        await hint(w, opened.view.job.job_id)
        await w.advance(30, step_s=5)

        after = await w.job(opened)
        assert (after.state, after.delivery, after.next_at) == (before.state, before.delivery, before.next_at)
        assert after.state is JobState(state)
        assert await w.store.books() == books


async def test_a_replay_brings_the_first_answer_and_the_video(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        opened, job_id = await unconfirmed(w)

        job = await w.job(opened)
        assert (job.state, job.attempt_count) == (JobState.STORED, 1)
        first, again = w.gateway.submitted
        assert (again.body, again.idempotency_key) == (first.body, first.idempotency_key)
        assert await ledger(w, job_id) == (PRICE, 0, PRICE)


async def test_a_gateway_without_replay_is_never_sent_the_same_twice(tmp_path):
    async with world(tmp_path) as w:
        opened, _ = await unconfirmed(w)
        await w.advance(DAY_S + 60, step_s=600)

        assert (await w.job(opened)).state is JobState.LOST
        assert len(w.gateway.submitted) == 1


@pytest.mark.parametrize(
    "answer",
    [
        unclear(),
        unclear(retry_after_s=5.0),
        *(SubmissionRefused("hiapi", "no", reason) for reason in Refusal),
    ],
    ids=repr,
)
async def test_any_answer_to_a_replay_but_an_id_leaves_the_job_unconfirmed(tmp_path, answer):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), *[answer] * 100])
        opened = await w.open()
        await w.advance(300, step_s=5)

        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        assert 1 < len(w.gateway.submitted) < 12
        assert len({attempt.idempotency_key for attempt in w.gateway.submitted}) == 1
        assert await ledger(w, opened.view.job.job_id) == (0, 0, 0)


async def test_a_replay_is_not_sent_before_the_time_the_gateway_names(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), unclear(retry_after_s=50.0)])
        opened = await w.open()
        await w.advance(45, step_s=1)
        assert len(w.gateway.submitted) == 2
        await w.advance(10, step_s=1)

        assert (await w.job(opened)).state is JobState.STORED


async def test_other_bytes_under_the_key_end_the_replays_but_not_the_waiting(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), unclear(mismatch=True)])
        opened = await w.open()
        await w.advance(3_600, step_s=60)

        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        assert len(w.gateway.submitted) == 2


async def test_after_twenty_hours_nothing_is_replayed_and_after_a_day_the_job_is_lost(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear()] * 1_000)
        opened = await w.open()
        await w.advance(20 * 3_600, step_s=600)
        sent = len(w.gateway.submitted)
        await w.advance(2 * 3_600, step_s=600)
        assert len(w.gateway.submitted) == sent
        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        await w.advance(2 * 3_600 + 60, step_s=600)

        assert (await w.job(opened)).state is JobState.LOST


async def test_a_restart_replays_what_was_being_submitted(tmp_path):
    async with world(tmp_path, gateway=replaying()) as first:
        first.gateway.gate.clear()
        opened = await first.open()
    first.gateway.gate.set()
    async with world(tmp_path, before=first) as second:
        assert (await second.job(opened)).state is JobState.STORED
        assert len({attempt.idempotency_key for attempt in second.gateway.submitted}) == 1


@pytest.mark.parametrize("reason", ["paused", "disk", "place", "price"])
async def test_what_forbids_a_submission_forbids_a_replay(tmp_path, reason):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.gate.clear()
        w.gateway.submit_script.append(unclear())
        opened = await w.open()
        if reason == "paused":
            await w.store.set_paused(True)
        elif reason == "disk":
            w.library.free = 0
        elif reason == "place":
            w.messenger.reachable = False
        else:
            await w.overbilled.add(w.gateway.capabilities, (await w.job(opened)).request, billed_microusd=2 * PRICE)
        w.gateway.gate.set()
        await w.settle()
        await w.advance(60, step_s=5)

        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        assert len(w.gateway.submitted) == 1


async def test_only_operators_see_close_and_bind_unconfirmed_jobs(tmp_path):
    async with world(tmp_path) as w:
        _, job_id = await unconfirmed(w)
        for call in (
            w.operating.unconfirmed(actor_id=1),
            w.operating.close_as_lost(job_id, actor_id=1),
            w.operating.bind(job_id, "gw", actor_id=1),
            w.operating.bind("no-such-job", "gw", actor_id=1),
        ):
            with pytest.raises(NotAnOperator):
                await call

        assert [view.job.job_id for view in await w.operating.unconfirmed(actor_id=OPERATOR)] == [job_id]


async def test_closing_as_lost_releases_the_hold_and_books_the_possible_cost(tmp_path):
    async with world(tmp_path) as w:
        opened, job_id = await unconfirmed(w)
        await w.operating.close_as_lost(job_id, actor_id=OPERATOR)
        await w.settle()

        job = await w.job(opened)
        assert job.state is JobState.LOST
        assert job.attempt is not None
        assert job.attempt.billed_source is BilledSource.PRICE
        assert await ledger(w, job_id) == (0, PRICE, PRICE)
        assert w.messenger.told("edit_card")[-1] == "lost"
        with pytest.raises(BindRejected):
            await w.operating.close_as_lost(job_id, actor_id=OPERATOR)


async def test_binding_the_gateways_id_reads_it_first_and_goes_on_as_usual(tmp_path):
    async with world(tmp_path) as w:
        opened, job_id = await unconfirmed(w)
        await w.operating.bind(job_id, " gw-77 ", actor_id=OPERATOR)
        await w.settle()

        assert w.gateway.reads["gw-77"] >= 1
        assert (await w.job(opened)).delivery is Delivery.POSTED
        assert await ledger(w, job_id) == (PRICE, 0, PRICE)


async def test_an_id_that_is_not_readable_or_another_jobs_is_not_bound(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(Accepted("theirs"))
        await w.open(user_id=2)
        opened, job_id = await unconfirmed(w)
        w.gateway.read_script.append(GatewayUnavailable("hiapi", "status 404"))
        problems = []
        for gateway_job_id in ("nobody's", "", "  ", "two words", "..", "a\nb", "theirs"):
            with pytest.raises(BindRejected) as rejected:
                await w.operating.bind(job_id, gateway_job_id, actor_id=OPERATOR)
            problems.append(rejected.value.problem)

        assert problems == [BindProblem.NOT_READABLE] * 6 + [BindProblem.TAKEN]
        assert (await w.job(opened)).state is JobState.UNCONFIRMED


async def test_a_replay_answered_after_the_operator_closed_the_job_brings_the_video_free(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), unclear()])
        opened = await w.open()
        w.gateway.gate.clear()
        await w.advance(11, step_s=1)
        await w.operating.close_as_lost(opened.view.job.job_id, actor_id=OPERATOR)
        w.gateway.gate.set()
        await w.settle()
        await w.advance(5)

        job = await w.job(opened)
        assert (job.state, job.delivery) == (JobState.LOST, Delivery.POSTED)
        assert await ledger(w, opened.view.job.job_id) == (0, PRICE, PRICE)


async def test_closing_a_job_that_was_confirmed_meanwhile_takes_nothing_from_it(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.extend([RUNNING] * 50)
        opened, job_id = await unconfirmed(w)
        seen = await w.job(opened)
        await hint(w, job_id)
        await w.watcher.lose(seen)

        assert (await w.job(opened)).state is JobState.RUNNING


@pytest.mark.parametrize("reason", [Refusal.BUSY, Refusal.CONTENT])
async def test_a_refusal_of_what_the_gateway_called_back_for_is_not_believed(tmp_path, reason):
    async with world(tmp_path) as w:
        w.gateway.gate.clear()
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", reason))
        opened = await w.open()
        await hint(w, opened.view.job.job_id, "it-is-running")
        w.gateway.gate.set()
        await w.settle()

        assert (await w.job(opened)).delivery is Delivery.POSTED
        assert len(w.gateway.submitted) == 1


async def test_the_bill_of_another_jobs_id_takes_no_price_out_of_use(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(Accepted("theirs"))
        w.gateway.read_script.extend([Reading(Progress.RUNNING, billed_microusd=2 * PRICE)] * 50)
        await w.open(user_id=2)
        _, job_id = await unconfirmed(w)
        await hint(w, job_id, "theirs")

        assert w.overbilled.rows() == []


@pytest.mark.parametrize("change", ["closed", "forgotten"])
async def test_a_replay_is_not_sent_when_the_hold_or_the_person_is_gone_in_the_last_moment(tmp_path, change):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.append(unclear())
        may_deliver = w.messenger.may_deliver

        async def meanwhile(job):
            if job.state is JobState.UNCONFIRMED:
                if change == "closed":
                    await w.operating.close_as_lost(job.job_id, actor_id=OPERATOR)
                else:
                    await w.privacy.delete(1)
            return await may_deliver(job)

        w.messenger.may_deliver = meanwhile
        await w.open()
        await w.advance(60, step_s=5)

        assert len(w.gateway.submitted) == 1


async def test_what_was_sent_before_a_backup_was_restored_is_not_replayed(tmp_path):
    async with world(tmp_path, gateway=replaying()) as first:
        first.gateway.gate.clear()
        opened = await first.open()
    first.gateway.gate.set()
    first.clock.turn(10)
    async with world(tmp_path, before=first, restored_at=first.clock.now()) as second:
        await second.advance(600, step_s=30)
        assert (await second.job(opened)).state is JobState.UNCONFIRMED
        assert len(second.gateway.submitted) == 1
        await hint(second, opened.view.job.job_id)

        assert (await second.job(opened)).delivery is Delivery.POSTED


async def test_a_job_that_a_callback_named_is_not_lost_while_its_gateway_is_in_trouble(tmp_path):
    trouble = GatewayUnavailable("hiapi", "status 503", Refusal.BUSY)
    async with world(tmp_path, times=WatchTimes(first_s=20.0, task_life_s=600.0)) as w:
        w.gateway.read_script.extend([trouble] * 60)
        opened, job_id = await unconfirmed(w)
        await hint(w, job_id)
        await w.advance(800, step_s=10)
        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        w.gateway.read_script.clear()
        await w.advance(20)

        assert (await w.job(opened)).delivery is Delivery.POSTED


async def test_a_job_that_a_callback_named_is_lost_a_day_after_its_time_when_the_gateway_stays_silent(tmp_path):
    trouble = GatewayUnavailable("hiapi", "status 503", Refusal.BUSY)
    async with world(tmp_path, times=WatchTimes(first_s=20.0, task_life_s=600.0)) as w:
        w.gateway.read_script.extend([trouble] * 10_000)
        opened, job_id = await unconfirmed(w)
        await hint(w, job_id)
        await w.advance(DAY_S + 700, step_s=300)

        assert (await w.job(opened)).state is JobState.LOST


async def test_a_replay_that_breaks_in_an_unknown_way_is_not_sent_again_at_once(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), *[OverflowError("a date")] * 1_000])
        await w.open()
        await w.advance(600, step_s=5)

        assert len(w.gateway.submitted) < 12


async def test_a_gateway_that_is_out_gets_no_replays(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), *[SubmissionRefused("hiapi", "no", Refusal.CREDIT)] * 100])
        await w.open()
        await w.advance(500, step_s=5)

        assert len(w.gateway.submitted) == 2
        assert w.breakers.is_out("hiapi")


async def test_stopping_waits_for_the_answer_to_a_replay(tmp_path):
    async with world(tmp_path, gateway=replaying()) as w:
        w.gateway.submit_script.extend([unclear(), unclear()])
        opened = await w.open()
        w.gateway.gate.clear()
        await w.advance(11, step_s=1)
        w.runner.stop()
        w.gateway.gate.set()
        await w.settle()

        assert (await w.job(opened)).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("reading", "billed"),
    [
        (Reading(Progress.FAILED, refunded=True, billed_microusd=0), 0),
        (Reading(Progress.FAILED), PRICE),
        (Reading(Progress.FAILED, billed_microusd=5), 5),
    ],
)
async def test_what_a_gateway_says_of_a_lost_job_corrects_the_operators_book(tmp_path, reading, billed):
    async with world(tmp_path, times=WatchTimes(first_s=20.0, task_life_s=600.0)) as w:
        opened, job_id = await unconfirmed(w)
        await w.advance(601)
        w.gateway.read_script.append(reading)
        await hint(w, job_id)

        assert await ledger(w, job_id) == (0, PRICE, billed)
        assert (await w.job(opened)).next_at is None


async def test_a_video_that_comes_while_its_person_is_forgotten_is_not_kept(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=20.0, task_life_s=600.0)) as w:
        opened, job_id = await unconfirmed(w)
        await w.advance(601)
        keep = w.library.keep_video

        async def meanwhile(job_id):
            await w.privacy.delete(1)
            return await keep(job_id)

        w.library.keep_video = meanwhile
        await hint(w, job_id)

        assert (await w.job(opened)).delivery is Delivery.NONE
        assert w.library.discarded == [f"{job_id}.mp4"]


@pytest.mark.parametrize("by", ["operator", "callback"])
async def test_an_id_that_was_billed_above_this_jobs_price_is_not_bound(tmp_path, by):
    async with world(tmp_path) as w:
        w.gateway.read_script.extend([Reading(Progress.RUNNING, billed_microusd=PRICE + 1)] * 10)
        opened, job_id = await unconfirmed(w)
        if by == "callback":
            await hint(w, job_id, "dearer")
        else:
            with pytest.raises(BindRejected) as rejected:
                await w.operating.bind(job_id, "dearer", actor_id=OPERATOR)
            assert rejected.value.problem is BindProblem.OTHER_BILL

        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        assert w.overbilled.rows() == []
