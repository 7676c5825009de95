"""Windows are calendar ones, and what is left is never negative."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.domain.quota import LimitKind, Measure, Standing, granted_microusd, in_the_way, narrowest
from bot.domain.windows import Window, Windows, day_ends_at, month_ends_at, windows_at


def test_an_instant_lies_in_the_windows_of_its_utc_date():
    late_in_new_york = datetime(2026, 12, 31, 20, 0, tzinfo=timezone(timedelta(hours=-5)))

    assert windows_at(late_in_new_york) == Windows(day="2027-01-01", week="2026-W53", month="2027-01")


@pytest.mark.parametrize(
    ("now", "day_end", "month_end"),
    [
        (datetime(2028, 2, 29, 23, 59, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_window_ends_where_the_next_begins(now, day_end, month_end):
    assert day_ends_at(now) == day_end
    assert month_ends_at(now) == month_end


def standing(limit: int | None, committed: int) -> Standing:
    return Standing(LimitKind.USER, Window.DAY, limit, committed, datetime(2026, 11, 21, tzinfo=UTC))


def test_what_is_left_is_the_limit_less_what_is_committed_and_never_below_zero():
    assert standing(5_000_000, 4_400_000).available_microusd == 600_000
    assert standing(5_000_000, 6_000_000).available_microusd == 0
    assert standing(None, 6_000_000).available_microusd is None


def test_a_price_of_exactly_what_is_left_is_allowed():
    assert standing(1_290_000, 645_000).allows(645_000)
    assert not standing(1_290_000, 645_001).allows(645_000)
    assert standing(None, 10**12).allows(10**12)


def test_the_narrowest_limit_is_the_one_with_the_least_left():
    wide, narrow, unlimited = standing(9, 1), standing(5, 4), standing(None, 0)

    assert narrowest((wide, unlimited, narrow)) is narrow
    assert narrowest((unlimited,)) is None


TOMORROW, NEXT_MONTH = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def member(limit: int | None, committed: int, **changes) -> Standing:
    facts = {"kind": LimitKind.MEMBER, "window": Window.DAY, "window_ends_at": TOMORROW}
    return Standing(**{**facts, "limit": limit, "committed": committed, **changes})


def test_what_grants_paid_leaves_the_limit_as_it_is_and_what_is_left_of_them_comes_on_top():
    half_granted = member(500, 700, granted=300, grants_left_microusd=40)

    assert (half_granted.left, half_granted.available_microusd) == (100, 140)
    assert [half_granted.beyond_microusd(price) for price in (99, 100, 101, 140)] == [0, 0, 1, 40]
    assert [half_granted.allows(price) for price in (140, 141)] == [True, False]
    assert half_granted.missing_microusd(150) == 10


def test_a_limit_of_videos_stands_in_the_way_of_no_amount_until_it_is_used_up():
    videos = {"measure": Measure.VIDEOS, "grants_left_microusd": 40}

    assert member(2, 1, **videos).available_microusd is None
    assert member(2, 1, **videos).allows(10**12)
    assert member(2, 2, **videos).available_microusd == 40
    assert member(2, 3, granted=1, **videos).beyond_microusd(40) == 40
    assert [member(2, 2, **videos).allows(price) for price in (40, 41)] == [True, False]
    assert member(None, 9, **videos).allows(10**12)


@pytest.mark.parametrize(
    ("standing", "percent"),
    [
        (member(None, 10**12), 0),
        (member(1_000, 0), 0),
        (member(1_000, 499), 49),
        (member(1_000, 500), 50),
        (member(1_000, 999), 99),
        (member(1_000, 1_500), 100),
        (member(1_000, 1_500, granted=600), 90),
        (member(0, 0), 100),
        (member(4, 3, measure=Measure.VIDEOS), 75),
    ],
)
def test_how_much_of_a_limit_is_used_is_rounded_down_and_without_what_grants_paid(standing, percent):
    assert standing.percent_used == percent


def test_of_the_limits_in_the_way_the_one_that_frees_up_last_is_named_and_of_those_the_one_that_lacks_most():
    today = member(500, 500)
    pool = member(500, 499, kind=LimitKind.POOL, window=Window.MONTH, window_ends_at=NEXT_MONTH)
    channel = member(500, 500, kind=LimitKind.CHANNEL, window=Window.MONTH, window_ends_at=NEXT_MONTH)

    assert in_the_way((today, pool, channel), 2) is channel
    assert in_the_way((today, pool), 2) is pool
    assert in_the_way((today, pool), 1) is today
    assert in_the_way((member(500, 499), pool), 1) is None


def test_grants_pay_what_the_narrowest_personal_limit_does_not_cover_and_nothing_of_shared_ones():
    day, month = member(500, 450), member(2_000, 1_970, window=Window.MONTH)
    pool = member(500, 500, kind=LimitKind.POOL)
    videos = member(1, 1, measure=Measure.VIDEOS)

    assert granted_microusd((day, month, pool), 100) == 70
    assert granted_microusd((day, month, videos, pool), 100) == 100
    assert granted_microusd((day, month, pool), 30) == 0
    assert granted_microusd((pool,), 100) == 0
