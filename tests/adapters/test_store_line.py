"""The line: who is ready in it, what returns to it after a certain refusal, and who may be given another gateway."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import StoreFailed
from bot.domain.job import BilledSource, CardFace, Delivery, JobState
from tests.adapters.store_fixtures import (
    CARD,
    LATER,
    NOW,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    USER_DAY,
    attempt,
    get,
    open_in,
    told,
    which,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def returned(store, gateway="hiapi", not_before=None, **changes):
    """Open a job whose first attempt is refused for certain."""
    job = await open_in(store, JobState.SUBMITTING, **changes)
    assert await store.return_to_line(job.job_id, number=1, gateway=gateway, not_before=not_before, now=LATER)
    return await get(store, job.job_id)


@pytest.mark.parametrize(
    ("not_before", "ready"), [(None, True), (NOW - SECOND, True), (NOW, True), (NOW + SECOND, False), (LATER, False)]
)
async def test_a_held_job_is_ready_when_its_card_is_posted_and_its_time_has_come(store, not_before, ready):
    job = await returned(store, not_before=not_before)
    assert [entry.ready for entry in await store.line(NOW)] == [False]
    await store.card_posted(job.job_id, card=CARD, face=CardFace.HELD)

    assert [entry.ready for entry in await store.line(NOW)] == [ready]
    assert [entry.ready for entry in await store.line(LATER)] == [True]


async def test_a_refused_job_is_held_again_with_its_hold_and_a_free_attempt(store):
    job = await returned(store, not_before=LATER + HOUR)

    assert (job.state, job.since_at, job.submitted_at, job.slow) == (JobState.HELD, LATER, None, False)
    assert job.not_before == job.next_at == LATER + HOUR
    assert job.attempt is not None
    assert (job.attempt.billed_microusd, job.attempt.billed_source) == (0, BilledSource.REPORTED)
    assert [entry.kind for entry in await store.entries_of(USER)] == ["hold"]
    standings = await store.standings(SPENDER, limits=UNLIMITED, now=NOW)
    assert {(standing.committed, standing.on_hold) for standing in standings} == {(PRICE, PRICE)}


async def test_without_a_time_to_wait_for_a_returned_job_is_due_at_once(store):
    job = await returned(store)

    assert (job.not_before, job.next_at) == (None, LATER)


async def test_a_job_returned_twice_has_three_attempts_and_pays_once(store):
    job = await returned(store, gateway="shortapi", pinned=False)
    second = replace(attempt(job, 2), price_microusd=PRICE - 5)
    assert await store.begin_attempt(second, next_at=NOW)
    assert await store.return_to_line(job.job_id, number=2, gateway="hiapi", not_before=None, now=LATER)
    third = replace(attempt(await get(store, job.job_id), 3), price_microusd=PRICE - 9)
    assert await store.begin_attempt(third, next_at=NOW)
    submitting = await get(store, job.job_id)
    assert submitting.attempt == third
    written = await store.attempts(job.job_id)

    assert [(one.number, one.gateway, one.price_microusd) for one in written] == [
        (1, "hiapi", PRICE),
        (2, "shortapi", PRICE - 5),
        (3, "hiapi", PRICE - 9),
    ]
    assert [one.billed_microusd for one in written] == [0, 0, None]
    assert len({one.idempotency_key for one in written}) == 3
    assert (await store.books())[0].held_microusd == PRICE


async def test_a_submission_forgets_what_it_had_to_wait_for(store):
    job = await returned(store, not_before=LATER)
    assert await store.begin_attempt(attempt(job, 2), next_at=NOW)

    assert (await get(store, job.job_id)).not_before is None


async def test_an_answer_to_another_attempt_returns_nothing_to_the_line(store):
    job = await returned(store)
    assert await store.begin_attempt(attempt(job, 2), next_at=NOW)
    before = await get(store, job.job_id)

    assert not await store.return_to_line(job.job_id, number=1, gateway="hiapi", not_before=None, now=LATER)
    assert await get(store, job.job_id) == before


async def test_an_accepted_answer_and_a_refusal_at_once_count_once(store):
    job = await open_in(store, JobState.SUBMITTING)
    left, back = await asyncio.gather(
        store.leave_unconfirmed(job.job_id, now=NOW, next_at=NOW),
        store.return_to_line(job.job_id, number=1, gateway="hiapi", not_before=None, now=NOW),
    )

    assert (left, back) == (True, False)
    assert (await store.attempts(job.job_id))[0].billed_microusd is None


async def test_a_returned_job_that_is_cancelled_or_accepted_later_resolves_its_one_hold(store):
    cancelled = await returned(store)
    assert await store.cancel(cancelled.job_id, user_id=USER, now=LATER)
    standing = (await store.standings(SPENDER, limits=UNLIMITED, now=NOW))[0]

    assert (which(standing), standing.committed) == (USER_DAY, 0)


async def test_a_gateway_that_a_person_named_is_never_left(store):
    held = await open_in(store, JobState.HELD)
    submitting = await open_in(store, JobState.SUBMITTING)

    assert not await store.reroute(held.job_id, gateway="hiapi", to="shortapi")
    assert not await store.return_to_line(submitting.job_id, number=1, gateway="shortapi", not_before=None, now=LATER)
    assert await get(store, held.job_id) == held
    assert await get(store, submitting.job_id) == submitting


async def test_a_rerouted_job_waits_no_more_for_what_its_old_gateway_asked(store):
    job = await returned(store, not_before=LATER, pinned=False)
    await store.card_posted(job.job_id, card=CARD, face=CardFace.HELD)
    assert not await store.reroute(job.job_id, gateway="pixeldojo", to="shortapi")
    assert await store.reroute(job.job_id, gateway="hiapi", to="shortapi")

    assert [(entry.gateway, entry.ready) for entry in await store.line(NOW)] == [("shortapi", True)]


async def test_an_attempt_dearer_than_the_hold_is_not_begun(store):
    job = await open_in(store, JobState.HELD)
    with pytest.raises(StoreFailed):
        await store.begin_attempt(replace(attempt(job), price_microusd=PRICE + 1), next_at=NOW)

    assert await get(store, job.job_id) == job


@pytest.mark.parametrize("state", JobState)
async def test_after_the_clock_was_set_back_everything_later_is_due_but_what_is_being_sent(store, state):
    job = await open_in(store, state, at=NOW + HOUR)
    await store.bring_forward(NOW)
    brought = await get(store, job.job_id)

    assert brought == replace(job, next_at=job.next_at if state is JobState.SUBMITTING else NOW)


async def test_after_the_clock_was_set_back_what_was_told_stays_so_and_a_lost_job_is_looked_at(store):
    over = await told(store, JobState.FAILED)
    lost = await told(store, JobState.LOST)
    await store.schedule(lost.job_id, state=JobState.LOST, next_at=NOW + HOUR)
    await store.bring_forward(NOW)

    assert (await get(store, over.job_id)).next_at is None
    assert (await get(store, lost.job_id)).next_at == NOW


@pytest.mark.parametrize("jump", ["bring_forward", "recover"])
async def test_after_the_clock_was_set_back_a_job_waits_for_its_gateway_as_long_as_it_was_to(store, jump):
    job = await returned(store, not_before=NOW + 30 * SECOND)
    back = (await get(store, job.job_id)).since_at - HOUR
    wait = NOW + 30 * SECOND - (await get(store, job.job_id)).since_at
    await getattr(store, jump)(back)
    brought = await get(store, job.job_id)

    assert (brought.not_before, brought.next_at) == (back + wait, back)
    assert brought.delivery is Delivery.NONE


@pytest.mark.parametrize("jump", ["bring_forward", "recover"])
async def test_while_the_clock_goes_on_a_job_waits_until_the_time_its_gateway_named(store, jump):
    job = await returned(store, not_before=LATER + HOUR)
    await getattr(store, jump)(LATER + SECOND)

    assert (await get(store, job.job_id)).not_before == LATER + HOUR
