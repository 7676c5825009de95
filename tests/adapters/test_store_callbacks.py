"""Callbacks: what a hint changes in each state, that replays change next to nothing, and whose an id is."""

import asyncio
from datetime import timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.job import JobState
from tests.adapters.store_fixtures import (
    LATER,
    NOW,
    VIDEO,
    accept,
    attempt,
    billing,
    get,
    open_in,
    told,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
WAITING = {JobState.UNCONFIRMED, JobState.RUNNING, JobState.FINISHED, JobState.LOST}


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def waiting(store, state=JobState.RUNNING):
    """Open a job that is next looked at in an hour."""
    job = await open_in(store, state)
    await store.schedule(job.job_id, state=state, next_at=NOW + HOUR)
    return await get(store, job.job_id)


def hint(store, job, at=NOW, gateway_job_id="named", number=1):
    return store.hint(job.job_id, number=number, gateway_job_id=gateway_job_id, now=at)


@pytest.mark.parametrize("state", [state for state in JobState if state not in {JobState.HELD, JobState.CANCELLED}])
async def test_a_hint_is_noted_and_makes_a_job_due_that_waits_for_its_gateway(store, state):
    job = await waiting(store, state)
    await hint(store, job, LATER)
    hinted = await get(store, job.job_id)

    assert hinted.attempt is not None
    needed = None if hinted.attempt.gateway_job_id else "named"
    assert (hinted.attempt.hinted_at, hinted.attempt.hinted_gateway_job_id) == (LATER, needed)
    assert hinted.next_at == (LATER if state in WAITING else NOW + HOUR)
    assert (hinted.state, hinted.since_at, hinted.delivery) == (state, job.since_at, job.delivery)


@pytest.mark.parametrize("state", [JobState.HELD, JobState.CANCELLED])
async def test_a_hint_for_a_job_without_an_attempt_changes_nothing(store, state):
    job = await waiting(store, state)
    await hint(store, job)
    await hint(store, job, number=0)

    assert await get(store, job.job_id) == job


async def test_a_hint_for_no_job_changes_nothing(store):
    await store.hint("0000000000000000", number=1, gateway_job_id="g", now=NOW)


async def test_a_lost_job_whose_video_came_late_is_not_looked_at_again(store):
    job = await open_in(store, JobState.LOST)
    assert await store.store_late_video(job.job_id, video=VIDEO, now=NOW)
    assert await store.give_up_delivery(job.job_id, now=NOW)
    await store.schedule(job.job_id, state=JobState.LOST, next_at=None)
    await hint(store, job, LATER)

    assert (await get(store, job.job_id)).next_at is None


async def test_a_lost_job_that_nobody_looks_at_any_more_is_looked_at_after_a_hint(store):
    job = await told(store, JobState.LOST)
    await hint(store, job, LATER)

    assert (await get(store, job.job_id)).next_at == LATER


async def test_a_hint_never_puts_a_job_off(store):
    job = await open_in(store, JobState.RUNNING)
    await store.schedule(job.job_id, state=JobState.RUNNING, next_at=NOW - SECOND)
    await hint(store, job, LATER)

    assert (await get(store, job.job_id)).next_at == NOW - SECOND


async def test_a_later_id_takes_the_place_of_one_that_was_not_bound(store):
    job = await waiting(store, JobState.UNCONFIRMED)
    for gateway_job_id in (None, "first", "second", None):
        await hint(store, job, gateway_job_id=gateway_job_id)

    assert (await store.attempts(job.job_id))[0].hinted_gateway_job_id == "second"


async def test_a_flood_of_callbacks_makes_a_job_due_once_in_two_seconds(store):
    job = await waiting(store)
    looks = []
    for tenth in range(0, 60):
        now = NOW + tenth * SECOND / 10
        await hint(store, job, now)
        if (await get(store, job.job_id)).next_at <= now:
            looks.append(tenth)
            await store.schedule(job.job_id, state=JobState.RUNNING, next_at=now + HOUR)

    assert looks == [0, 20, 40]


async def test_a_clock_that_was_set_back_does_not_hold_a_hint_up(store):
    job = await waiting(store)
    await hint(store, job, NOW + 2 * HOUR)
    await store.schedule(job.job_id, state=JobState.RUNNING, next_at=NOW + 2 * HOUR)
    await hint(store, job, NOW)

    assert (await get(store, job.job_id)).next_at == NOW + 2 * SECOND


async def test_ten_hints_at_once_note_the_last_id(store):
    job = await waiting(store, JobState.UNCONFIRMED)
    await asyncio.gather(*(hint(store, job, gateway_job_id=f"g{n}") for n in range(10)))
    hinted = await get(store, job.job_id)

    assert hinted.attempt is not None
    assert (hinted.attempt.hinted_gateway_job_id, hinted.next_at) == ("g9", NOW)


async def test_a_hint_for_an_earlier_attempt_is_noted_and_moves_nothing(store):
    job = await open_in(store, JobState.SUBMITTING)
    await store.return_to_line(job.job_id, number=1, gateway="hiapi", not_before=None, now=NOW)
    await store.begin_attempt(attempt(job, 2), next_at=NOW)
    await store.accept(job.job_id, number=2, gateway_job_id="g", billing=billing(), now=NOW, next_at=LATER)
    await hint(store, job, number=1)
    first, second = await store.attempts(job.job_id)

    assert (first.hinted_at, second.hinted_at) == (NOW, None)
    assert (await get(store, job.job_id)).next_at == LATER


@pytest.mark.parametrize("state", [JobState.SUBMITTING, JobState.UNCONFIRMED])
async def test_an_accepted_job_that_was_called_back_about_is_due_at_once(store, state):
    early, other = await open_in(store, state), await open_in(store, state)
    await hint(store, early)
    for job in (early, other):
        moved = await store.accept(
            job.job_id, number=1, gateway_job_id=job.job_id, billing=billing(), now=LATER, next_at=LATER + HOUR
        )
        assert moved

    assert (await get(store, early.job_id)).next_at == LATER
    assert (await get(store, other.job_id)).next_at == LATER + HOUR


async def test_a_hint_and_the_answer_at_once_make_the_job_due_whoever_is_first(store):
    for order in (1, -1):
        job = await open_in(store, JobState.SUBMITTING)
        answer = store.accept(
            job.job_id, number=1, gateway_job_id=job.job_id, billing=billing(), now=NOW, next_at=NOW + HOUR
        )
        await asyncio.gather(*[answer, hint(store, job)][::order])

        assert (await get(store, job.job_id)).next_at == NOW


async def test_an_attempt_is_named_once_and_keeps_its_name(store):
    job = await open_in(store, JobState.UNCONFIRMED)
    assert await store.name_attempt(job.job_id, number=1, gateway_job_id="g")
    assert await store.name_attempt(job.job_id, number=1, gateway_job_id="g")
    assert not await store.name_attempt(job.job_id, number=1, gateway_job_id="h")
    assert not await store.name_attempt(job.job_id, number=2, gateway_job_id="h")
    named = await get(store, job.job_id)

    assert named.attempt is not None
    assert (named.state, named.attempt.gateway_job_id, named.attempt.billed_microusd) == (job.state, "g", None)


async def test_an_id_of_another_job_names_no_attempt_but_one_of_another_gateway_does(store):
    running = await open_in(store, JobState.SUBMITTING)
    await accept(store, running)
    taken = f"g-{running.job_id}"
    same, elsewhere = [await open_in(store, JobState.UNCONFIRMED, gateway=name) for name in ("hiapi", "shortapi")]

    assert not await store.name_attempt(same.job_id, number=1, gateway_job_id=taken)
    assert await store.name_attempt(elsewhere.job_id, number=1, gateway_job_id=taken)
    assert await get(store, same.job_id) == same


async def test_of_two_jobs_that_claim_an_id_at_once_one_gets_it(store):
    jobs = [await open_in(store, JobState.UNCONFIRMED) for _ in range(2)]
    answers = await asyncio.gather(*(store.name_attempt(job.job_id, number=1, gateway_job_id="g") for job in jobs))

    assert answers == [True, False]


async def test_unconfirmed_jobs_come_oldest_first(store):
    jobs = [await open_in(store, JobState.UNCONFIRMED, at=NOW - n * SECOND) for n in range(3)]
    for state in JobState:
        if state is not JobState.UNCONFIRMED:
            await open_in(store, state)

    assert await store.unconfirmed() == jobs[::-1]


async def test_a_job_without_attempts_has_none(store):
    job = await open_in(store, JobState.HELD)

    assert await store.attempts(job.job_id) == []
