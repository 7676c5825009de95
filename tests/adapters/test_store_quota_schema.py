"""The schema keeps the books of rules and grants by itself, whoever writes: windows, grants, the audit."""

import re
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from itertools import product

import pytest

from bot.adapters.store.migrate import migrate, shipped_migrations
from bot.adapters.store.opening import BLOCK, OPEN_GRANTS
from bot.adapters.store.standing import COMMITTED, FRAME, USED
from tests.adapters.schema_rows import ENTRY, JOB, JOB_ROW, PRICE, REFUND, RELEASE, SETTLE, insert, move, refused
from tests.adapters.store_fixtures import job_id_of

NOW_MS = 1_000
OTHER_JOB = job_id_of(2)
# The last day of the month in UTC is the next month's first in the guild's zone.
WINDOWS = {
    "day": "2026-11-30",
    "week": "2026-W49",
    "month": "2026-11",
    "guild_day": "2026-12-01",
    "guild_week": "2026-W49",
    "guild_month": "2026-12",
}
HOLD, SETTLED, RELEASED = (entry | WINDOWS for entry in (ENTRY, SETTLE, RELEASE))
OUTSIDE = {"guild_id": None, "channel_id": None, "guild_day": None, "guild_week": None, "guild_month": None}
GRANT = {
    "grant_id": 1,
    "guild_id": 21,
    "user_id": 11,
    "amount_microusd": 1_000_000,
    "expires_at_ms": NOW_MS,
    "reason": "a gift",
    "actor_id": 99,
    "at_ms": 1,
}
USE = {"job_id": JOB, "position": 1, "grant_id": 1, "amount_microusd": 100_000}
ACT = {
    "audit_id": 1,
    "guild_id": 21,
    "kind": "granted",
    "actor_id": 99,
    "at_ms": 1,
    "subject": "grant 1",
    "before": "",
    "after": "$1.00",
}
RULE = {"guild_id": 21, "scope": "member", "subject_id": 11}


def refunded(amount_microusd, **changes):
    return REFUND | WINDOWS | {"amount_microusd": amount_microusd, "freed_microusd": amount_microusd} | changes


@pytest.fixture
def db(tmp_path):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, tmp_path / "gallop.db", shipped_migrations())
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


@pytest.fixture
def asked(db):
    """A job without its hold, and a grant that could pay it."""
    insert(db, "jobs", JOB_ROW)
    insert(db, "grants", GRANT)
    return db


@pytest.fixture
def held(asked):
    """A job whose hold took something of a grant."""
    insert(asked, "grant_uses", USE)
    insert(asked, "ledger", HOLD | {"granted_microusd": USE["amount_microusd"]})
    return asked


def finish(db):
    move(db, "submitting", "running", "finished")


def forbidden(db, sql, match):
    with pytest.raises(sqlite3.IntegrityError, match=match):
        db.execute(sql)


def every(db, table):
    return db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - fixed text


@pytest.mark.parametrize("column", ["channel_id", "guild_day", "guild_week", "guild_month"])
def test_a_hold_in_a_guild_names_the_guilds_windows_and_its_channel(asked, column):
    refused(asked, "ledger", HOLD | {column: None}, "names the guild's windows and channel")


@pytest.mark.parametrize(
    ("taken", "granted", "match"),
    [
        ((), 1, "was taken from grants"),
        ((100_000,), 0, "was taken from grants"),
        ((100_000,), 99_999, "was taken from grants"),
        ((100_000, 1), 100_000, "was taken from grants"),
        ((PRICE + 1,), PRICE + 1, "at most the hold"),
        ((), -1, "CHECK|was taken from grants"),
    ],
)
def test_what_is_granted_on_a_hold_is_what_it_took_of_grants_and_at_most_its_amount(asked, taken, granted, match):
    for position, amount in enumerate(taken, start=1):
        insert(asked, "grant_uses", USE | {"position": position, "amount_microusd": amount})
    refused(asked, "ledger", HOLD | {"granted_microusd": granted}, match)


@pytest.mark.parametrize("entry", [SETTLED, RELEASED])
def test_only_a_hold_is_granted(held, entry):
    finish(held)
    refused(held, "ledger", entry | {"granted_microusd": 1}, "CHECK")


@pytest.mark.parametrize(
    "changes",
    [
        {"channel_id": 32},
        {"channel_id": None},
        {"guild_day": "2026-11-30"},
        {"guild_week": None},
        {"guild_month": "2026-11"},
    ],
)
@pytest.mark.parametrize("kind", ["settle", "release", "refund"])
def test_an_entry_belongs_to_the_guilds_windows_and_the_channel_of_its_hold(held, kind, changes):
    finish(held)
    if kind == "refund":
        insert(held, "ledger", SETTLED)
    entry = {"settle": SETTLED, "release": RELEASED, "refund": refunded(1)}[kind]
    refused(held, "ledger", entry | changes, "the windows and channel of its hold")


def test_an_entry_without_a_hold_is_refused(asked):
    refused(asked, "ledger", RELEASED, "the windows and channel of its hold")


def test_in_a_direct_message_there_are_no_guilds_windows_before_and_after(db):
    insert(db, "jobs", JOB_ROW | {"guild_id": None})
    insert(db, "ledger", HOLD | OUTSIDE)
    refused(db, "ledger", RELEASED | {"guild_id": None}, "the windows and channel of its hold")
    insert(db, "ledger", RELEASED | OUTSIDE)

    assert {row[:3] for row in every(db, "used")} == {(0, "person", 11)}


@pytest.mark.parametrize("by_operator", [-1, 2, None, "yes"])
def test_an_entry_is_an_operators_or_not(asked, by_operator):
    refused(asked, "ledger", HOLD | {"by_operator": by_operator}, "CHECK|NOT NULL|cannot store")


@pytest.mark.parametrize("column", ["user_jobs_max", "guild_jobs_max", "gateways"])
@pytest.mark.parametrize("value", ["NULL", "1"])
def test_what_a_hold_was_made_under_does_not_change(db, column, value):
    insert(db, "jobs", JOB_ROW | {"user_jobs_max": 2, "guild_jobs_max": 2, "gateways": '["hiapi"]'})
    forbidden(db, f"UPDATE jobs SET {column} = {value}", "made under does not change")  # noqa: S608 - fixed text


@pytest.mark.parametrize("changes", [{"user_jobs_max": -1}, {"guild_jobs_max": -1}, {"gateways": "hiapi"}])
def test_a_job_under_bad_terms_is_refused(db, changes):
    refused(db, "jobs", JOB_ROW | changes, "CHECK")


def test_a_job_goes_only_where_the_rules_allow(db):
    insert(db, "jobs", JOB_ROW | {"gateways": '["hiapi", "shortapi"]'})
    db.execute("UPDATE jobs SET gateway = 'shortapi'")
    forbidden(db, "UPDATE jobs SET gateway = 'pixeldojo'", "do not allow that gateway")
    insert(db, "jobs", JOB_ROW | {"job_id": OTHER_JOB, "interaction_id": 2})
    db.execute("UPDATE jobs SET gateway = 'pixeldojo' WHERE job_id = ?", (OTHER_JOB,))

    assert db.execute("SELECT gateway FROM jobs ORDER BY job_id").fetchall() == [("shortapi",), ("pixeldojo",)]


@pytest.mark.parametrize(
    "change",
    [
        "amount_microusd = 1000001",
        "amount_microusd = 999999",
        "expires_at_ms = 1001",
        "user_id = 12",
        "guild_id = 22",
        "grant_id = 2",
        "reason = 'none'",
        "actor_id = 98",
        "at_ms = 2",
    ],
)
def test_a_grant_only_ends_earlier(asked, change):
    forbidden(asked, f"UPDATE grants SET {change}", "only ends earlier")  # noqa: S608 - fixed text
    asked.execute("UPDATE grants SET expires_at_ms = 5")

    assert asked.execute("SELECT expires_at_ms FROM grants").fetchone() == (5,)


def test_a_grant_is_never_deleted(asked):
    forbidden(asked, "DELETE FROM grants", "never deleted")


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_a_grant_is_written_once(asked, verb):
    refused(asked, "grants", GRANT | {"amount_microusd": 9_000_000}, "written once", verb)


@pytest.mark.parametrize("amount", [0, -1, 0.5, None])
def test_a_grant_and_what_is_taken_of_it_are_whole_numbers_above_zero(asked, amount):
    refused(asked, "grants", GRANT | {"grant_id": 2, "amount_microusd": amount}, "CHECK|cannot store|NOT NULL")
    refused(asked, "grant_uses", USE | {"amount_microusd": amount}, "CHECK|cannot store|NOT NULL")


@pytest.mark.parametrize(
    "changes",
    [{"user_id": 12}, {"guild_id": 22}, {"expires_at_ms": JOB_ROW["created_at_ms"]}],
    ids=["somebody else's", "another guild's", "expired"],
)
def test_a_grant_is_used_by_its_member_in_its_guild_until_it_expires(asked, changes):
    insert(asked, "grants", GRANT | {"grant_id": 2} | changes)
    refused(asked, "grant_uses", USE | {"grant_id": 2}, "its member's, in its guild")


def test_a_grant_is_used_neither_in_direct_messages_nor_without_being_there(asked):
    insert(asked, "jobs", JOB_ROW | {"job_id": OTHER_JOB, "interaction_id": 2, "guild_id": None})
    refused(asked, "grant_uses", USE | {"job_id": OTHER_JOB}, "its member's, in its guild")
    refused(asked, "grant_uses", USE | {"grant_id": 9}, "its member's, in its guild")


def test_nothing_is_taken_of_a_grant_once_the_hold_is_made(held):
    refused(held, "grant_uses", USE | {"position": 2}, "a hold that is being made")


def test_nothing_is_taken_as_returned_already(asked):
    refused(asked, "grant_uses", USE | {"returned_microusd": 1}, "a hold that is being made")


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_a_use_is_written_once(asked, verb):
    insert(asked, "grant_uses", USE)
    refused(asked, "grant_uses", USE | {"amount_microusd": 1}, "written once", verb)


def test_a_grant_is_used_up_to_its_amount_and_again_as_far_as_it_was_returned(asked):
    insert(asked, "grant_uses", USE | {"amount_microusd": 600_000})
    insert(asked, "ledger", HOLD | {"granted_microusd": 600_000})
    insert(asked, "jobs", JOB_ROW | {"job_id": OTHER_JOB, "interaction_id": 2})
    refused(asked, "grant_uses", USE | {"job_id": OTHER_JOB, "amount_microusd": 400_001}, "used up")
    finish(asked)
    insert(asked, "ledger", SETTLED)
    refused(asked, "grant_uses", USE | {"job_id": OTHER_JOB, "amount_microusd": 445_001}, "used up")
    insert(asked, "grant_uses", USE | {"job_id": OTHER_JOB, "amount_microusd": 445_000})

    assert asked.execute("SELECT sum(amount_microusd - returned_microusd) FROM grant_uses").fetchone() == (1_000_000,)


@pytest.mark.parametrize(
    "change",
    [
        "amount_microusd = 100001",
        "amount_microusd = 99999",
        "position = 2",
        "grant_id = 2",
        f"job_id = '{OTHER_JOB}'",
        "returned_microusd = 44999",
        "returned_microusd = 45001",
    ],
)
def test_what_a_hold_took_of_a_grant_only_returns_and_at_most_what_was_freed(held, change):
    finish(held)
    insert(held, "ledger", SETTLED)
    assert held.execute("SELECT returned_microusd FROM grant_uses").fetchone() == (45_000,)
    forbidden(held, f"UPDATE grant_uses SET {change}", "only returns")  # noqa: S608 - fixed text


def test_of_several_grants_no_more_returns_than_was_freed(asked):
    insert(asked, "grants", GRANT | {"grant_id": 2})
    insert(asked, "grant_uses", USE | {"amount_microusd": 300_000})
    insert(asked, "grant_uses", USE | {"amount_microusd": 300_000, "position": 2, "grant_id": 2})
    insert(asked, "ledger", HOLD | {"granted_microusd": 600_000})
    finish(asked)
    insert(asked, "ledger", SETTLED)

    assert asked.execute("SELECT returned_microusd FROM grant_uses ORDER BY position").fetchall() == [(0,), (45_000,)]
    forbidden(asked, "UPDATE grant_uses SET returned_microusd = 1 WHERE position = 1", "only returns")


def test_what_a_hold_took_of_a_grant_is_never_deleted(held):
    forbidden(held, "DELETE FROM grant_uses", "never deleted")


@pytest.mark.parametrize(
    "sql",
    [
        *(
            f"UPDATE audit SET {column} = 2"  # noqa: S608 - fixed text
            for column in [*ACT, "user_id", "job_id"]
        ),
        "DELETE FROM audit",
    ],
)
def test_the_audit_is_append_only(db, sql):
    insert(db, "audit", ACT)
    forbidden(db, sql, "append-only")
    db.execute("UPDATE audit SET told = 1")

    assert every(db, "audit") == [(*ACT.values(), None, None, 1)]


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_an_act_is_written_once(db, verb):
    insert(db, "audit", ACT)
    refused(db, "audit", ACT | {"after": "$9.00"}, "append-only", verb)


GOOD_ROWS = [
    ("guilds", {"guild_id": 21}),
    ("rules", RULE),
    ("rules", RULE | {"scope": "pool", "subject_id": 0, "jobs_max": 1, "day_microusd": 0, "resolutions": '["720p"]'}),
    ("people", {"user_id": 11, "day_microusd": 0}),
    ("blocked_words", {"guild_id": 21, "word": "x", "is_pattern": 0, "actor_id": 1, "at_ms": 1}),
]
BAD_ROWS = [
    ({"scope": "guild"}, "CHECK"),
    ({"subject_id": 0}, "CHECK"),
    ({"scope": "everyone"}, "CHECK"),
    ({"scope": "pool"}, "CHECK"),
    ({"scope": "channel", "jobs_max": 1}, "CHECK"),
    *(({f"{window}_microusd": -1}, "CHECK") for window in ("day", "week", "month")),
    *(({f"{window}_videos": -1}, "CHECK") for window in ("day", "week", "month")),
    ({"day_microusd": 0.5}, "cannot store"),
    ({"jobs_max": 0}, "CHECK"),
    ({"duration_max_s": 0}, "CHECK"),
    *(({name: value}, "CHECK") for name, value in product(("resolutions", "gateways", "ratios"), ("[]", '"720p"'))),
]


@pytest.mark.parametrize(("table", "row"), GOOD_ROWS)
def test_what_managers_may_set_is_kept(db, table, row):
    insert(db, table, row)

    assert len(every(db, table)) == 1


@pytest.mark.parametrize(("changes", "match"), BAD_ROWS)
def test_a_rule_that_could_mean_nothing_is_refused(db, changes, match):
    refused(db, "rules", RULE | changes, match)


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("guilds", {"confirm_above_microusd": -1}),
        ("guilds", {"paused": 2}),
        ("guilds", {"channel_ids": "31,"}),
        ("guilds", {"role_ids": ""}),
        ("guilds", {"default_duration_s": 0}),
        ("guilds", {"retention_days": 0}),
        ("guilds", {"next_time_zone": "Europe/Paris"}),
        ("guilds", {"next_time_zone_from_ms": 1}),
        *(("people", {f"{name}_microusd": -1}) for name in ("confirm_above", "day", "week", "month")),
        ("blocked_words", {"word": ""}),
        ("blocked_words", {"is_pattern": 2}),
    ],
)
def test_a_setting_with_a_bad_value_is_refused(db, table, changes):
    refused(db, table, next(row for name, row in GOOD_ROWS if name == table) | changes, "CHECK")


def used(db, subject):
    """Return the figures of each calendar window of what is named, in the order of the columns."""
    rows = db.execute("SELECT * FROM used WHERE guild_id = ? AND subject = ? AND subject_id = ?", subject)
    return {row[3]: row[4:] for row in rows}


SUBJECTS = {
    (0, "person", 11): ("2026-11-30", "2026-W49", "2026-11"),
    (21, "member", 11): ("2026-12-01", "2026-W49", "2026-12"),
    (21, "channel", 31): ("2026-12-01", "2026-W49", "2026-12"),
    (21, "pool", 0): ("2026-12-01", "2026-W49", "2026-12"),
}
# What each hold takes of grants, in their order; what is written then; what is committed, on hold and granted of
# every window, the videos and those that grants paid; what each grant has back.
TWO, WHOLE = (100_000, 50_000), (500_000, PRICE - 500_000)
COUNTED = [
    ((), (), (PRICE, PRICE, 0, 1, 0), ()),
    ((), (SETTLED,), (600_000, 0, 0, 1, 0), ()),
    ((), (SETTLED, refunded(1)), (599_999, 0, 0, 1, 0), ()),
    ((), (SETTLED, refunded(600_000)), (0, 0, 0, 1, 0), ()),
    ((), (RELEASED,), (0, 0, 0, 0, 0), ()),
    (TWO, (), (PRICE, PRICE, 150_000, 1, 0), (0, 0)),
    (TWO, (SETTLED,), (600_000, 0, 105_000, 1, 0), (0, 45_000)),
    (TWO, (SETTLED, refunded(10_000)), (590_000, 0, 95_000, 1, 0), (5_000, 50_000)),
    (TWO, (SETTLED, refunded(105_000)), (495_000, 0, 0, 1, 0), TWO),
    (TWO, (SETTLED, refunded(600_000)), (0, 0, 0, 1, 0), TWO),
    (TWO, (RELEASED,), (0, 0, 0, 0, 0), TWO),
    (WHOLE, (), (PRICE, PRICE, PRICE, 1, 1), (0, 0)),
    (WHOLE, (SETTLED,), (600_000, 0, 600_000, 1, 1), (0, 45_000)),
    (WHOLE, (SETTLED, refunded(600_000)), (0, 0, 0, 1, 1), WHOLE),
    (WHOLE, (RELEASED,), (0, 0, 0, 0, 0), WHOLE),
]


@pytest.mark.parametrize(("taken", "entries", "figures", "returned"), COUNTED)
def test_each_entry_moves_the_windows_of_its_hold_and_returns_what_grants_paid_last_taken_first(
    asked, taken, entries, figures, returned
):
    insert(asked, "grants", GRANT | {"grant_id": 2})
    bystander = {"job_id": OTHER_JOB, "user_id": 12, "guild_id": 22, "channel_id": 32}
    insert(asked, "jobs", JOB_ROW | bystander | {"interaction_id": 2})
    insert(asked, "ledger", HOLD | bystander)
    for position, amount in enumerate(taken, start=1):
        insert(asked, "grant_uses", USE | {"position": position, "grant_id": position, "amount_microusd": amount})
    insert(asked, "ledger", HOLD | {"granted_microusd": sum(taken)})
    finish(asked)
    for entry in entries:
        insert(asked, "ledger", entry)

    for subject, windows in SUBJECTS.items():
        assert used(asked, subject) == dict.fromkeys(windows, figures)
    for subject in ((0, "person", 12), (22, "member", 12), (22, "channel", 32), (22, "pool", 0)):
        assert set(used(asked, subject).values()) == {(PRICE, PRICE, 0, 1, 0)}
    assert len(every(asked, "used")) == 24
    assert tuple(row[-1] for row in every(asked, "grant_uses")) == returned


@pytest.mark.parametrize(("by_operator", "ceilings"), [(1, 500_000), (0, 600_000)])
def test_only_an_operator_gives_back_what_the_operators_ceilings_count(held, by_operator, ceilings):
    finish(held)
    insert(held, "ledger", SETTLED)
    insert(held, "ledger", refunded(100_000, by_operator=by_operator))

    committed = held.execute("SELECT DISTINCT committed_microusd FROM committed WHERE subject IN ('user', 'guild')")
    assert committed.fetchall() == [(ceilings,)]
    assert {figures[0] for figures in used(held, (21, "pool", 0)).values()} == {500_000}


@dataclass(frozen=True)
class OldWay:
    """How far a job came before there were rules: its states and entries; the entry that frees the rest of it after.

    What it has committed, on hold and as videos comes with each.
    """

    states: tuple[str, ...]
    entries: tuple[dict, ...]
    figures: tuple[int, int, int]
    last: dict | None
    figures_after: tuple[int, int, int]


UNDER_WAY, FREED = (PRICE, PRICE, 1), (0, 0, 0)
STORED = ("submitting", "running", "finished", "stored")
REFUND_ALL = REFUND | {"amount_microusd": 600_000, "freed_microusd": 600_000}
OLD_WAYS = [
    OldWay((), (), UNDER_WAY, RELEASE, FREED),
    OldWay(("submitting",), (), UNDER_WAY, RELEASE, FREED),
    OldWay(("submitting", "unconfirmed"), (), UNDER_WAY, RELEASE, FREED),
    OldWay(("submitting", "running"), (), UNDER_WAY, RELEASE, FREED),
    OldWay(("submitting", "running", "finished"), (), UNDER_WAY, SETTLE, (600_000, 0, 1)),
    OldWay(STORED, (SETTLE,), (600_000, 0, 1), REFUND_ALL, (0, 0, 1)),
    OldWay(STORED, (SETTLE, REFUND), (599_999, 0, 1), None, (599_999, 0, 1)),
    OldWay(STORED, (SETTLE, REFUND_ALL), (0, 0, 1), None, (0, 0, 1)),
    OldWay(("cancelled",), (RELEASE,), FREED, None, FREED),
    OldWay(("submitting", "running", "failed"), (RELEASE,), FREED, None, FREED),
    OldWay(("submitting", "unconfirmed", "lost"), (RELEASE,), FREED, None, FREED),
]
OLD_PLACES = [
    {"user_id": 11, "guild_id": 21, "channel_id": 31},
    {"user_id": 12, "guild_id": 21, "channel_id": 32},
    {"user_id": 11, "guild_id": None, "channel_id": 41},
]
OLD_DAYS = ("2026-11-20", "2026-11-21")
# The number of a job, its place, its day and its way.
OLD_JOBS = [(n, *one) for n, one in enumerate(product(OLD_PLACES, OLD_DAYS, OLD_WAYS), start=1)]
NEW_COLUMNS = {"channel_id", "guild_day", "guild_week", "guild_month"}


def insert_old(db, entry, number, place, day):
    whose = {"job_id": job_id_of(number), "day": day, "user_id": place["user_id"], "guild_id": place["guild_id"]}
    insert(db, "ledger", {name: value for name, value in (entry | whose).items() if name not in NEW_COLUMNS})


@pytest.fixture
def migrated(tmp_path):
    """A database of the second schema with every job of `OLD_JOBS`, and a free one, brought up to date."""
    path = tmp_path / "gallop.db"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, path, shipped_migrations()[:2])
        insert(connection, "jobs", JOB_ROW | {"job_id": job_id_of(0), "interaction_id": 0, "price_microusd": 0})
        for number, place, day, way in OLD_JOBS:
            ids = {"job_id": job_id_of(number), "interaction_id": number}
            insert(connection, "jobs", JOB_ROW | place | ids)
            insert_old(connection, ENTRY, number, place, day)
            move(connection, *way.states[:-1], job_id=job_id_of(number))
            for entry in way.entries:
                insert_old(connection, entry, number, place, day)
            move(connection, *way.states[-1:], job_id=job_id_of(number))
        migrate(connection, path, shipped_migrations())
        yield connection


def old_sums(figures_of):
    """Add up what the old jobs use of every window; grants paid nothing of it."""
    sums = defaultdict(Counter)
    for _, place, day, way in OLD_JOBS:
        user_id, guild_id, channel_id = place.values()
        subjects = [(0, "person", user_id)]
        if guild_id is not None:
            subjects += [(guild_id, "member", user_id), (guild_id, "channel", channel_id), (guild_id, "pool", 0)]
        committed, on_hold, videos = figures_of(way)
        for subject, window in product(subjects, (day, "2026-W47", "2026-11")):
            sums[*subject, window].update(committed=committed, on_hold=on_hold, videos=videos)
    return {key: (found["committed"], found["on_hold"], 0, found["videos"], 0) for key, found in sums.items()}


def test_what_jobs_of_before_the_rules_use_is_counted_when_the_rules_come(migrated):
    assert {row[:4]: row[4:] for row in every(migrated, "used")} == old_sums(lambda way: way.figures)


def test_what_jobs_of_before_the_rules_free_lowers_the_windows_of_their_holds(migrated):
    for number, place, day, way in OLD_JOBS:
        if way.last is not None:
            insert_old(migrated, way.last, number, place, day)

    assert {row[:4]: row[4:] for row in every(migrated, "used")} == old_sums(lambda way: way.figures_after)


def plan(db, sql):
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", defaultdict(int))]


def assert_searched(db, sql, *searches):
    steps = plan(db, sql)
    assert not [step for step in steps if SCANS.match(step)], steps
    for search in searches:
        assert any(step.startswith(search) for step in steps), (search, steps)


def statements(db, trigger):
    """Return a trigger's statements as queries, with parameters in the place of its rows."""
    (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (trigger,)).fetchone()
    body = sql[sql.index("BEGIN") + len("BEGIN") : sql.rindex("END")]
    body = re.sub(r"RAISE\(ABORT, '(?:[^']|'')*'\)", "1", body)
    return [statement for statement in re.sub(r"\b(?:NEW|OLD)\.", ":", body).split(";") if statement.strip()]


SCANS = re.compile(r"SCAN (used|committed|rules|ledger|grants|grant_uses|guilds|people|jobs|audit)\b")
USED_ROW = "SEARCH used USING PRIMARY KEY (guild_id=? AND subject=? AND subject_id=? AND calendar_window=?)"
GRANTS = (
    "SEARCH grants USING INDEX grants_of_member (guild_id=? AND user_id=? AND expires_at_ms>?)",
    "SEARCH grant_uses USING COVERING INDEX grant_uses_of_grant (grant_id=?)",
)
FRAME_ROWS = (
    "SEARCH rules USING PRIMARY KEY (guild_id=?",
    "SEARCH guilds USING INTEGER PRIMARY KEY",
    "SEARCH people USING INTEGER PRIMARY KEY",
)
COMMITTED_ROW = "SEARCH committed USING PRIMARY KEY (subject=? AND subject_id=? AND calendar_window=?)"


@pytest.mark.parametrize(
    ("sql", "searches"),
    [
        pytest.param(FRAME, FRAME_ROWS, id="frame"),
        pytest.param(USED, (USED_ROW, *GRANTS), id="used"),
        pytest.param(COMMITTED, (COMMITTED_ROW,), id="committed"),
        pytest.param(OPEN_GRANTS, GRANTS, id="open grants"),
        pytest.param(BLOCK, ("SEARCH blocks USING PRIMARY KEY (guild_id=? AND user_id=?)",), id="block"),
    ],
)
def test_what_a_limit_check_reads_is_searched_by_an_index(db, sql, searches):
    assert_searched(db, sql, *searches)


def test_what_is_freed_is_counted_by_an_index(db):
    count_what_is_freed, return_to_grants = statements(db, "used_counts_what_is_freed")

    assert_searched(db, count_what_is_freed, USED_ROW, "SEARCH ledger USING PRIMARY KEY (job_id=?")
    assert_searched(db, return_to_grants, "SEARCH grant_uses USING PRIMARY KEY (job_id=?)")


@pytest.mark.parametrize("table", ["jobs", "ledger", "grants", "grant_uses", "audit"])
def test_every_check_of_the_schema_searches_by_an_index(db, table):
    triggers = db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (table,)).fetchall()

    assert triggers
    for (trigger,) in triggers:
        for statement in statements(db, trigger):
            assert_searched(db, statement)
