"""Rules that let nobody spend are found, each once; those that are meant so for somebody are left alone."""

import pytest

from bot.domain.guild_doctor import DeadEnd, dead_ends
from bot.domain.rules import Rule, Scope

HD, FULL_HD = frozenset({"720p"}), frozenset({"1080p"})
BOTH = HD | FULL_HD


@pytest.mark.parametrize("field", ["day_microusd", "week_microusd", "month_videos"])
@pytest.mark.parametrize(
    "rule", [Rule(Scope.POOL), Rule(Scope.EVERYONE), Rule(Scope.CHANNEL, 5), Rule(Scope.ROLE, 5)], ids=lambda r: r.scope
)
def test_a_limit_of_nothing_is_found(rule: Rule, field: str) -> None:
    barred = Rule(rule.scope, rule.subject_id, **{field: 0})

    assert list(dead_ends([barred])) == [DeadEnd(field, (barred,))]


def test_nothing_for_everyone_is_meant_where_a_role_may_spend() -> None:
    nothing, something = Rule(Scope.EVERYONE, day_microusd=0), Rule(Scope.ROLE, 5, day_microusd=1)

    assert list(dead_ends([nothing, something])) == []
    assert list(dead_ends([nothing, Rule(Scope.ROLE, 5, week_microusd=1)])) == [DeadEnd("day_microusd", (nothing,))]


def test_nothing_for_one_member_is_meant() -> None:
    assert list(dead_ends([Rule(Scope.MEMBER, 1, day_microusd=0, resolutions=HD)])) == []


@pytest.mark.parametrize(
    "rules",
    [
        (Rule(Scope.EVERYONE, resolutions=HD), Rule(Scope.POOL, resolutions=FULL_HD)),
        (Rule(Scope.ROLE, 5, resolutions=HD), Rule(Scope.POOL, resolutions=FULL_HD)),
        (Rule(Scope.ROLE, 5, resolutions=HD), Rule(Scope.CHANNEL, 6, resolutions=FULL_HD)),
        (Rule(Scope.CHANNEL, 6, resolutions=HD), Rule(Scope.POOL, resolutions=FULL_HD)),
    ],
    ids=lambda rules: "-".join(rule.scope for rule in rules),
)
def test_sets_without_a_common_value_are_found(rules: tuple[Rule, ...]) -> None:
    assert list(dead_ends(rules)) == [DeadEnd("resolutions", rules)]


def test_three_sets_of_which_each_two_meet_can_still_have_nothing_in_common() -> None:
    rules = (
        Rule(Scope.EVERYONE, gateways=frozenset("ab")),
        Rule(Scope.CHANNEL, 6, gateways=frozenset("bc")),
        Rule(Scope.POOL, gateways=frozenset("ac")),
    )

    assert list(dead_ends(rules)) == [DeadEnd("gateways", rules)]


def test_a_roles_set_stands_before_everyones() -> None:
    everyone, role, pool = (
        Rule(Scope.EVERYONE, resolutions=HD),
        Rule(Scope.ROLE, 5, resolutions=BOTH),
        Rule(Scope.POOL, resolutions=FULL_HD),
    )

    assert list(dead_ends([everyone, role, pool])) == [DeadEnd("resolutions", (everyone, pool))]


def test_what_holds_everywhere_is_not_said_again_for_each_channel_and_role() -> None:
    everyone, pool = Rule(Scope.EVERYONE, ratios=frozenset({"1:1"})), Rule(Scope.POOL, ratios=frozenset({"16:9"}))
    others = [Rule(scope, n, day_videos=3) for n in range(1, 20) for scope in (Scope.ROLE, Scope.CHANNEL)]

    assert list(dead_ends([everyone, pool, *others])) == [DeadEnd("ratios", (everyone, pool))]
