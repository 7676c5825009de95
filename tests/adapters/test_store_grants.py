"""Grants and rules where money meets them: what passes, what a grant pays, and what comes back to it."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import GatewayRejected, QuotaExceeded, StoreFailed
from bot.domain.guild import Act, ActKind, Grant, PersonSettings
from bot.domain.job import JobState
from bot.domain.quota import LimitKind, Limits, Measure, Spender
from bot.domain.rules import UNLIMITED as NO_LIMIT
from bot.domain.rules import Rule, Scope
from bot.domain.windows import Window
from tests.adapters.store_fixtures import (
    CHANNEL,
    GUILD,
    LATER,
    NOW,
    OTHER_USER,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    VIDEO,
    attempt,
    bad_end,
    get,
    open_in,
    opening,
)

ACT = Act(GUILD, 91, NOW)
ELSEWHERE = replace(ACT, guild_id=22)
AFTER_MIDNIGHT = datetime(2026, 11, 21, 0, 1, tzinfo=UTC)
IN_AN_HOUR, TOMORROW = NOW + timedelta(hours=1), NOW + timedelta(days=1)
NEXT_MONTH = NOW + timedelta(days=30)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def rule(store, scope=Scope.EVERYONE, subject_id=0, **fields):
    return await store.set_rule(Rule(scope, subject_id, **fields), act=ACT)


async def grant(store, amount=PRICE, expires_at=NEXT_MONTH, user_id=USER, act=ACT):
    return await store.add_grant(
        user_id=user_id, amount_microusd=amount, expires_at=expires_at, reason="a birthday", act=act
    )


async def used_of(store, now=NOW):
    """Return what holds took of each open grant, soonest to expire first."""
    return [found.used_microusd for found in await store.grants(GUILD, user_id=USER, now=now)]


async def standing(store, kind=LimitKind.MEMBER, now=NOW, window=Window.DAY, spender=SPENDER, limits=UNLIMITED):
    [found] = [
        found
        for found in await store.standings(spender, limits=limits, now=now)
        if (found.kind, found.window) == (kind, window)
    ]
    return found


async def opens(store, now=NOW, price=PRICE, **changes):
    """Try to open a job; return the job, or the kind of limit that forbids it."""
    try:
        return await store.open_job(opening(price, now=now, **changes))
    except QuotaExceeded as exceeded:
        return exceeded.standing.kind


def granted_on(tmp_path, job_id):
    """Return what the hold of a job says that grants pay."""
    with closing(sqlite3.connect(tmp_path / "gallop.db")) as db:
        [(amount,)] = db.execute("SELECT granted_microusd FROM ledger WHERE job_id = ? AND kind = 'hold'", (job_id,))
    return amount


async def acts(store):
    found = reversed(await store.audit(GUILD, before_id=None, limit=500))
    return [(act.kind, act.subject, act.before, act.after, act.user_id) for act in found if act.subject != "everyone"]


async def end(store, job, now):
    """Let a submitted job fail, which releases its hold."""
    assert await store.end(job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=bad_end(), now=now)


async def test_a_grant_is_kept_with_who_gave_it_and_leaves_its_act(store):
    given = await grant(store, 5_000_000, TOMORROW)
    await grant(store, 1, NEXT_MONTH, OTHER_USER)
    await grant(store, 1, act=ELSEWHERE)

    assert given == Grant(1, GUILD, USER, 5_000_000, 0, TOMORROW, "a birthday", 91, NOW)
    assert await store.grants(GUILD, user_id=USER, now=NOW) == [given]
    assert [found.user_id for found in await store.grants(GUILD, user_id=None, now=NOW)] == [USER, OTHER_USER]
    assert await store.grants(GUILD, user_id=USER, now=TOMORROW) == []
    assert (await acts(store))[0] == (
        ActKind.GRANTED, "grant 1", "", "$5.00 until 2026-11-21 12:00 UTC: a birthday", USER,
    )  # fmt: skip


@pytest.mark.parametrize("amount", [0, -1])
async def test_a_grant_of_nothing_leaves_neither_a_grant_nor_an_act(store, amount):
    with pytest.raises(StoreFailed):
        await grant(store, amount)

    assert await store.grants(GUILD, user_id=None, now=NOW) == []
    assert await acts(store) == []


async def test_a_grant_ends_once_by_its_own_guild(store):
    given = await grant(store)
    assert await store.end_grant(given.grant_id, act=ELSEWHERE) is None
    assert await store.end_grant(99, act=ACT) is None
    both = await asyncio.gather(*(store.end_grant(given.grant_id, act=replace(ACT, at=LATER)) for _ in range(2)))

    assert both == [replace(given, expires_at=LATER), None]
    assert await store.grants(GUILD, user_id=USER, now=LATER) == []
    assert await store.end_grant((await grant(store, expires_at=LATER)).grant_id, act=replace(ACT, at=LATER)) is None
    [ended] = [act for act in await acts(store) if act[0] is ActKind.GRANT_ENDED]
    assert ended[1:] == ("grant 1", "$0.645 until 2026-12-20 12:00 UTC: a birthday", "ended 2026-11-20 12:01 UTC", USER)


async def test_a_grant_that_cannot_be_written_down_is_not_given_and_not_ended(store, monkeypatch):
    given = await grant(store)
    monkeypatch.setattr("bot.adapters.store.audit._RECORD", "INSERT INTO audit (guild_id) VALUES (:guild_id)")
    with pytest.raises(StoreFailed):
        await grant(store)
    with pytest.raises(StoreFailed):
        await store.end_grant(given.grant_id, act=replace(ACT, at=LATER))

    assert await store.grants(GUILD, user_id=None, now=LATER) == [given]


async def test_a_grant_pays_what_the_limit_does_not_and_the_hold_says_how_much(store, tmp_path):
    await rule(store, day_microusd=PRICE + 100_000)
    await grant(store, PRICE)
    inside, beyond = await opens(store), await opens(store)

    assert granted_on(tmp_path, inside.job_id) == 0
    assert granted_on(tmp_path, beyond.job_id) == PRICE - 100_000
    assert await used_of(store) == [PRICE - 100_000]
    stand = await standing(store)
    assert (stand.committed, stand.granted, stand.left, stand.grants_left_microusd) == (
        2 * PRICE, PRICE - 100_000, 0, 100_000,
    )  # fmt: skip
    assert await opens(store) is LimitKind.MEMBER
    await opens(store, price=100_000)
    assert await used_of(store) == [PRICE]
    assert await opens(store, price=1) is LimitKind.MEMBER


async def test_the_window_of_the_limit_comes_before_the_grant_also_when_it_turns(store, tmp_path):
    await rule(store, day_microusd=PRICE)
    await grant(store, PRICE)
    await opens(store)
    next_day = await opens(store, AFTER_MIDNIGHT)

    assert granted_on(tmp_path, next_day.job_id) == 0
    assert await used_of(store) == [0]


async def test_of_two_limits_the_one_that_lacks_more_says_what_the_grant_pays(store, tmp_path):
    await rule(store, day_microusd=PRICE - 1_000, week_microusd=PRICE - 5_000, month_videos=9)
    await grant(store, PRICE)
    job = await opens(store)

    assert granted_on(tmp_path, job.job_id) == 5_000


async def test_of_two_grants_the_one_that_expires_first_is_used_first(store, tmp_path):
    await rule(store, day_microusd=0)
    await grant(store, PRICE, NEXT_MONTH)
    await grant(store, 100_000, TOMORROW)
    await grant(store, PRICE, NEXT_MONTH, OTHER_USER)
    await grant(store, PRICE, NEXT_MONTH, act=ELSEWHERE)
    job = await opens(store)

    assert await used_of(store) == [100_000, PRICE - 100_000]
    assert granted_on(tmp_path, job.job_id) == PRICE
    assert await opens(store) is LimitKind.MEMBER


@pytest.mark.parametrize("now", [NOW, AFTER_MIDNIGHT])
async def test_a_release_returns_to_the_grant_what_it_paid(store, now):
    await rule(store, day_microusd=100_000)
    await grant(store, PRICE)
    job = await opens(store)
    assert await store.cancel(job.job_id, user_id=USER, now=now)

    stand = await standing(store)
    assert await used_of(store, now) == [0]
    assert (stand.committed, stand.on_hold, stand.granted, stand.left) == (0, 0, 0, 100_000)
    assert (await standing(store, now=now)).committed == 0
    again = await opens(store, now)
    assert again.state is JobState.HELD


async def test_of_two_grants_the_one_used_last_gets_back_first(store):
    await rule(store, day_microusd=0)
    for expires_at in (TOMORROW, NEXT_MONTH):
        await grant(store, 400_000, expires_at)
    job = await open_in(store, JobState.FINISHED)
    assert await used_of(store) == [400_000, PRICE - 400_000]
    assert await store.store_video(job.job_id, video=VIDEO, settle_microusd=PRICE - 300_000, now=LATER)

    assert await used_of(store) == [400_000 - 55_000, 0]


@pytest.mark.parametrize("now", [IN_AN_HOUR, AFTER_MIDNIGHT])
async def test_what_comes_back_to_an_expired_grant_is_for_no_new_use(store, tmp_path, now):
    await rule(store, day_microusd=100_000)
    given = await grant(store, PRICE, IN_AN_HOUR)
    job = await open_in(store, JobState.RUNNING)
    await end(store, job, now)

    assert await opens(store, now) is LimitKind.MEMBER
    assert (await standing(store, now=now)).grants_left_microusd == 0
    with closing(sqlite3.connect(tmp_path / "gallop.db")) as db:
        uses = db.execute("SELECT grant_id, amount_microusd, returned_microusd FROM grant_uses").fetchall()
    assert uses == [(given.grant_id, PRICE - 100_000, PRICE - 100_000)]


async def test_a_grant_that_expires_while_a_job_runs_has_paid_for_it(store):
    await rule(store, day_microusd=0)
    await grant(store, PRICE, IN_AN_HOUR)
    job = await open_in(store, JobState.FINISHED)
    assert await store.store_video(job.job_id, video=VIDEO, settle_microusd=PRICE, now=IN_AN_HOUR)

    assert (await get(store, job.job_id)).charged_microusd == PRICE
    stand = await standing(store)
    assert (stand.committed, stand.granted, stand.on_hold) == (PRICE, PRICE, 0)
    assert await opens(store, IN_AN_HOUR) is LimitKind.MEMBER


@pytest.mark.parametrize(
    ("settle", "left_of_limit", "used"),
    [(PRICE, 0, PRICE - 100_000), (PRICE - 45_000, 0, PRICE - 145_000), (100_000, 0, 0), (60_000, 40_000, 0)],
)
async def test_a_settle_of_less_frees_the_grant_before_the_limit(store, settle, left_of_limit, used):
    await rule(store, day_microusd=100_000)
    await grant(store, PRICE)
    job = await open_in(store, JobState.FINISHED)
    assert await store.store_video(job.job_id, video=VIDEO, settle_microusd=settle, now=AFTER_MIDNIGHT)

    stand = await standing(store)
    assert await used_of(store) == [used]
    assert (stand.committed, stand.granted, stand.left) == (settle, used, left_of_limit)


@pytest.mark.parametrize(("amount", "used", "left_of_limit"), [(45_000, PRICE - 145_000, 0), (PRICE, 0, 100_000)])
@pytest.mark.parametrize("by_operator", [True, False])
async def test_a_refund_after_midnight_returns_to_the_grant_and_then_to_the_day_of_its_hold(
    store, amount, used, left_of_limit, by_operator
):
    await rule(store, day_microusd=100_000)
    await grant(store, PRICE)
    job = await open_in(store, JobState.STORED)
    act = replace(ACT, at=AFTER_MIDNIGHT, by_operator=by_operator)
    assert await store.refund_job(job.job_id, amount_microusd=amount, reason="spoiled", act=act)

    assert await used_of(store, AFTER_MIDNIGHT) == [used]
    assert (await standing(store)).left == left_of_limit
    assert (await standing(store, now=AFTER_MIDNIGHT)).left == 100_000


@pytest.mark.parametrize("window", ["day_videos", "week_videos", "month_videos"])
async def test_a_grant_lifts_limits_of_the_number_of_videos_and_pays_them_wholly(store, tmp_path, window):
    await rule(store, **{window: 1})
    await grant(store, 2 * PRICE - 1)
    first, second = await opens(store), await opens(store)

    assert [granted_on(tmp_path, job.job_id) for job in (first, second)] == [0, PRICE]
    [stand] = [found for found in await store.standings(SPENDER, limits=UNLIMITED, now=NOW) if found.rule]
    assert (stand.measure, stand.committed, stand.granted, stand.left) == (Measure.VIDEOS, 2, 1, 0)
    assert await opens(store) is LimitKind.MEMBER
    assert await store.cancel(second.job_id, user_id=USER, now=NOW)
    assert await used_of(store) == [0]
    assert (await opens(store)).state is JobState.HELD


NOT_LIFTED: Mapping[LimitKind, dict[str, object]] = {
    LimitKind.POOL: {"scope": Scope.POOL},
    LimitKind.CHANNEL: {"scope": Scope.CHANNEL, "subject_id": CHANNEL},
}


@pytest.mark.parametrize("kind", NOT_LIFTED)
@pytest.mark.parametrize("field", ["day_microusd", "month_microusd", "week_videos"])
async def test_a_grant_never_lifts_a_pool_or_a_channel(store, kind, field):
    await rule(store, **NOT_LIFTED[kind], **{field: 0})
    await grant(store, 100 * PRICE)

    assert await opens(store) is kind
    assert await used_of(store) == [0]


async def test_a_grant_never_lifts_ones_own_limit(store):
    await store.change_person(PersonSettings(USER, day_microusd=PRICE - 1))
    await grant(store, 100 * PRICE)

    assert await opens(store) is LimitKind.OWN


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(PRICE - 1, None, None, None), LimitKind.USER),
        (Limits(None, PRICE - 1, None, None), LimitKind.USER),
        (Limits(None, None, PRICE - 1, None), LimitKind.GUILD),
        (Limits(None, None, None, PRICE - 1), LimitKind.BOT),
    ],
)
async def test_a_grant_never_lifts_a_ceiling_of_the_operator(store, limits, kind):
    await rule(store, day_microusd=0)
    await grant(store, 100 * PRICE)

    assert await opens(store, limits=limits) is kind


async def test_what_a_grant_pays_still_counts_in_pool_channel_and_ceilings(store):
    await rule(store, day_microusd=0)
    await rule(store, Scope.POOL, day_microusd=9 * PRICE)
    await rule(store, Scope.CHANNEL, CHANNEL, day_microusd=9 * PRICE)
    await store.change_person(PersonSettings(USER, day_microusd=9 * PRICE))
    await grant(store, PRICE)
    await opens(store)

    limits = Limits(9 * PRICE, None, None, None)
    for kind in (LimitKind.POOL, LimitKind.CHANNEL, LimitKind.OWN, LimitKind.USER):
        assert (await standing(store, kind, limits=limits)).left == 8 * PRICE


async def test_a_grant_is_of_no_use_outside_its_guild_and_to_nobody_else(store):
    await store.set_rule(Rule(Scope.EVERYONE, day_microusd=0), act=ELSEWHERE)
    await rule(store, day_microusd=0)
    await grant(store, PRICE)

    assert await opens(store, guild_id=22) is LimitKind.MEMBER
    assert await opens(store, user_id=OTHER_USER) is LimitKind.MEMBER
    assert (await opens(store)).state is JobState.HELD


async def test_a_free_preview_takes_nothing_of_a_grant_and_needs_none(store):
    await rule(store, day_microusd=0)
    await grant(store, PRICE)
    await opens(store, price=0, gateway="animatic")

    assert await used_of(store) == [0]


@pytest.mark.parametrize("field", [{"day_microusd": 4 * PRICE - 1}, {"week_microusd": 3 * PRICE}, {"month_videos": 3}])
@pytest.mark.parametrize("knows_the_person", [True, False])
async def test_of_200_commands_at_once_with_money_for_three_exactly_three_pass(store, field, knows_the_person):
    await rule(store, **field)
    if knows_the_person:
        job = await opens(store)
        assert await store.cancel(job.job_id, user_id=USER, now=NOW)
    answers = await asyncio.gather(*(opens(store) for _ in range(200)))

    passed = [answer for answer in answers if answer is not LimitKind.MEMBER]
    assert len(passed) == 3
    assert (await store.counts()).holds == 3


async def test_of_200_commands_at_once_with_a_grant_for_three_exactly_three_pass(store):
    await rule(store, day_microusd=0)
    await grant(store, 3 * PRICE + 5)
    answers = await asyncio.gather(*(opens(store) for _ in range(200)))

    assert len([answer for answer in answers if answer is not LimitKind.MEMBER]) == 3
    assert await used_of(store) == [3 * PRICE]


async def test_of_200_people_at_once_a_pool_for_three_lets_exactly_three_pass(store):
    await rule(store, Scope.POOL, day_microusd=3 * PRICE)
    answers = await asyncio.gather(*(opens(store, user_id=1_000 + n) for n in range(200)))

    assert len([answer for answer in answers if answer is not LimitKind.POOL]) == 3


async def test_a_limit_lowered_below_open_holds_lets_nothing_new_pass_and_mints_nothing(store):
    await rule(store, day_microusd=3 * PRICE)
    jobs = [await open_in(store, JobState.RUNNING) for _ in range(3)]
    await rule(store, day_microusd=2 * PRICE)
    assert (await standing(store)).left == 0
    assert await opens(store) is LimitKind.MEMBER
    await end(store, jobs[0], NOW)
    assert await opens(store) is LimitKind.MEMBER
    await end(store, jobs[1], NOW)

    assert (await standing(store)).left == PRICE
    assert (await opens(store)).state is JobState.HELD
    assert await opens(store) is LimitKind.MEMBER


async def test_a_limit_raised_or_cleared_while_holds_are_open_counts_for_the_next_command(store):
    await rule(store, day_microusd=PRICE)
    await opens(store)
    assert await opens(store) is LimitKind.MEMBER
    await rule(store, day_microusd=2 * PRICE)
    assert (await opens(store)).state is JobState.HELD
    assert await opens(store) is LimitKind.MEMBER
    await store.clear_rule(Scope.EVERYONE, 0, fields=None, act=ACT)

    assert (await opens(store)).state is JobState.HELD


async def test_a_limit_set_and_lifted_while_a_grant_pays_leaves_the_grant_what_the_hold_took(store, tmp_path):
    await rule(store, day_microusd=0)
    await grant(store, PRICE)
    job = await open_in(store, JobState.RUNNING)
    await rule(store, day_microusd=5 * PRICE)
    assert await used_of(store) == [PRICE]
    assert (await standing(store)).left == 5 * PRICE
    await end(store, job, NOW)

    assert await used_of(store) == [0]
    assert (await standing(store)).left == 5 * PRICE
    assert granted_on(tmp_path, job.job_id) == PRICE


async def test_caps_and_gateways_of_rules_are_written_on_the_job_and_stay(store):
    await rule(store, Scope.POOL, jobs_max=4, gateways=frozenset({"hiapi", "shortapi"}))
    await rule(store, jobs_max=2)
    job = await opens(store)
    await rule(store, Scope.POOL, jobs_max=1, gateways=frozenset({"pixeldojo"}))

    [entry] = await store.line(NOW)
    assert (entry.user_jobs_max, entry.guild_jobs_max) == (2, 4)
    assert (await get(store, job.job_id)).gateways == {"hiapi", "shortapi"}


async def test_of_forty_roles_the_largest_limit_counts(store):
    roles = range(100, 140)
    for role_id in roles:
        await rule(store, Scope.ROLE, role_id, day_microusd=(role_id - 99) * PRICE)
    await rule(store, Scope.ROLE, 99, day_microusd=NO_LIMIT)
    await rule(store, day_microusd=0)
    spender = replace(SPENDER, role_ids=frozenset(roles))

    stand = await standing(store, spender=spender)
    assert (stand.limit, stand.rule.subject_id) == (40 * PRICE, 139)
    assert (await opens(store, role_ids=frozenset(roles))).state is JobState.HELD
    assert await opens(store) is LimitKind.MEMBER


async def test_a_role_without_limit_is_none_and_ones_own_rule_is_above_it(store):
    await rule(store, day_microusd=0)
    await rule(store, Scope.ROLE, 7, day_microusd=NO_LIMIT)
    await rule(store, Scope.ROLE, 8, day_microusd=PRICE)
    roles = {"role_ids": frozenset({7, 8})}
    for _ in range(3):
        assert (await opens(store, **roles)).state is JobState.HELD
    assert (await standing(store, spender=replace(SPENDER, **roles))).limit is None
    await rule(store, Scope.MEMBER, USER, day_microusd=3 * PRICE)

    assert await opens(store, **roles) is LimitKind.MEMBER


async def test_the_rule_of_a_role_that_nobody_has_counts_for_nobody(store):
    await rule(store, Scope.ROLE, 7, day_microusd=0)

    assert (await opens(store)).state is JobState.HELD
    assert (await opens(store, role_ids=frozenset({8}))).state is JobState.HELD
    assert await opens(store, role_ids=frozenset({7})) is LimitKind.MEMBER


@pytest.mark.parametrize(
    ("rules", "passing"),
    [
        ([Rule(Scope.EVERYONE, day_microusd=9 * PRICE, month_microusd=PRICE)], 1),
        ([Rule(Scope.EVERYONE, day_microusd=9 * PRICE), Rule(Scope.POOL, day_microusd=2 * PRICE)], 2),
        ([Rule(Scope.EVERYONE, day_microusd=9 * PRICE, day_videos=0)], 0),
        ([Rule(Scope.MEMBER, USER, day_microusd=3 * PRICE), Rule(Scope.EVERYONE, day_microusd=0)], 3),
        ([Rule(Scope.CHANNEL, CHANNEL, week_videos=1), Rule(Scope.POOL, week_videos=5)], 1),
    ],
)
async def test_of_contradictory_rules_all_must_pass(store, rules, passing):
    for each in rules:
        await store.set_rule(each, act=ACT)
    answers = [await opens(store) for _ in range(4)]

    assert [isinstance(answer, LimitKind) for answer in answers] == [n >= passing for n in range(4)]


async def test_sets_without_a_common_value_let_no_gateway_take_a_job(store):
    await rule(store, gateways=frozenset({"hiapi"}))
    await rule(store, Scope.POOL, gateways=frozenset({"shortapi"}))

    for gateway in ("hiapi", "shortapi"):
        with pytest.raises(GatewayRejected):
            await store.open_job(opening(gateway=gateway, pinned=False))
    preview = await store.open_job(opening(0, "animatic"))
    assert preview.gateways == frozenset()


async def test_a_job_is_not_moved_to_a_gateway_that_its_rules_forbid(store):
    await rule(store, Scope.POOL, gateways=frozenset({"hiapi"}))
    job = await opens(store, pinned=False)

    with pytest.raises(StoreFailed):
        await store.reroute(job.job_id, gateway="hiapi", to="shortapi")


async def test_a_limit_of_nothing_forbids_paid_videos_and_no_limit_forbids_none(store):
    await rule(store, day_microusd=0)
    assert await opens(store, price=1) is LimitKind.MEMBER
    await rule(store, day_microusd=NO_LIMIT)

    assert (await opens(store, price=10**12)).state is JobState.HELD


async def test_in_a_direct_message_no_guilds_rule_counts(store):
    await rule(store, day_microusd=0)

    assert (await opens(store, guild_id=None)).state is JobState.HELD
    assert [found.kind for found in await store.standings(Spender(USER), limits=UNLIMITED, now=NOW)] == [
        LimitKind.USER, LimitKind.USER, LimitKind.BOT,
    ]  # fmt: skip


async def test_a_refused_command_takes_nothing_of_a_grant(store):
    await rule(store, day_microusd=0)
    await rule(store, Scope.POOL, day_microusd=PRICE - 1)
    await grant(store, PRICE)
    assert await opens(store) is LimitKind.POOL
    assert await used_of(store) == [0]


async def test_a_job_that_returns_to_the_line_keeps_what_its_hold_took(store):
    await rule(store, day_microusd=0)
    await grant(store, PRICE)
    job = await opens(store, pinned=False)
    assert await store.begin_attempt(attempt(job), next_at=NOW)
    assert await store.return_to_line(job.job_id, number=1, gateway="hiapi", not_before=None, now=LATER)

    assert await used_of(store) == [PRICE]
    assert await opens(store) is LimitKind.MEMBER
