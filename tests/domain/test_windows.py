"""Windows turn where people live, on days of every length, and no change of zones begins one twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.windows import TimeZone, Window, Windows, ends_at, is_time_zone, windows_at

# Hypothesis wants moments without a zone.
SOME_DAY, A_LATER_DAY = datetime(2024, 1, 1), datetime(2029, 1, 1)  # noqa: DTZ001
INSTANTS = st.datetimes(SOME_DAY, A_LATER_DAY, timezones=st.just(UTC))
HOUR, INSTANT = timedelta(hours=1), timedelta(microseconds=1)
# The first and the last place where a day begins, both edges of UTC, halves and quarters of hours, and clock changes
# at midnight.
ZONES = (
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Etc/GMT+12",
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "Asia/Tokyo",
    "America/Havana",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Santiago",
)


def at(zone: str, *moment: int) -> datetime:
    """Return a local moment in UTC."""
    return datetime(*moment, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 11, 20), 24),
        ("UTC", (2026, 3, 29), 24),
        # Midnight is skipped: the day begins at one o'clock.
        ("America/Havana", (2026, 3, 8), 23),
        ("Asia/Beirut", (2026, 3, 29), 23),
        ("America/Santiago", (2026, 9, 6), 23),
        # The last hour before midnight, or the first after it, comes twice.
        ("Asia/Beirut", (2026, 10, 24), 25),
        ("America/Havana", (2026, 11, 1), 25),
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
    ],
)
def test_a_day_is_as_long_as_the_clocks_there_make_it(zone: str, day: tuple[int, ...], hours: float) -> None:
    noon = at(zone, *day, 12)
    end = ends_at(noon, Window.DAY, zone)
    begin = end - hours * HOUR
    name = "{}-{:02}-{:02}".format(*day)

    assert {windows_at(begin, zone).day, windows_at(noon, zone).day, windows_at(end - INSTANT, zone).day} == {name}
    assert windows_at(begin - INSTANT, zone).day < name < windows_at(end, zone).day


@pytest.mark.parametrize(
    ("zone", "now", "window", "end"),
    [
        ("Europe/Berlin", (2026, 3, 23, 12), Window.WEEK, (2026, 3, 29, 22)),
        ("Europe/Berlin", (2026, 10, 19, 12), Window.WEEK, (2026, 10, 25, 23)),
        ("Europe/Berlin", (2026, 3, 1, 12), Window.MONTH, (2026, 3, 31, 22)),
        ("UTC", (2028, 2, 28, 12), Window.MONTH, (2028, 3, 1)),
        ("UTC", (2028, 2, 29, 23, 59), Window.DAY, (2028, 3, 1)),
        ("UTC", (2026, 2, 28, 23, 59), Window.DAY, (2026, 3, 1)),
        ("UTC", (2026, 12, 31, 12), Window.WEEK, (2027, 1, 4)),
        ("UTC", (2026, 12, 31, 12), Window.MONTH, (2027, 1, 1)),
        ("Pacific/Kiritimati", (2026, 12, 31, 10), Window.MONTH, (2027, 1, 31, 10)),
        ("Pacific/Pago_Pago", (2027, 1, 1, 10), Window.MONTH, (2027, 1, 1, 11)),
    ],
)
def test_a_window_ends_at_a_midnight_of_its_zone(
    zone: str, now: tuple[int, ...], window: Window, end: tuple[int, ...]
) -> None:
    assert ends_at(datetime(*now, tzinfo=UTC), window, zone) == datetime(*end, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "windows"),
    [
        ((2028, 2, 29), Windows("2028-02-29", "2028-W09", "2028-02")),
        ((2026, 12, 31), Windows("2026-12-31", "2026-W53", "2026-12")),
        ((2027, 1, 3), Windows("2027-01-03", "2026-W53", "2027-01")),
        ((2027, 1, 4), Windows("2027-01-04", "2027-W01", "2027-01")),
        ((2024, 12, 30), Windows("2024-12-30", "2025-W01", "2024-12")),
    ],
)
def test_days_weeks_and_months_have_their_names(now: tuple[int, ...], windows: Windows) -> None:
    assert windows_at(datetime(*now, tzinfo=UTC)) == windows


@given(
    now=INSTANTS,
    zone=st.sampled_from(ZONES),
    window=st.sampled_from(Window),
)
def test_a_window_keeps_its_name_to_its_end_and_the_next_has_another(now: datetime, zone: str, window: Window) -> None:
    name, end = windows_at(now, zone).name(window), ends_at(now, window, zone)

    assert now < end
    assert windows_at(end - INSTANT, zone).name(window) == name < windows_at(end, zone).name(window)


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Pacific/Kiritimati"])
def test_a_name_of_the_database_is_a_time_zone(name: str) -> None:
    assert is_time_zone(name)


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Phobos", "../../etc/passwd", "/etc/passwd", "a\0b", "x" * 5_000])
def test_anything_else_is_no_time_zone(name: str) -> None:
    assert not is_time_zone(name)


NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)
LAST_MOMENT = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after", "now", "begins"),
    [
        # The month has ended in the old zone and begun in the new one.
        ("UTC", "Europe/Berlin", NOVEMBER, (2026, 12, 1, 0)),
        ("Europe/Berlin", "UTC", NOVEMBER, (2026, 12, 1, 0)),
        ("UTC", "America/New_York", NOVEMBER, (2026, 12, 1, 5)),
        ("UTC", "Pacific/Pago_Pago", LAST_MOMENT, (2026, 12, 1, 11)),
        ("Pacific/Kiritimati", "Pacific/Pago_Pago", NOVEMBER, (2026, 12, 1, 11)),
        ("Pacific/Pago_Pago", "Pacific/Kiritimati", NOVEMBER, (2026, 12, 1, 11)),
        # In Kiritimati it is December already: the next month is January.
        ("Pacific/Kiritimati", "Pacific/Pago_Pago", LAST_MOMENT, (2027, 1, 1, 11)),
        ("Pacific/Pago_Pago", "Pacific/Kiritimati", LAST_MOMENT, (2026, 12, 1, 11)),
    ],
)
def test_a_changed_zone_counts_from_the_next_month_on(
    before: str, after: str, now: datetime, begins: tuple[int, ...]
) -> None:
    zone = TimeZone(before).changed(after, now)
    begin = datetime(*begins, tzinfo=UTC)

    assert zone == TimeZone(before, after, begin)
    assert (zone.at(now), zone.at(begin)) == (before, after)
    assert windows_at(begin - INSTANT, before).month <= windows_at(begin, after).month
    assert zone.settled(begin) == TimeZone(after)
    assert zone.settled(begin - INSTANT) == zone


def test_a_change_is_taken_back_by_the_present_zone_and_replaced_by_another() -> None:
    zone = TimeZone("UTC").changed("Asia/Tokyo", NOVEMBER)

    assert zone.changed("UTC", LAST_MOMENT) == TimeZone("UTC")
    assert zone.changed("Europe/Berlin", LAST_MOMENT) == TimeZone("UTC").changed("Europe/Berlin", LAST_MOMENT)
    assert TimeZone("UTC").changed("UTC", NOVEMBER) == TimeZone("UTC")


def test_between_zones_more_than_a_day_apart_no_day_comes_again() -> None:
    zone = TimeZone("Pacific/Kiritimati").changed("Pacific/Pago_Pago", NOVEMBER)
    hours = [datetime(2026, 12, 1, hour, tzinfo=UTC) for hour in (9, 10, 11)]

    assert [zone.at(now) for now in hours] == ["Pacific/Kiritimati", "UTC", "Pacific/Pago_Pago"]
    assert {windows_at(now, zone.at(now)).day for now in hours} == {"2026-12-01"}


Change = tuple[int, str]


def lived(start: datetime, changes: list[Change]) -> Iterator[tuple[datetime, Windows]]:
    """Yield the windows of a guild that changes its zone after so many hours each time, as time goes by.

    Every hour around the turn of a month, four times a day else, and the instants around each change.
    """
    zone, now = TimeZone(), start
    for hours, name in [*changes, (40 * 24, "UTC")]:
        stop = now + hours * HOUR
        turns = {zone.next_from - INSTANT, zone.next_from} if zone.next_from else set()
        steps = {now + step * HOUR for step in range(hours + 1)} | {turn for turn in turns if now <= turn <= stop}
        for moment in sorted(steps):
            if moment in turns or moment.day <= 2 or moment.day >= 28 or moment.hour % 6 == 0:
                yield moment, windows_at(moment, zone.at(moment))
        now = stop
        zone = zone.changed(name, now)


@settings(max_examples=150, deadline=None)
@given(
    start=INSTANTS,
    changes=st.lists(st.tuples(st.integers(0, 45 * 24), st.sampled_from(ZONES)), max_size=5),
)
@example(start=NOVEMBER, changes=[(0, "Pacific/Kiritimati"), (480, "Pacific/Pago_Pago"), (720, "Pacific/Kiritimati")])
@example(start=LAST_MOMENT, changes=[(0, "Pacific/Pago_Pago"), (9, "Pacific/Kiritimati"), (12, "Pacific/Pago_Pago")])
@example(start=LAST_MOMENT, changes=[(0, "Pacific/Kiritimati"), (24 * 31 + 10, "Etc/GMT+12"), (15, "Europe/Berlin")])
def test_no_window_comes_again_and_none_is_minted_whatever_zones_are_chosen(
    start: datetime, changes: list[Change]
) -> None:
    seen = list(lived(start, changes))

    for window in Window:
        names = [windows.name(window) for _, windows in seen]
        assert names == sorted(names)
    for moment, windows in seen:
        # It is that day somewhere on Earth.
        days = [(moment + hours * HOUR).strftime("%Y-%m-%d") for hours in (-12, 14)]
        assert days[0] <= windows.day <= days[1]
