"""The books beside the moves: refunds, the person's ledger, the operator's loss, and the figures operators watch."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import StoreFailed
from bot.domain.job import BilledSource, Delivery, JobState, LedgerEntry, LedgerKind
from bot.domain.store import Billing, Counts
from tests.adapters.store_fixtures import (
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
    bad_end,
    get,
    open_in,
    which,
)

AFTER_MIDNIGHT = datetime(2026, 11, 21, 0, 1, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
MONTH = "2026-11"
SECOND = timedelta(seconds=1)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


def refund(store, job, amount=PRICE, reason="spoiled", now=LATER):
    return store.refund(job.job_id, amount_microusd=amount, actor_id=9, reason=reason, now=now)


async def used(store, now=NOW):
    standings = await store.standings(SPENDER, limits=UNLIMITED, now=now)
    return {which(found): found.committed for found in standings}


@pytest.mark.parametrize("amount", [1, PRICE - 1, PRICE])
@pytest.mark.parametrize("now", [NOW, AFTER_MIDNIGHT, NEXT_MONTH])
async def test_a_refund_lowers_the_windows_of_its_hold_and_no_others(store, amount, now):
    job = await open_in(store, JobState.STORED)
    await open_in(store, JobState.STORED, at=now)
    before, before_now = await used(store), await used(store, now)
    assert await refund(store, job, amount, now=now)
    after, after_now = await used(store), await used(store, now)

    people = {USER_DAY, USER_MONTH, GUILD_MONTH}
    assert {kind: before[kind] - after[kind] for kind in before} == {
        kind: amount if kind in people else 0 for kind in before
    }
    own = {USER_DAY} if now != NOW else set()
    own |= {USER_MONTH, GUILD_MONTH} if now == NEXT_MONTH else set()
    assert all(after_now[kind] == before_now[kind] for kind in own)
    assert (await get(store, job.job_id)).charged_microusd == PRICE - amount


@pytest.mark.parametrize(("amount", "reason"), [(PRICE + 1, "spoiled"), (0, "spoiled"), (-1, "spoiled"), (1, "")])
async def test_a_refund_of_too_much_or_nothing_or_without_a_reason_is_refused(store, amount, reason):
    job = await open_in(store, JobState.STORED)
    with pytest.raises(StoreFailed):
        await refund(store, job, amount, reason)

    assert (await get(store, job.job_id)).charged_microusd == PRICE


async def test_of_ten_refunds_at_once_one_is_given(store):
    job = await open_in(store, JobState.STORED)
    answers = await asyncio.gather(*(refund(store, job, 1) for _ in range(10)))

    assert sorted(answers) == [False] * 9 + [True]
    assert (await get(store, job.job_id)).charged_microusd == PRICE - 1


async def test_a_free_job_has_nothing_to_refund(store):
    assert not await refund(store, await open_in(store, JobState.STORED, price_microusd=0, gateway="animatic"), 1)


async def test_a_persons_ledger_comes_oldest_first_with_the_hold_before_its_end(store):
    stored = await open_in(store, JobState.STORED)
    failed = await open_in(store, JobState.FAILED, at=NOW - SECOND)
    await open_in(store, JobState.STORED, user_id=OTHER_USER)
    await open_in(store, JobState.STORED, price_microusd=0, gateway="animatic")
    await refund(store, stored, 7)

    assert await store.entries_of(USER) == [
        LedgerEntry(failed.job_id, LedgerKind.HOLD, PRICE, NOW - SECOND),
        LedgerEntry(failed.job_id, LedgerKind.RELEASE, PRICE, NOW - SECOND),
        LedgerEntry(stored.job_id, LedgerKind.HOLD, PRICE, NOW),
        LedgerEntry(stored.job_id, LedgerKind.SETTLE, PRICE, NOW),
        LedgerEntry(stored.job_id, LedgerKind.REFUND, 7, LATER, "spoiled"),
    ]
    assert await store.entries_of(99) == []


async def test_the_loss_is_what_was_billed_less_what_was_paid(store):
    assert await store.loss_microusd(month=MONTH) == 0
    await open_in(store, JobState.STORED)
    for state in (JobState.HELD, JobState.RUNNING, JobState.FINISHED):
        await open_in(store, state)
    assert await store.loss_microusd(month=MONTH) == 0
    await open_in(store, JobState.FAILED)
    assert await store.loss_microusd(month=MONTH) == PRICE
    refunded = await open_in(store, JobState.STORED, user_id=OTHER_USER, guild_id=None)
    await refund(store, refunded, 7, now=NEXT_MONTH)
    assert await store.loss_microusd(month=MONTH) == PRICE + 7
    await open_in(store, JobState.FAILED, at=NEXT_MONTH)
    await open_in(store, JobState.STORED, price_microusd=0, gateway="animatic")

    assert await store.loss_microusd(month=MONTH) == PRICE + 7
    assert await store.loss_microusd(month="2026-12") == PRICE


async def test_a_job_that_crosses_the_month_counts_in_the_month_of_its_hold(store):
    job = await open_in(store, JobState.RUNNING)
    end = bad_end(billed=5)
    await store.end(job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=end, now=NEXT_MONTH)

    assert await store.loss_microusd(month=MONTH) == 5
    assert await store.loss_microusd(month="2026-12") == 0


async def test_a_bill_corrected_afterwards_corrects_the_loss(store):
    job = await open_in(store, JobState.FAILED)
    await store.bill(job.job_id, number=1, billing=Billing(0, BilledSource.REFUNDED))

    assert await store.loss_microusd(month=MONTH) == 0


async def test_a_gateway_that_bills_less_than_is_paid_shows_as_less_than_no_loss(store):
    job = await open_in(store, JobState.STORED)
    await store.bill(job.job_id, number=1, billing=Billing(PRICE - 3, BilledSource.REPORTED))

    assert await store.loss_microusd(month=MONTH) == -3


async def test_an_empty_database_counts_nothing(store):
    assert await store.counts() == Counts({}, {}, 0, 0)


async def test_jobs_are_counted_by_state_and_gateway_and_open_holds_with_their_sum(store):
    for state in JobState:
        await open_in(store, state)
        await open_in(store, state, price_microusd=0, gateway="animatic")
    await open_in(store, JobState.RUNNING, price_microusd=5, gateway="shortapi")
    counts = await store.counts()

    assert counts.jobs == {(state, gateway): 1 for state in JobState for gateway in ("hiapi", "animatic")} | {
        (JobState.RUNNING, "shortapi"): 1
    }
    assert counts.deliveries == {Delivery.NONE: 17, Delivery.DUE: 2}
    assert (counts.holds, counts.on_hold_microusd) == (6, 5 * PRICE + 5)


async def test_given_up_deliveries_come_oldest_first_from_a_moment_on(store):
    jobs = []
    for n in range(3):
        job = await open_in(store, JobState.STORED, at=NOW - n * SECOND)
        assert await store.give_up_delivery(job.job_id, now=LATER)
        jobs.append(await get(store, job.job_id))
    await open_in(store, JobState.STORED)

    assert await store.given_up(since=NOW - 9 * SECOND) == jobs[::-1]
    assert await store.given_up(since=NOW - SECOND) == [jobs[1], jobs[0]]
    assert await store.given_up(since=LATER) == []


async def test_what_was_told_is_remembered_until_it_is_forgotten(store):
    assert await store.told() == frozenset()
    for key in ("unconfirmed/1", "unconfirmed/1", "disk"):
        await store.note_told(key, now=NOW)
    assert await store.told() == {"unconfirmed/1", "disk"}
    await store.forget_told("disk")
    await store.forget_told("nothing")

    assert await store.told() == {"unconfirmed/1"}
