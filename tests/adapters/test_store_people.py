"""What people set for themselves, what is kept about them, and what they are told of their limits, once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import QuotaExceeded, StoreFailed
from bot.domain.guild import Act, ActKind, GuildField, PersonSettings
from bot.domain.guild_store import PersonFacts
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
    OUTSIDE,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    bad_end,
    open_in,
    opening,
)

ACT = Act(GUILD, 91, NOW)
OTHER_GUILD = 22
MINE = PersonSettings(USER, confirm_above_microusd=0, day_microusd=1, week_microusd=2, month_microusd=3)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def rule(store, scope=Scope.EVERYONE, subject_id=0, **fields):
    await store.set_rule(Rule(scope, subject_id, **fields), act=ACT)


async def crossings(store, spender=SPENDER, now=NOW, limits=UNLIMITED):
    found = await store.note_crossings(spender, limits=limits, now=now)
    return [(standing.kind, standing.window, standing.measure, percent) for standing, percent in found]


def member(window, percent, measure=Measure.MONEY):
    return (LimitKind.MEMBER, window, measure, percent)


async def test_a_person_who_set_nothing_has_nothing_set(store):
    assert await store.person(USER) == PersonSettings(USER)


async def test_settings_are_kept_as_a_whole_and_go_when_nothing_is_set(store):
    await store.change_person(MINE)
    await store.change_person(replace(MINE, user_id=OTHER_USER, day_microusd=None))
    assert await store.person(USER) == MINE
    assert await store.person(OTHER_USER) == replace(MINE, user_id=OTHER_USER, day_microusd=None)
    await store.change_person(PersonSettings(USER, week_microusd=5))
    assert await store.person(USER) == PersonSettings(USER, week_microusd=5)
    await store.change_person(PersonSettings(USER))

    assert await store.person(USER) == PersonSettings(USER)
    assert await store.facts_of(USER) == PersonFacts()


async def test_a_negative_limit_is_refused(store):
    with pytest.raises(StoreFailed):
        await store.change_person(replace(MINE, day_microusd=-1))

    assert await store.person(USER) == PersonSettings(USER)


async def test_ones_own_limit_counts_at_once_everywhere(store):
    await store.change_person(PersonSettings(USER, week_microusd=2 * PRICE))
    await open_in(store, JobState.HELD)
    await open_in(store, JobState.HELD, guild_id=OTHER_GUILD)

    with pytest.raises(QuotaExceeded) as exceeded:
        await store.open_job(opening(guild_id=None))
    assert (exceeded.value.standing.kind, exceeded.value.standing.window) == (LimitKind.OWN, Window.WEEK)
    await store.open_job(opening(user_id=OTHER_USER))


@pytest.mark.parametrize(
    ("videos", "told"), [(0, None), (49, None), (50, 50), (74, 50), (75, 75), (89, 75), (90, 90), (100, 90)]
)
async def test_the_highest_percentage_reached_is_told(store, videos, told):
    await rule(store, week_microusd=100 * PRICE)
    if videos:
        await open_in(store, JobState.HELD, price_microusd=videos * PRICE)

    assert await crossings(store) == ([member(Window.WEEK, told)] if told else [])


async def test_a_percentage_is_told_once_and_later_ones_as_they_come(store):
    await rule(store, day_videos=4)
    told = []
    for _ in range(4):
        await open_in(store, JobState.HELD)
        told += [await crossings(store), await crossings(store)]

    videos = Measure.VIDEOS
    assert told == [
        [], [],
        [member(Window.DAY, 50, videos)], [],
        [member(Window.DAY, 75, videos)], [],
        [member(Window.DAY, 90, videos)], [],
    ]  # fmt: skip


async def test_of_two_commands_at_once_one_is_told(store):
    await rule(store, day_videos=1)
    await open_in(store, JobState.HELD)
    first, second = await asyncio.gather(crossings(store), crossings(store))

    assert (first, second) == ([member(Window.DAY, 90, Measure.VIDEOS)], [])


async def test_a_lower_percentage_is_not_told_after_a_release_and_a_new_hold(store):
    await rule(store, day_videos=4)
    jobs = [await open_in(store, JobState.HELD) for _ in range(3)]
    assert await crossings(store) == [member(Window.DAY, 75, Measure.VIDEOS)]
    for job in jobs[:2]:
        assert await store.cancel(job.job_id, user_id=USER, now=NOW)
    await open_in(store, JobState.HELD)
    assert await crossings(store) == []
    await open_in(store, JobState.HELD)
    assert await crossings(store) == []
    await open_in(store, JobState.HELD)

    assert await crossings(store) == [member(Window.DAY, 90, Measure.VIDEOS)]


async def test_a_new_window_is_told_anew_and_the_longer_one_is_not(store):
    await rule(store, day_videos=1, week_videos=2)
    await open_in(store, JobState.HELD)
    videos = Measure.VIDEOS
    assert await crossings(store) == [member(Window.DAY, 90, videos), member(Window.WEEK, 50, videos)]
    await open_in(store, JobState.HELD, at=MIDNIGHT)

    assert await crossings(store, now=MIDNIGHT) == [member(Window.DAY, 90, videos), member(Window.WEEK, 90, videos)]
    assert await crossings(store, now=MIDNIGHT) == []


async def test_a_guilds_window_is_that_of_its_time_zone(store):
    await store.change_guild(GuildField.TIME_ZONE, "Pacific/Kiritimati", act=replace(ACT, at=NOW - timedelta(days=40)))
    await rule(store, day_videos=1)
    await open_in(store, JobState.HELD, at=datetime(2026, 11, 20, 9, tzinfo=UTC))
    assert await crossings(store, now=datetime(2026, 11, 20, 9, tzinfo=UTC)) == [member(Window.DAY, 90, Measure.VIDEOS)]
    await open_in(store, JobState.HELD, at=datetime(2026, 11, 20, 10, tzinfo=UTC))

    assert await crossings(store, now=datetime(2026, 11, 20, 10, tzinfo=UTC)) == [
        member(Window.DAY, 90, Measure.VIDEOS)
    ]


async def test_personal_limits_alone_are_told_also_the_operators_and_ones_own(store):
    for scope, subject_id in ((Scope.EVERYONE, 0), (Scope.CHANNEL, CHANNEL), (Scope.POOL, 0)):
        await rule(store, scope, subject_id, day_microusd=PRICE)
    await store.change_person(PersonSettings(USER, month_microusd=PRICE))
    await open_in(store, JobState.HELD)

    assert await crossings(store, limits=Limits(PRICE, PRICE, PRICE, PRICE)) == [
        member(Window.DAY, 90),
        (LimitKind.OWN, Window.MONTH, Measure.MONEY, 90),
        (LimitKind.USER, Window.DAY, Measure.MONEY, 90),
        (LimitKind.USER, Window.MONTH, Measure.MONEY, 90),
    ]


async def test_a_limit_over_the_whole_bot_is_told_once_not_in_every_guild(store):
    await store.change_person(PersonSettings(USER, day_microusd=PRICE))
    await open_in(store, JobState.HELD)
    own = [(LimitKind.OWN, Window.DAY, Measure.MONEY, 90)]
    assert await crossings(store) == own

    assert await crossings(store, Spender(USER, OTHER_GUILD, CHANNEL)) == []
    assert await crossings(store, OUTSIDE) == []


@pytest.mark.parametrize("limit", [0, NO_LIMIT])
async def test_no_limit_and_nothing_allowed_are_nothing_to_tell(store, limit):
    await open_in(store, JobState.HELD)
    await rule(store, day_microusd=limit, day_videos=limit)

    assert await crossings(store) == []


async def test_what_a_grant_paid_is_not_used_of_the_limit(store):
    await rule(store, day_microusd=PRICE // 4)
    await store.add_grant(user_id=USER, amount_microusd=PRICE, expires_at=MIDNIGHT, reason="help", act=ACT)
    await open_in(store, JobState.HELD)
    assert await crossings(store) == [member(Window.DAY, 90)]
    await rule(store, day_microusd=PRICE)

    assert await crossings(store) == []


async def test_everything_kept_about_a_person_is_found_and_nothing_of_others(store):
    await store.change_person(MINE)
    await rule(store, Scope.MEMBER, USER, day_videos=1)
    await rule(store, Scope.ROLE, USER, day_videos=2)
    grants = [
        await store.add_grant(user_id=user_id, amount_microusd=5, expires_at=MIDNIGHT, reason="help", act=ACT)
        for user_id in (USER, OTHER_USER)
    ]
    blocks = [
        await store.block(user_id=user_id, until=LATER, reason="spam", act=replace(ACT, guild_id=OTHER_GUILD))
        for user_id in (USER, OTHER_USER)
    ]
    facts = await store.facts_of(USER)

    assert facts.settings == MINE
    assert facts.rules == ((GUILD, Rule(Scope.MEMBER, USER, day_videos=1)),)
    assert facts.grants == (grants[0],)
    assert facts.blocks == ((OTHER_GUILD, blocks[0]),)
    assert [(act.guild_id, act.kind) for act in facts.acts] == [
        (GUILD, ActKind.RULE_SET),
        (GUILD, ActKind.GRANTED),
        (OTHER_GUILD, ActKind.BLOCKED),
    ]
    assert await store.facts_of(99) == PersonFacts()


async def test_forgetting_deletes_what_a_person_set_and_keeps_what_managers_did(store):
    await store.change_person(MINE)
    await store.change_person(replace(MINE, user_id=OTHER_USER))
    await store.add_grant(user_id=USER, amount_microusd=5, expires_at=MIDNIGHT, reason="help", act=ACT)
    before = await store.facts_of(USER)
    assert (await store.forget(USER, now=NOW)).settings
    assert not (await store.forget(USER, now=NOW)).settings

    assert await store.facts_of(USER) == replace(before, settings=None)
    assert await store.person(OTHER_USER) == replace(MINE, user_id=OTHER_USER)


async def test_a_failed_job_makes_room_and_is_not_told_again(store):
    await rule(store, day_microusd=2 * PRICE)
    job = await open_in(store, JobState.RUNNING)
    assert await crossings(store) == [member(Window.DAY, 50)]
    await store.end(job.job_id, states=(JobState.RUNNING,), to=JobState.FAILED, end=bad_end(), now=NOW)
    await open_in(store, JobState.HELD)

    assert await crossings(store) == []


async def test_limits_and_threshold_are_changed_each_by_itself(store):
    await asyncio.gather(
        store.change_person(PersonSettings(USER, day_microusd=5), fields=frozenset({"day_microusd"})),
        store.change_person(
            PersonSettings(USER, confirm_above_microusd=7), fields=frozenset({"confirm_above_microusd"})
        ),
    )

    assert await store.person(USER) == PersonSettings(USER, confirm_above_microusd=7, day_microusd=5)
