"""A guild's jobs in its managers' hands: seen, released, refunded, delivered again, each act in the audit."""

import asyncio
import sqlite3
from collections import defaultdict, deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.content import TO_ERASE_IN_GUILD
from bot.adapters.store.guild_jobs import GUILD_JOBS
from bot.adapters.store.sqlite import open_store
from bot.domain.errors import DeliveryFailed, StoreFailed
from bot.domain.guild import Act, ActKind, GuildJob, PersonSettings
from bot.domain.job import CardFace, Delivery, Ending, JobState
from bot.domain.quota import LimitKind
from bot.domain.rules import Rule, Scope
from bot.domain.windows import Window
from tests.adapters.store_fixtures import (
    CARD,
    CHANNEL,
    GUILD,
    LATER,
    NOW,
    OTHER_USER,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    attempt,
    get,
    open_in,
    opening,
    told,
)
from tests.domain.world import world

MANAGER, OTHER_GUILD = 91, 22
ACT = Act(GUILD, MANAGER, NOW)
ELSEWHERE = replace(ACT, guild_id=OTHER_GUILD)
SECOND = timedelta(seconds=1)
AFTER_MIDNIGHT = datetime(2026, 11, 21, 0, 1, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def acts(store):
    found = reversed(await store.audit(GUILD, before_id=None, limit=100))
    return [(act.kind, act.before, act.after, act.user_id, act.job_id) for act in found]


async def used(store, now=NOW):
    """Return what is committed of each limit that counts, by kind and window."""
    standings = await store.standings(SPENDER, limits=UNLIMITED, now=now)
    return {(found.kind, found.window): found.committed for found in standings}


def refund(store, job, amount=PRICE, act=ACT):
    return store.refund_job(job.job_id, amount_microusd=amount, reason="spoiled", act=act)


async def test_a_guilds_jobs_come_newest_first_by_person_and_state(store):
    jobs = [await open_in(store, JobState.HELD, at=NOW - n * SECOND) for n in range(2)]
    stored = await open_in(store, JobState.STORED, at=NOW - 9 * SECOND, user_id=OTHER_USER)
    await open_in(store, JobState.HELD, guild_id=OTHER_GUILD)
    await open_in(store, JobState.HELD, guild_id=None)

    async def found(user_id=None, states=(), limit=9):
        return [
            job.job_id for job in await store.guild_jobs(GUILD, user_id=user_id, states=frozenset(states), limit=limit)
        ]

    ids = [job.job_id for job in [*jobs, stored]]
    assert await found() == ids
    assert await found(limit=2) == ids[:2]
    assert await found(USER) == ids[:2]
    assert await found(states=[JobState.STORED, JobState.FAILED]) == ids[2:]
    assert await found(USER, [JobState.STORED]) == []


async def test_a_job_is_shown_with_its_money_and_without_its_prompt(store):
    job = await open_in(store, JobState.STORED)
    await refund(store, job, 45_000)
    [shown] = await store.guild_jobs(GUILD, user_id=None, states=frozenset(), limit=9)

    assert shown == GuildJob.of(await get(store, job.job_id))
    assert (shown.price_microusd, shown.charged_microusd, shown.refunded_microusd) == (PRICE, PRICE - 45_000, 45_000)
    assert (shown.user_id, shown.channel_id, shown.created_at, shown.is_kept) == (USER, CHANNEL, NOW, True)
    assert job.request.prompt not in repr(shown)


@pytest.mark.parametrize(("sql", "index"), [(GUILD_JOBS, "jobs_of_guild"), (TO_ERASE_IN_GUILD, "jobs_to_erase")])
async def test_a_guilds_jobs_are_read_by_an_index_and_in_its_order(store, tmp_path, sql, index):
    with sqlite3.connect(tmp_path / "gallop.db") as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", defaultdict(int))]
    db.close()

    assert any(f"INDEX {index} " in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


async def test_a_hold_is_released_once_by_its_own_guild_with_its_act(store):
    job = await open_in(store, JobState.HELD)
    assert not await store.release_held(job.job_id, act=ELSEWHERE)
    assert await store.release_held(job.job_id, act=replace(ACT, at=LATER))
    assert not await store.release_held(job.job_id, act=ACT)

    ended = await get(store, job.job_id)
    assert (ended.state, ended.ending, ended.charged_microusd) == (JobState.FAILED, Ending.RELEASED, 0)
    assert ended.next_at == LATER
    assert set((await used(store)).values()) == {0}
    assert await acts(store) == [(ActKind.RELEASED, "$0.645 on hold", "released", USER, job.job_id)]


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.HELD])
async def test_only_what_is_in_line_is_released(store, state):
    job = await open_in(store, state)
    before = await used(store)
    assert not await store.release_held(job.job_id, act=ACT)

    assert await get(store, job.job_id) == job
    assert await used(store) == before
    assert await acts(store) == []


async def test_a_job_of_nobodys_guild_is_no_guilds(store):
    job = await open_in(store, JobState.HELD, guild_id=None)

    assert not await store.release_held(job.job_id, act=ACT)
    assert not await store.release_held("nothing", act=ACT)


@pytest.mark.parametrize("release_first", [True, False])
async def test_of_a_release_and_a_submission_at_once_one_wins(store, release_first):
    job = await open_in(store, JobState.HELD)
    calls = [store.release_held(job.job_id, act=ACT), store.begin_attempt(attempt(job), next_at=NOW)]
    answers = await asyncio.gather(*(calls if release_first else reversed(calls)))

    assert answers == [True, False]
    assert (await get(store, job.job_id)).state is (JobState.FAILED if release_first else JobState.SUBMITTING)
    assert len(await acts(store)) == release_first


@pytest.mark.parametrize("by_operator", [True, False])
async def test_a_refund_lowers_the_operators_ceilings_only_by_an_operator(store, by_operator):
    for scope, subject_id in ((Scope.EVERYONE, 0), (Scope.CHANNEL, CHANNEL), (Scope.POOL, 0)):
        await store.set_rule(Rule(scope, subject_id, day_microusd=10 * PRICE), act=ACT)
    await store.change_person(PersonSettings(USER, day_microusd=10 * PRICE))
    job = await open_in(store, JobState.STORED)
    before = await used(store)
    act = replace(ACT, at=AFTER_MIDNIGHT, by_operator=by_operator)
    assert await refund(store, job, 45_000, act)
    after = await used(store)

    day, month = Window.DAY, Window.MONTH
    own = {(kind, day) for kind in (LimitKind.MEMBER, LimitKind.OWN, LimitKind.CHANNEL, LimitKind.POOL)}
    ceilings = {(LimitKind.USER, day), (LimitKind.USER, month), (LimitKind.GUILD, month)}
    lowered = own | ceilings if by_operator else own
    assert {kind for kind in before if before[kind] - after[kind] == 45_000} == lowered
    assert {kind for kind in before if before[kind] == after[kind]} == before.keys() - lowered
    assert {kind for kind, amount in (await used(store, AFTER_MIDNIGHT)).items() if amount}.isdisjoint(own)
    assert (await get(store, job.job_id)).charged_microusd == PRICE - 45_000


async def test_a_job_is_refunded_once_by_its_own_guild_with_its_act(store):
    job = await open_in(store, JobState.STORED)
    assert not await refund(store, job, act=ELSEWHERE)
    assert sorted(await asyncio.gather(*(refund(store, job, n) for n in (1, 2, 3)))) == [False, False, True]
    assert not await store.refund(job.job_id, amount_microusd=1, actor_id=9, reason="again", now=NOW)

    [entry] = [entry for entry in await store.entries_of(USER) if entry.kind == "refund"]
    assert await acts(store) == [
        (ActKind.REFUNDED, "$0.645 charged", "$0.000001 refunded: spoiled", USER, job.job_id),
    ]
    assert (entry.amount_microusd, entry.reason) == (1, "spoiled")


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.STORED])
async def test_only_what_was_charged_is_refunded(store, state):
    job = await open_in(store, state)

    assert not await refund(store, job, 1)
    assert await acts(store) == []


@pytest.mark.parametrize(("amount", "reason"), [(PRICE + 1, "spoiled"), (0, "spoiled"), (-1, "spoiled"), (1, "")])
async def test_a_refund_that_the_schema_refuses_leaves_neither_an_entry_nor_an_act(store, amount, reason):
    job = await open_in(store, JobState.STORED)
    with pytest.raises(StoreFailed):
        await store.refund_job(job.job_id, amount_microusd=amount, reason=reason, act=ACT)

    assert (await get(store, job.job_id)).charged_microusd == PRICE
    assert await acts(store) == []


async def test_what_cannot_be_written_down_does_not_happen(store, monkeypatch):
    held, stored = await open_in(store, JobState.HELD), await told(store, JobState.STORED)
    before = await used(store)
    monkeypatch.setattr("bot.adapters.store.audit._RECORD", "INSERT INTO audit (guild_id) VALUES (:guild_id)")
    for act in (
        store.release_held(held.job_id, act=ACT),
        refund(store, stored),
        store.deliver_again(stored.job_id, act=ACT),
    ):
        with pytest.raises(StoreFailed):
            await act

    assert [await get(store, job.job_id) for job in (held, stored)] == [held, stored]
    assert await used(store) == before
    assert await acts(store) == []


@pytest.mark.parametrize(("is_given_up", "before"), [(False, "posted"), (True, "not posted")])
async def test_a_video_that_was_delivered_becomes_due_again_as_tried_once(store, is_given_up, before):
    job = await open_in(store, JobState.STORED)
    await store.card_posted(job.job_id, card=CARD, face=CardFace.DELIVERED)
    if is_given_up:
        assert await store.give_up_delivery(job.job_id, now=NOW)
    else:
        assert await store.delivered(job.job_id, message=CARD, now=NOW)
    assert not await store.deliver_again(job.job_id, act=ELSEWHERE)
    assert await store.deliver_again(job.job_id, act=replace(ACT, at=LATER))
    assert not await store.deliver_again(job.job_id, act=ACT)

    again = await get(store, job.job_id)
    assert (again.state, again.delivery, again.delivery_count) == (JobState.STORED, Delivery.DUE, 1)
    assert (again.delivery_since, again.next_at, again.since_at) == (LATER, LATER, NOW)
    assert again.card_face is CardFace.POSTING
    assert await acts(store) == [(ActKind.DELIVERED_AGAIN, before, "to be posted", USER, job.job_id)]
    assert again in await store.due(LATER, held=False, limit=9)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.STORED])
async def test_a_job_without_a_video_is_not_delivered_again(store, state):
    job = await open_in(store, state)

    assert not await store.deliver_again(job.job_id, act=ACT)
    assert await get(store, job.job_id) == job


async def test_a_forgotten_or_erased_job_is_not_delivered_again(store):
    forgotten = await open_in(store, JobState.STORED)
    await store.forget(USER, now=NOW)
    assert await store.delivered(forgotten.job_id, message=CARD, now=NOW)
    erased = await told(store, JobState.STORED, user_id=OTHER_USER)
    assert await store.erase(before=LATER)

    for job in (forgotten, erased):
        assert not await store.deliver_again(job.job_id, act=ACT)
    assert await acts(store) == []


async def test_a_job_to_be_delivered_again_is_not_erased_meanwhile(store):
    job = await told(store, JobState.STORED)
    await store.deliver_again(job.job_id, act=ACT)
    assert await store.erase(before=LATER) == 0
    assert (await store.forget(USER, now=NOW)).later == 1

    assert job.video.name in await store.files_in_use()


async def delivered(w):
    """Open a job, let its video be delivered, and return it."""
    opened = await w.open()
    await w.advance(21)
    job = await w.job(opened)
    assert (job.delivery, job.card_face) == (Delivery.POSTED, CardFace.DELIVERED)
    return job


async def again(w, job):
    assert await w.store.deliver_again(job.job_id, act=Act(7, MANAGER, w.clock.now()))
    w.runner.wake()
    await w.settle()
    return await get(w.store, job.job_id)


async def test_a_video_asked_for_again_is_looked_for_then_posted_and_its_card_leads_to_it(tmp_path):
    async with world(tmp_path) as w:
        job = await delivered(w)
        assert w.messenger.looked == []
        w.messenger.said.clear()
        job = await again(w, job)

        assert w.messenger.looked == ["post_video"]
        assert [(call, face) for call, _, face in w.messenger.said] == [
            ("post_video", "posting"), ("edit_card", "delivered"),
        ]  # fmt: skip
        assert (job.delivery, job.card_face, job.next_at) == (Delivery.POSTED, CardFace.DELIVERED, None)
        assert (await w.store.entries_of(1))[-1].kind == "settle"


async def test_a_video_asked_for_again_survives_a_crash_and_is_looked_for(tmp_path):
    async with world(tmp_path) as first:
        job = await delivered(first)
        first.messenger.script["post_video"] = deque([DeliveryFailed("unclear", permanent=False)])
        job = await again(first, job)
        assert (job.delivery, job.delivery_count) == (Delivery.DUE, 2)
    async with world(tmp_path, before=first) as second:
        await second.advance(5)

        assert second.messenger.looked == ["post_video", "post_video"]
        assert second.messenger.told("post_video") == ["posting", "posting"]
        assert (await get(second.store, job.job_id)).delivery is Delivery.POSTED


async def test_a_delivery_that_was_given_up_is_tried_anew_for_as_long_as_a_first_one(tmp_path):
    async with world(tmp_path) as w:
        job = await delivered(w)
        w.clock.turn(4 * 86_400)
        w.messenger.script["post_video"] = deque([DeliveryFailed("unclear", permanent=False)])
        job = await again(w, job)
        assert job.delivery is Delivery.DUE
        await w.advance(10)

        assert (await get(w.store, job.job_id)).delivery is Delivery.POSTED


async def test_a_job_released_by_a_manager_says_so_on_its_card(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.gate.clear()
        held = await w.store.open_job(opening(user_id=1, guild_id=7, channel_id=50, now=w.clock.now()))
        assert await w.store.release_held(held.job_id, act=Act(7, MANAGER, w.clock.now()))
        w.runner.wake()
        await w.settle()

        assert ("explain", held.job_id, "failed") in w.messenger.said
