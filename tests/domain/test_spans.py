"""How long something lasts, as people type it."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.spans import SPAN_MAX, end_from_text

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "span"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        (" 7 D ", timedelta(days=7)),
        ("366d", SPAN_MAX),
    ],
)
def test_a_span_ends_so_much_later(typed: str, span: timedelta) -> None:
    assert end_from_text(typed, now=NOW, zone="UTC") == NOW + span


@pytest.mark.parametrize(
    ("typed", "zone", "end"),
    [
        ("2026-12-31", "UTC", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-11-20", "UTC", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-12-31", "Europe/Berlin", datetime(2026, 12, 31, 23, tzinfo=UTC)),
        ("2026-11-21", "Pacific/Kiritimati", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-20", "America/Los_Angeles", datetime(2026, 11, 21, 8, tzinfo=UTC)),
        # The clocks change on both days.
        ("2027-03-28", "Europe/Berlin", datetime(2027, 3, 28, 22, tzinfo=UTC)),
        ("2027-10-31", "Europe/Berlin", datetime(2027, 10, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_date_counts_to_its_end_in_the_guilds_time_zone(typed: str, zone: str, end: datetime) -> None:
    assert end_from_text(typed, now=NOW, zone=zone) == end


def test_the_29th_of_february_is_a_day_where_there_is_one() -> None:
    end = end_from_text("2028-02-29", now=datetime(2028, 2, 1, tzinfo=UTC), zone="UTC")

    assert end == datetime(2028, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "0", "0d", "-1d", "+7d", "1e9d", "1.5d", "7", "7y", "7days", "d", "367d", "999999w", "9999999d",
        "٧d", "2026-11-19", "2027-02-29", "2026-13-01", "2026-11-31", "2027-12-31", "9999-12-31", "0001-01-01",
        "20261231", "2026-W53-1", "31.12.2026", "tomorrow", "NaNd", "Infinityd", "7d;", "7d 12h",
    ],
)  # fmt: skip
def test_what_is_no_time_ahead_is_refused(typed: str) -> None:
    with pytest.raises(ChangeRejected) as refused:
        end_from_text(typed, now=NOW, zone="Pacific/Kiritimati")

    assert (refused.value.problem, refused.value.detail) == (ChangeProblem.BAD_TIME, typed)


def test_a_day_that_is_over_in_the_guilds_time_zone_is_refused() -> None:
    late = datetime(2026, 11, 20, 10, tzinfo=UTC)

    assert end_from_text("2026-11-20", now=late - timedelta(seconds=1), zone="Pacific/Kiritimati") == late
    with pytest.raises(ChangeRejected):
        end_from_text("2026-11-20", now=late, zone="Pacific/Kiritimati")
