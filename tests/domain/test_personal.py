"""Where somebody stands in one place, and the lower limits they set for themselves, on real SQLite."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.errors import AmountProblem, AmountRejected, QuotaExceeded
from bot.domain.guild import Act, GuildField, PersonSettings
from bot.domain.personal import PersonalService
from bot.domain.quota import LimitKind, Spender
from bot.domain.request import Place
from bot.domain.rules import Rule, Scope
from bot.domain.store import Holds
from bot.domain.windows import Window
from tests.domain.world import PRICE, World, world

HERE, OUTSIDE, ELSEWHERE = Spender(1, 7, 50, frozenset({71})), Spender(1), Spender(1, 8, 51)
CREATORS = Rule(Scope.ROLE, 71, week_microusd=10_000_000)


def personal(on: World) -> PersonalService:
    return PersonalService(store=on.store, guild_store=on.store, limits=on.limits, clock=on.clock)


def act(on: World) -> Act:
    return Act(guild_id=7, actor_id=99, at=on.clock.now())


async def test_a_person_sees_limits_rules_grants_and_holds_of_the_place(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.store.set_rule(CREATORS, act=act(on))
        await on.store.change_guild(GuildField.CONFIRM_ABOVE, 2_000_000, act=act(on))
        grant = {"amount_microusd": 3_000_000, "expires_at": on.clock.now() + timedelta(days=3), "reason": "r"}
        await on.store.add_grant(user_id=1, **grant, act=act(on))
        await on.store.add_grant(user_id=2, **grant, act=act(on))
        await on.open()

        stand = await personal(on).where_i_stand(HERE)

        assert [(each.kind, each.window, each.committed) for each in stand.standings] == [
            (LimitKind.MEMBER, Window.WEEK, PRICE),
            (LimitKind.USER, Window.DAY, PRICE),
            (LimitKind.USER, Window.MONTH, PRICE),
            (LimitKind.GUILD, Window.MONTH, PRICE),
        ]
        assert stand.rules == (CREATORS,)
        assert [each.user_id for each in stand.grants] == [1]
        assert stand.holds == Holds(1, PRICE)
        assert stand.confirm_here_microusd == 2_000_000


async def test_outside_a_guild_there_are_only_the_operators_and_own_limits(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.store.set_rule(CREATORS, act=act(on))
        await personal(on).set_limits(1, day="1", week="", month="")

        stand = await personal(on).where_i_stand(OUTSIDE)

        assert [each.kind for each in stand.standings] == [LimitKind.OWN, LimitKind.USER, LimitKind.USER]
        assert (stand.rules, stand.grants, stand.confirm_here_microusd) == ((), (), None)


async def test_a_grant_that_is_used_up_or_expired_is_not_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.store.set_rule(Rule(Scope.EVERYONE, day_microusd=0), act=act(on))
        in_a_day = on.clock.now() + timedelta(days=1)
        used = {"user_id": 1, "expires_at": in_a_day, "reason": "used", "act": act(on)}
        await on.store.add_grant(amount_microusd=PRICE, **used)
        await on.store.add_grant(amount_microusd=PRICE, **{**used, "reason": "open"})
        await on.open()

        assert [each.reason for each in (await personal(on).where_i_stand(HERE)).grants] == ["open"]
        on.clock.turn(86_400)
        assert (await personal(on).where_i_stand(HERE)).grants == ()


async def test_holds_are_counted_over_all_servers_until_they_end(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        on.gateway.gate.clear()
        await on.open()
        await on.open(place=Place(channel_id=51, guild_id=8))
        await on.open(gateway="animatic")
        await on.open(user_id=2)
        held = await on.open()
        before = (await personal(on).where_i_stand(ELSEWHERE)).holds

        await on.store.cancel(held.view.job.job_id, user_id=1, now=on.clock.now())

        assert before == Holds(3, 3 * PRICE)
        assert (await personal(on).where_i_stand(OUTSIDE)).holds == Holds(2, 2 * PRICE)


async def test_an_own_limit_counts_for_the_very_next_video_in_every_guild(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.open()
        await personal(on).set_limits(1, day="$1.00", week="", month="")

        with pytest.raises(QuotaExceeded) as caught:
            await on.open(place=Place(channel_id=51, guild_id=8))

        assert (caught.value.standing.kind, caught.value.standing.left) == (LimitKind.OWN, 1_000_000 - PRICE)


async def test_an_own_limit_of_nothing_forbids_and_a_blank_one_clears(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        service = personal(on)
        await service.set_limits(1, day="", week="0", month="")
        with pytest.raises(QuotaExceeded):
            await on.open()

        await service.set_limits(1, day=" ", week="", month="")

        await on.open()
        assert await service.settings(1) == PersonSettings(1)


async def test_limits_and_threshold_are_kept_apart(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        service = personal(on)
        await service.set_limits(1, day="1.005", week="20", month="50")
        await service.set_confirmation(1, "0")
        both = PersonSettings(1, 0, 1_005_000, 20_000_000, 50_000_000)

        assert await service.settings(1) == both
        await service.set_confirmation(1, "")
        assert await service.settings(1) == replace(both, confirm_above_microusd=None)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("-1", AmountProblem.NEGATIVE),
        ("$1,50", AmountProblem.COMMA),
        ("five", AmountProblem.NOT_A_NUMBER),
        ("0.0000001", AmountProblem.TOO_FINE),
        ("1000000.01", AmountProblem.TOO_LARGE),
    ],
)
async def test_one_bad_amount_changes_none(tmp_path: Path, typed: str, problem: AmountProblem) -> None:
    async with world(tmp_path) as on:
        service = personal(on)
        await service.set_limits(1, day="1", week="2", month="3")
        before = await service.settings(1)

        with pytest.raises(AmountRejected) as caught:
            await service.set_limits(1, day="7", week="8", month=typed)
        with pytest.raises(AmountRejected):
            await service.set_confirmation(1, typed)

        assert caught.value.problem is problem
        assert await service.settings(1) == before


async def test_an_own_limit_that_is_not_below_the_others_is_named_with_the_one_that_counts(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        service = personal(on)
        await on.store.set_rule(Rule(Scope.EVERYONE, day_microusd=2_000_000, day_videos=1), act=act(on))
        await service.set_limits(1, day="2", week="30", month="49.99")

        here, elsewhere = [await service.where_i_stand(spender) for spender in (HERE, ELSEWHERE)]

        [(own, lower)] = here.without_effect()
        assert (own.window, own.limit, lower.kind, lower.limit) == (Window.DAY, 2_000_000, LimitKind.MEMBER, 2_000_000)
        assert list(elsewhere.without_effect()) == []
