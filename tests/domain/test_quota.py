"""Windows are calendar ones, and what is left is never negative."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.domain.errors import LimitKind
from bot.domain.quota import Standing, Windows, day_ends_at, month_ends_at, narrowest, windows_at


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


def standing(limit_microusd: int | None, committed_microusd: int) -> Standing:
    return Standing(LimitKind.USER_DAY, limit_microusd, committed_microusd, datetime(2026, 11, 21, tzinfo=UTC))


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
