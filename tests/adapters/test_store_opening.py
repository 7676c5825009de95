"""Opening a job: the limits, the hold, and who is refused."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import Paused, QuotaExceeded, Refusal, TooManyFailures, TooManyPreviews
from bot.domain.job import UNCOUNTED_ENDINGS, Ending, JobState
from bot.domain.quota import Limits
from tests.adapters.store_fixtures import (
    BOT_MONTH,
    GUILD_MONTH,
    NOW,
    OTHER_USER,
    OUTSIDE,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    USER_DAY,
    USER_MONTH,
    bad_end,
    get,
    open_in,
    opening,
    which,
)

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
MONTH_END = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def test_an_opened_job_is_read_back_as_it_was_answered(store):
    asked = opening(now=NOW + timedelta(microseconds=1_234_567))
    job = await store.open_job(asked)

    assert await get(store, job.job_id) == job
    assert job.request == asked.request
    assert job.images == asked.images
    assert (job.state, job.next_at, job.charged_microusd) == (JobState.HELD, job.created_at, None)


async def test_an_interaction_delivered_twice_opens_one_job(store):
    asked = opening()
    first = await store.open_job(asked)
    second = await store.open_job(replace(asked, job_id=opening().job_id))

    assert second == first
    assert len(await store.jobs_of(USER, limit=9)) == 1


async def test_an_interaction_delivered_twice_at_once_opens_one_job(store):
    asked = opening()
    jobs = await asyncio.gather(*(store.open_job(replace(asked, job_id=opening().job_id)) for _ in range(10)))

    assert len({job.job_id for job in jobs}) == 1
    assert (await standing(store, BOT_MONTH)).on_hold == PRICE


async def test_of_two_hundred_at_once_only_those_there_is_money_for_are_opened(store):
    limits = replace(UNLIMITED, user_day_microusd=3 * PRICE + PRICE // 2)
    answers = await asyncio.gather(
        *(store.open_job(opening(limits=limits)) for _ in range(200)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, QuotaExceeded)]

    assert (len(answers), len(refused)) == (200, 197)
    assert len(await store.jobs_of(USER, limit=200)) == 3
    assert {refusal.standing.available_microusd for refusal in refused} == {PRICE // 2}


@pytest.mark.parametrize(
    ("kind", "limits", "ends_at"),
    [
        (USER_DAY, Limits(PRICE, None, None, None), MIDNIGHT),
        (USER_MONTH, Limits(PRICE, PRICE, PRICE, PRICE), MONTH_END),
        (GUILD_MONTH, Limits(None, None, PRICE, PRICE), MONTH_END),
        (BOT_MONTH, Limits(None, None, None, PRICE), MONTH_END),
    ],
)
async def test_the_limit_that_is_in_the_way_longest_is_named_with_what_it_has_left(store, kind, limits, ends_at):
    await store.open_job(opening(limits=limits))
    with pytest.raises(QuotaExceeded) as refused:
        await store.open_job(opening(limits=limits))

    standing = refused.value.standing
    assert (which(standing), standing.available_microusd, standing.window_ends_at) == (kind, 0, ends_at)
    assert refused.value.needed_microusd == PRICE


async def test_a_refused_opening_leaves_nothing(store):
    asked = opening(limits=replace(UNLIMITED, bot_month_microusd=PRICE - 1))
    with pytest.raises(QuotaExceeded):
        await store.open_job(asked)

    assert await store.job(asked.job_id) is None
    assert (await standing(store, USER_DAY)).committed == 0


async def test_each_person_and_guild_has_limits_of_their_own(store):
    limits = Limits(PRICE, PRICE, PRICE, None)
    await store.open_job(opening(limits=limits))
    other = await store.open_job(opening(limits=limits, user_id=OTHER_USER, guild_id=None))

    assert other.guild_id is None
    with pytest.raises(QuotaExceeded) as refused:
        await store.open_job(opening(limits=limits, user_id=13))
    assert which(refused.value.standing) == GUILD_MONTH


async def test_a_free_job_opens_without_money_and_writes_no_entry(store):
    job = await store.open_job(opening(0, "animatic", limits=Limits(0, 0, 0, 0)))

    assert job.request.price_microusd == 0
    assert (await standing(store, BOT_MONTH)).committed == 0


async def test_while_paused_nothing_opens_but_what_was_opened_is_answered(store):
    first = opening()
    await store.open_job(first)
    await store.set_paused(True)
    await store.set_paused(True)

    with pytest.raises(Paused):
        await store.open_job(opening())
    assert (await store.open_job(first)).job_id == first.job_id
    await store.set_paused(False)
    assert await store.open_job(opening())


async def test_free_jobs_are_capped_per_person_and_day(store):
    cap = {"free_jobs_max": 2}
    await open_in(store, JobState.STORED, price_microusd=0, gateway="animatic", **cap)
    await open_in(store, JobState.CANCELLED, price_microusd=0, gateway="animatic", **cap)
    await store.open_job(opening(0, "animatic", **cap))

    with pytest.raises(TooManyPreviews) as refused:
        await store.open_job(opening(0, "animatic", **cap))
    assert (refused.value.limit, refused.value.window_ends_at) == (2, MIDNIGHT)
    assert await store.open_job(opening(0, "animatic", user_id=OTHER_USER, **cap))
    assert await store.open_job(opening(0, "animatic", now=MIDNIGHT, **cap))
    assert await store.open_job(opening(PRICE, free_jobs_max=None))


async def fail(store, ending, refusal=None, at=NOW):
    job = await open_in(store, JobState.RUNNING, at=at, failures_max=99)
    end = bad_end(ending, refusal)
    assert await store.end(job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=end, now=at)


async def test_after_five_uncharged_failures_a_person_waits_for_the_next_day(store):
    for _ in range(4):
        await fail(store, Ending.GATEWAY_FAILED)
    await fail(store, Ending.REFUSED, Refusal.CONTENT, at=NOW - timedelta(days=1))
    await store.open_job(opening())
    await fail(store, Ending.REFUSED, Refusal.CONTENT)

    with pytest.raises(TooManyFailures) as refused:
        await store.open_job(opening())
    assert (refused.value.limit, refused.value.window_ends_at) == (5, MIDNIGHT)
    assert await store.open_job(opening(user_id=OTHER_USER))
    assert await store.open_job(opening(now=MIDNIGHT))


async def test_failures_that_are_nobodys_doing_do_not_count(store):
    for ending in UNCOUNTED_ENDINGS:
        await fail(store, ending)
    for refusal in Refusal:
        if refusal.about_gateway:
            await fail(store, Ending.REFUSED, refusal)

    assert await store.open_job(opening(failures_max=1))


async def standing(store, kind, limits=UNLIMITED, now=NOW):
    standings = await store.standings(SPENDER, limits=limits, now=now)
    return next(found for found in standings if which(found) == kind)


async def test_standings_come_in_the_order_of_the_limits_and_leave_out_a_missing_guild(store):
    await store.open_job(opening())
    limits = Limits(5 * PRICE, 6 * PRICE, 7 * PRICE, None)
    standings = await store.standings(SPENDER, limits=limits, now=NOW)
    outside = await store.standings(OUTSIDE, limits=limits, now=NOW)

    assert [which(found) for found in standings] == [USER_DAY, USER_MONTH, GUILD_MONTH, BOT_MONTH]
    assert [found.available_microusd for found in standings] == [4 * PRICE, 5 * PRICE, 6 * PRICE, None]
    assert {found.on_hold for found in standings} == {PRICE}
    assert [found.window_ends_at for found in standings] == [MIDNIGHT, MONTH_END, MONTH_END, MONTH_END]
    assert [which(found) for found in outside] == [USER_DAY, USER_MONTH, BOT_MONTH]
