"""The moves of a job: what each changes, that only the first of two wins, and what becomes of the money."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import Refusal, StoreFailed
from bot.domain.job import FINAL_STATES, BilledSource, CardFace, Delivery, Ending, JobState
from bot.domain.store import Billing, End
from tests.adapters.store_fixtures import (
    BOT_MONTH,
    CARD,
    GUILD_MONTH,
    LATER,
    NOW,
    OTHER_USER,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    USER_DAY,
    USER_MONTH,
    VIDEO,
    accept,
    attempt,
    bad_end,
    billing,
    get,
    open_in,
    which,
)

AFTER_MIDNIGHT = datetime(2026, 11, 21, 0, 1, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
UNFINISHED = [state for state in JobState if state not in FINAL_STATES]


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def used(store, now=NOW):
    """Return (committed, on hold) of the person's day and month, the guild's month and the bot's month."""
    standings = await store.standings(SPENDER, limits=UNLIMITED, now=now)
    return {which(found): (found.committed, found.on_hold) for found in standings}


# Each move, as a call that answers whether it moved, and the states it starts from.
OPERATIONS = {
    "cancel": (
        lambda store, job: store.cancel(job.job_id, user_id=USER, now=LATER),
        {JobState.HELD},
    ),
    "begin_attempt": (
        lambda store, job: store.begin_attempt(attempt(job, job.attempt_count + 1), next_at=LATER),
        {JobState.HELD},
    ),
    "accept": (
        lambda store, job: store.accept(
            job.job_id, number=1, gateway_job_id="other", billing=billing(), now=LATER, next_at=LATER
        ),
        {JobState.SUBMITTING, JobState.UNCONFIRMED},
    ),
    "return_to_line": (
        lambda store, job: store.return_to_line(job.job_id, number=1, gateway="shortapi", not_before=None, now=LATER),
        {JobState.SUBMITTING},
    ),
    "reroute": (
        lambda store, job: store.reroute(job.job_id, gateway="hiapi", to="shortapi"),
        {JobState.HELD},
    ),
    "leave_unconfirmed": (
        lambda store, job: store.leave_unconfirmed(job.job_id, now=LATER, next_at=LATER),
        {JobState.SUBMITTING},
    ),
    "finish": (
        lambda store, job: store.finish(job.job_id, address="https://w", until=LATER, billing=billing(7), now=LATER),
        {JobState.RUNNING, JobState.FINISHED},
    ),
    "store_video": (
        lambda store, job: store.store_video(job.job_id, video=VIDEO, settle_microusd=PRICE, now=LATER),
        {JobState.FINISHED},
    ),
    "store_late_video": (
        lambda store, job: store.store_late_video(job.job_id, video=VIDEO, now=LATER),
        {JobState.LOST},
    ),
    "end": (
        lambda store, job: store.end(
            job.job_id,
            states=(JobState.SUBMITTING, JobState.RUNNING),
            to=JobState.FAILED,
            end=bad_end(billed=3),
            now=LATER,
        ),
        {JobState.SUBMITTING, JobState.RUNNING},
    ),
    "refund": (
        lambda store, job: store.refund(job.job_id, amount_microusd=1, actor_id=9, reason="spoiled", now=LATER),
        {JobState.STORED},
    ),
    "delivered": (
        lambda store, job: store.delivered(job.job_id, message=CARD, now=LATER),
        {JobState.STORED},
    ),
    "give_up_delivery": (
        lambda store, job: store.give_up_delivery(job.job_id, now=LATER),
        {JobState.STORED},
    ),
}


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_move_from_anywhere_else_answers_false_and_changes_nothing(store, operation, state):
    call, starts = OPERATIONS[operation]
    job = await open_in(store, state, pinned=False)
    before = (job, await used(store))
    moved = await call(store, job)

    assert moved is (state in starts)
    if not moved:
        assert (await get(store, job.job_id), await used(store)) == before


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"finish"}))
async def test_of_ten_at_once_only_the_first_moves_the_job(store, operation):
    call, starts = OPERATIONS[operation]
    job = await open_in(store, sorted(starts)[0], pinned=False)
    answers = await asyncio.gather(*(call(store, job) for _ in range(10)))

    assert sorted(answers) == [False] * 9 + [True]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_move_of_a_job_there_is_not_answers_false(store, operation):
    call, _ = OPERATIONS[operation]
    job = await open_in(store, JobState.HELD)

    assert await call(store, replace(job, job_id="0000000000000000")) is False


async def test_somebody_elses_job_is_not_cancelled(store):
    job = await open_in(store, JobState.HELD)
    assert not await store.cancel(job.job_id, user_id=OTHER_USER, now=LATER)

    assert await get(store, job.job_id) == job


async def test_a_cancelled_job_gives_its_hold_back_and_its_card_is_due(store):
    job = await open_in(store, JobState.HELD)
    assert await store.cancel(job.job_id, user_id=USER, now=LATER)
    cancelled = await get(store, job.job_id)

    assert (cancelled.state, cancelled.since_at, cancelled.next_at) == (JobState.CANCELLED, LATER, LATER)
    assert cancelled.charged_microusd == 0
    assert set((await used(store)).values()) == {(0, 0)}


async def test_an_attempt_is_written_whole_before_it_is_sent(store):
    job = await open_in(store, JobState.HELD)
    first = attempt(job, at=LATER)
    assert await store.begin_attempt(first, next_at=LATER + timedelta(hours=1))
    submitting = await get(store, job.job_id)

    assert submitting.attempt == first
    assert (submitting.state, submitting.attempt_count) == (JobState.SUBMITTING, 1)
    assert submitting.submitted_at == submitting.since_at == LATER
    assert submitting.next_at == LATER + timedelta(hours=1)


async def test_while_paused_nothing_is_submitted(store):
    job = await open_in(store, JobState.HELD)
    await store.set_paused(True)
    assert not await store.begin_attempt(attempt(job), next_at=NOW)

    assert await get(store, job.job_id) == job


async def test_an_attempt_with_the_wrong_number_is_not_begun(store):
    job = await open_in(store, JobState.HELD)
    assert not await store.begin_attempt(attempt(job, 2), next_at=NOW)

    assert await get(store, job.job_id) == job


@pytest.mark.parametrize("state", [JobState.SUBMITTING, JobState.UNCONFIRMED])
async def test_an_accepted_job_knows_its_gateway_job_id_and_bill(store, state):
    job = await open_in(store, state)
    assert await store.accept(job.job_id, number=1, gateway_job_id="g1", billing=billing(5), now=LATER, next_at=LATER)
    running = await get(store, job.job_id)

    assert (running.state, running.since_at, running.next_at) == (JobState.RUNNING, LATER, LATER)
    assert running.submitted_at == NOW
    assert running.attempt is not None
    assert running.attempt.gateway_job_id == "g1"
    assert (running.attempt.billed_microusd, running.attempt.billed_source) == (5, BilledSource.REPORTED)


async def test_a_gateway_job_id_given_out_twice_is_not_accepted(store):
    first = await open_in(store, JobState.RUNNING)
    assert first.attempt is not None
    second = await open_in(store, JobState.SUBMITTING)
    moved = await store.accept(
        second.job_id,
        number=1,
        gateway_job_id=first.attempt.gateway_job_id,
        billing=billing(),
        now=LATER,
        next_at=LATER,
    )

    assert not moved
    assert await get(store, second.job_id) == second


async def test_an_answer_to_another_attempt_is_not_accepted(store):
    job = await open_in(store, JobState.SUBMITTING)

    assert not await store.accept(job.job_id, number=2, gateway_job_id="g", billing=billing(), now=LATER, next_at=LATER)


async def test_a_finished_job_is_due_and_a_renewed_address_keeps_the_first_time(store):
    job = await open_in(store, JobState.RUNNING)
    assert await store.finish(job.job_id, address=None, until=None, billing=None, now=NOW)
    assert await store.finish(job.job_id, address="https://a", until=LATER, billing=billing(9), now=LATER)
    finished = await get(store, job.job_id)

    assert (finished.state, finished.since_at, finished.finished_at) == (JobState.FINISHED, NOW, NOW)
    assert (finished.video_address, finished.video_until, finished.next_at) == ("https://a", LATER, LATER)
    assert finished.attempt is not None
    assert finished.attempt.billed_microusd == 9


async def test_a_reading_without_an_address_takes_none_away(store):
    job = await open_in(store, JobState.RUNNING)
    await store.finish(job.job_id, address="https://a", until=LATER, billing=None, now=NOW)
    await store.finish(job.job_id, address=None, until=None, billing=None, now=NOW)
    finished = await get(store, job.job_id)

    assert (finished.video_address, finished.video_until) == ("https://a", LATER)


@pytest.mark.parametrize(("reported", "charged"), [(PRICE - 100, PRICE - 100), (PRICE, PRICE), (PRICE * 2, PRICE)])
async def test_a_settle_is_the_smaller_of_hold_and_report_and_frees_the_rest(store, reported, charged):
    job = await open_in(store, JobState.FINISHED)
    assert await store.store_video(job.job_id, video=VIDEO, settle_microusd=reported, now=LATER)
    stored = await get(store, job.job_id)

    assert (stored.state, stored.video, stored.charged_microusd) == (JobState.STORED, VIDEO, charged)
    assert (stored.delivery, stored.delivery_since, stored.next_at) == (Delivery.DUE, LATER, LATER)
    assert await used(store) == {
        USER_DAY: (charged, 0),
        USER_MONTH: (charged, 0),
        GUILD_MONTH: (charged, 0),
        BOT_MONTH: (PRICE, 0),
    }


@pytest.mark.parametrize("nothing", [0, -1])
async def test_a_settle_of_nothing_is_refused_and_the_hold_stays(store, nothing):
    job = await open_in(store, JobState.FINISHED)
    with pytest.raises(StoreFailed):
        await store.store_video(job.job_id, video=VIDEO, settle_microusd=nothing, now=LATER)

    assert await get(store, job.job_id) == job
    assert (await used(store))[USER_DAY] == (PRICE, PRICE)


async def test_a_free_job_is_stored_without_a_settle(store):
    job = await open_in(store, JobState.STORED, price_microusd=0, gateway="animatic")

    assert job.charged_microusd == 0
    assert set((await used(store)).values()) == {(0, 0)}


@pytest.mark.parametrize("state", UNFINISHED)
async def test_a_hold_released_after_midnight_lowers_only_its_own_windows(store, state):
    job = await open_in(store, state)
    other = await open_in(store, JobState.HELD, at=AFTER_MIDNIGHT)
    to = JobState.LOST if state is JobState.UNCONFIRMED else JobState.FAILED
    end = End(Ending.TASK_LIFE_OVER, billing=None)
    assert await store.end(job.job_id, states=(state,), to=to, end=end, now=AFTER_MIDNIGHT)
    today, yesterday = await used(store, AFTER_MIDNIGHT), await used(store)

    assert other.charged_microusd is None
    assert today[USER_DAY] == (PRICE, PRICE)
    assert yesterday[USER_DAY] == (0, 0)
    assert today[USER_MONTH] == today[GUILD_MONTH] == (PRICE, PRICE)


async def test_what_is_settled_or_billed_next_month_counts_in_the_month_of_the_hold(store):
    job = await open_in(store, JobState.HELD)
    await store.begin_attempt(attempt(job, at=NEXT_MONTH), next_at=NEXT_MONTH)
    await accept(store, job, NEXT_MONTH)
    await store.finish(job.job_id, address="https://v", until=None, billing=None, now=NEXT_MONTH)
    await store.store_video(job.job_id, video=VIDEO, settle_microusd=PRICE - 1, now=NEXT_MONTH)

    assert set((await used(store, NEXT_MONTH)).values()) == {(0, 0)}
    assert await used(store) == {
        USER_DAY: (PRICE - 1, 0),
        USER_MONTH: (PRICE - 1, 0),
        GUILD_MONTH: (PRICE - 1, 0),
        BOT_MONTH: (PRICE, 0),
    }


async def test_the_bots_month_counts_what_was_billed_and_every_open_hold(store):
    running = await open_in(store, JobState.RUNNING)
    assert (await used(store))[BOT_MONTH] == (PRICE, PRICE)
    end = End(Ending.GATEWAY_FAILED, Refusal.OTHER)
    await store.end(running.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=end, now=NOW)
    assert (await used(store))[BOT_MONTH] == (PRICE, 0)
    await store.bill(running.job_id, number=1, billing=Billing(0, BilledSource.REFUNDED))

    assert (await used(store))[BOT_MONTH] == (0, 0)


async def test_a_failed_job_says_why_and_its_card_is_due(store):
    job = await open_in(store, JobState.RUNNING)
    end = End(Ending.REFUSED, Refusal.PICTURE, refused_picture=2, billing=billing(0))
    assert await store.end(job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=end, now=LATER)
    failed = await get(store, job.job_id)

    assert (failed.state, failed.since_at, failed.next_at) == (JobState.FAILED, LATER, LATER)
    assert (failed.ending, failed.refusal, failed.refused_picture) == (Ending.REFUSED, Refusal.PICTURE, 2)
    assert failed.charged_microusd == 0
    assert failed.attempt is not None
    assert failed.attempt.billed_microusd == 0


async def test_an_end_the_domain_does_not_know_is_refused(store):
    job = await open_in(store, JobState.UNCONFIRMED)
    with pytest.raises(StoreFailed):
        await store.end(job.job_id, states=(JobState.UNCONFIRMED,), to=JobState.FAILED, end=bad_end(), now=NOW)

    assert await get(store, job.job_id) == job


async def test_a_video_that_comes_after_lost_is_delivered_free_of_charge(store):
    job = await open_in(store, JobState.LOST)
    assert await store.store_late_video(job.job_id, video=VIDEO, now=LATER)
    late = await get(store, job.job_id)

    assert (late.state, late.video, late.charged_microusd) == (JobState.LOST, VIDEO, 0)
    assert (late.delivery, late.next_at) == (Delivery.DUE, LATER)


@pytest.mark.parametrize("state", JobState)
async def test_recovery_makes_every_unfinished_or_untold_job_due(store, state):
    job = await open_in(store, state)
    await store.schedule(job.job_id, state=state, next_at=None)
    moved = await store.recover(LATER)
    recovered = await get(store, job.job_id)

    assert moved == (state is JobState.SUBMITTING)
    assert recovered.next_at == LATER
    if moved:
        assert (recovered.state, recovered.since_at) == (JobState.UNCONFIRMED, LATER)
    else:
        assert (recovered.state, recovered.since_at) == (state, job.since_at)
    assert await used(store)


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED, JobState.LOST])
async def test_recovery_leaves_a_told_end_alone_and_an_untold_one_after_three_days(store, state):
    told = await open_in(store, state)
    await store.card_shown(told.job_id, face=told.face)
    untold = await open_in(store, state)
    for job in (told, untold):
        await store.schedule(job.job_id, state=state, next_at=None)
    await store.recover(NOW + timedelta(days=3, seconds=1))
    assert (await get(store, untold.job_id)).next_at is None
    await store.recover(LATER)

    assert (await get(store, told.job_id)).next_at is None
    assert (await get(store, untold.job_id)).next_at == LATER


async def test_recovery_delivers_what_is_due_however_old(store):
    job = await open_in(store, JobState.STORED)
    await store.schedule(job.job_id, state=JobState.STORED, next_at=None)
    await store.card_shown(job.job_id, face=CardFace.DELIVERED)
    month_later = NOW + timedelta(days=30)
    await store.recover(month_later)

    assert (await get(store, job.job_id)).next_at == month_later


@pytest.mark.parametrize("state", JobState)
async def test_a_restart_keeps_everything(tmp_path, state):
    path = tmp_path / "gallop.db"
    async with open_store(path) as store:
        job = await open_in(store, state)
        before = await used(store)
        await store.set_paused(True)
        await store.set_note("commands", "abc")
    async with open_store(path) as store:
        assert await get(store, job.job_id) == job
        assert await used(store) == before
        assert await store.paused()
        assert await store.note("commands") == "abc"
