"""The schema refuses bad money by itself, whoever writes."""

import sqlite3
from itertools import product

import pytest

from bot.adapters.store.migrate import prepare
from bot.domain.job import MOVES, JobState
from tests.adapters.schema_rows import (
    ATTEMPT,
    ENTRY,
    JOB,
    JOB_ROW,
    PRICE,
    REFUND,
    RELEASE,
    SETTLE,
    be_refused,
    insert,
    move,
    refused,
)
from tests.adapters.store_fixtures import job_id_of


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "gallop.db"
    prepare(path, busy_timeout_s=1)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


@pytest.fixture
def held(db):
    insert(db, "jobs", JOB_ROW)
    insert(db, "ledger", ENTRY)
    return db


@pytest.fixture
def finished(held):
    move(held, "submitting", "running", "finished")
    return held


@pytest.fixture
def settled(finished):
    insert(finished, "ledger", SETTLE)
    return finished


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_a_second_hold_is_refused(held, verb):
    refused(held, "ledger", ENTRY, "has that entry", verb)


@pytest.mark.parametrize("second", [SETTLE, RELEASE])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_a_second_resolution_is_refused(settled, second, verb):
    refused(settled, "ledger", second, "has that entry|resolved once", verb)


def test_the_index_alone_refuses_a_second_resolution(settled):
    settled.execute("DROP TRIGGER ledger_resolves_its_hold")
    refused(settled, "ledger", RELEASE, "UNIQUE")


@pytest.mark.parametrize(
    "entry",
    [
        SETTLE | {"amount_microusd": PRICE + 1, "freed_microusd": 0},
        SETTLE | {"freed_microusd": 45_001},
        SETTLE | {"freed_microusd": 0},
        SETTLE | {"user_id": 12},
        SETTLE | {"guild_id": None},
        SETTLE | {"day": "2026-11-21"},
        SETTLE | {"week": "2026-W48"},
        SETTLE | {"month": "2026-12"},
        RELEASE | {"amount_microusd": 1, "freed_microusd": 1},
    ],
)
def test_a_resolution_that_is_not_exactly_its_hold_is_refused(finished, entry):
    refused(finished, "ledger", entry, "exactly its hold")


@pytest.mark.parametrize("entry", [SETTLE, RELEASE])
def test_a_resolution_without_a_hold_is_refused(db, entry):
    db.execute("DROP TRIGGER ledger_keeps_what_a_hold_was_made_under")
    insert(db, "jobs", JOB_ROW | {"price_microusd": 0})
    refused(db, "ledger", entry, "exactly its hold")


@pytest.mark.parametrize("states", [[], ["submitting"], ["submitting", "running"], ["submitting", "unconfirmed"]])
def test_an_unfinished_job_does_not_settle(held, states):
    move(held, *states)
    refused(held, "ledger", SETTLE, "only a finished job settles")


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY | {"amount_microusd": PRICE - 1},
        ENTRY | {"user_id": 12},
        ENTRY | {"guild_id": None},
        ENTRY | {"job_id": job_id_of(2)},
    ],
)
def test_a_hold_that_is_not_the_price_of_its_job_is_refused(db, entry):
    insert(db, "jobs", JOB_ROW)
    refused(db, "ledger", entry, "the price of a held job")


def test_a_refund_needs_a_settle(finished):
    refused(finished, "ledger", REFUND, "at most its settle")


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (REFUND | {"amount_microusd": 600_001, "freed_microusd": 600_001}, "at most its settle"),
        (REFUND | {"day": "2026-11-21"}, "at most its settle"),
        (REFUND | {"actor_id": None}, "CHECK"),
        (REFUND | {"reason": None}, "CHECK"),
        (REFUND | {"reason": ""}, "CHECK"),
        (REFUND | {"freed_microusd": 0}, "CHECK"),
    ],
)
def test_a_refund_over_its_settle_or_without_actor_or_reason_is_refused(settled, entry, match):
    refused(settled, "ledger", entry, match)


def test_a_second_refund_is_refused(settled):
    insert(settled, "ledger", REFUND)
    refused(settled, "ledger", REFUND, "has that entry")


@pytest.mark.parametrize("amount", [0, -1, 0.5, "many", None])
def test_an_amount_is_a_whole_number_above_zero(db, amount):
    for trigger in ("ledger_holds_the_price", "ledger_holds_know_their_windows"):
        db.execute(f"DROP TRIGGER {trigger}")
    insert(db, "jobs", JOB_ROW)
    refused(db, "ledger", ENTRY | {"amount_microusd": amount}, "CHECK|cannot store|NOT NULL")


@pytest.mark.parametrize("kind", ["gift", "", None])
def test_an_unknown_kind_is_refused(held, kind):
    refused(held, "ledger", ENTRY | {"kind": kind}, "CHECK|NOT NULL")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger SET amount_microusd = 1",
        "UPDATE OR REPLACE ledger SET kind = 'refund'",
        "DELETE FROM ledger",
        "DELETE FROM jobs",
        "UPDATE jobs SET price_microusd = 1",
        "UPDATE jobs SET user_id = 12",
        "UPDATE jobs SET job_id = '0000000000000009'",
    ],
)
def test_what_was_written_about_money_never_changes(held, sql):
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|FOREIGN KEY|does not change"):
        held.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE attempts SET body = x'00'",
        "UPDATE attempts SET body = x''",
        "UPDATE attempts SET idempotency_key = 'other'",
        "UPDATE attempts SET price_microusd = 1",
        "DELETE FROM attempts",
    ],
)
def test_what_was_sent_never_changes(held, sql):
    insert(held, "attempts", ATTEMPT)
    with pytest.raises(sqlite3.IntegrityError, match=r"does not change|never deleted"):
        held.execute(sql)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"price_microusd": -1}, "CHECK"),
        ({"price_microusd": 0.5}, "cannot store"),
        ({"state": "running"}, "begins as held"),
        ({"job_id": "short"}, "CHECK"),
        ({"job_id": "ABCDEFGHJKMNPQRS"}, "CHECK"),
        ({"mode": "sound"}, "CHECK"),
    ],
)
def test_a_job_with_a_bad_value_is_refused(db, changes, match):
    refused(db, "jobs", JOB_ROW | changes, match)


@pytest.mark.parametrize("changes", [{"job_id": job_id_of(2)}, {"interaction_id": 2}])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_an_interaction_or_a_job_id_is_used_once(db, changes, verb):
    insert(db, "jobs", JOB_ROW)
    refused(db, "jobs", JOB_ROW | changes, "written once", verb)


@pytest.mark.parametrize(("before", "after"), [pair for pair in product(JobState, repeat=2) if pair[0] != pair[1]])
def test_the_schema_knows_the_moves_of_the_domain(db, before, after):
    insert(db, "jobs", JOB_ROW | {"price_microusd": 0})
    ways = {
        "held": [],
        "submitting": ["submitting"],
        "unconfirmed": ["submitting", "unconfirmed"],
        "running": ["submitting", "running"],
        "finished": ["submitting", "running", "finished"],
        "stored": ["submitting", "running", "finished", "stored"],
        "cancelled": ["cancelled"],
        "failed": ["failed"],
        "lost": ["submitting", "unconfirmed", "lost"],
    }
    move(db, *ways[before])
    if (before, after) == ("held", "unconfirmed"):
        insert(db, "attempts", ATTEMPT | {"price_microusd": 0})
        db.execute("UPDATE jobs SET attempt_count = 1")
        with pytest.raises(sqlite3.IntegrityError, match="only a callback takes a job out of the line"):
            move(db, after)
        db.execute("UPDATE attempts SET hinted_at_ms = 1")

    if after in MOVES[before]:
        move(db, after)
    else:
        with pytest.raises(sqlite3.IntegrityError, match="cannot move that way"):
            move(db, after)


@pytest.mark.parametrize(
    ("way", "end"),
    [
        ([], "cancelled"),
        ([], "failed"),
        (["submitting", "unconfirmed"], "lost"),
        (["submitting", "running", "finished"], "stored"),
    ],
)
def test_no_job_ends_before_its_money_is_resolved(held, way, end):
    move(held, *way)
    with pytest.raises(sqlite3.IntegrityError, match="before the hold is resolved"):
        move(held, end)


def test_a_settle_does_not_end_a_job_as_failed(settled):
    with pytest.raises(sqlite3.IntegrityError, match="before the hold is resolved"):
        move(settled, "failed")


def test_nothing_is_submitted_without_an_open_hold(db):
    insert(db, "jobs", JOB_ROW)
    with pytest.raises(sqlite3.IntegrityError, match="without an open hold"):
        move(db, "submitting")
    insert(db, "ledger", ENTRY)
    insert(db, "ledger", RELEASE)
    with pytest.raises(sqlite3.IntegrityError, match="without an open hold"):
        move(db, "submitting")


@pytest.mark.parametrize(
    "changes", [{"billed_microusd": -1}, {"billed_microusd": 0.5}, {"billed_microusd": 5, "billed_source": None}]
)
def test_a_bad_bill_is_refused(held, changes):
    insert(held, "attempts", ATTEMPT)
    with pytest.raises(sqlite3.IntegrityError, match=r"CHECK|cannot store"):
        held.execute(
            "UPDATE attempts SET billed_microusd = :billed_microusd, billed_source = :billed_source",
            {"billed_source": "reported"} | changes,
        )


def test_a_gateway_job_id_belongs_to_one_attempt(held):
    insert(held, "attempts", ATTEMPT | {"gateway_job_id": "g"})
    insert(held, "attempts", ATTEMPT | {"number": 3, "gateway": "shortapi", "gateway_job_id": "g"})
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        insert(held, "attempts", ATTEMPT | {"number": 2, "gateway_job_id": "g"})


@pytest.mark.parametrize("price", [None, PRICE + 1, -1, 0.5])
def test_an_attempt_has_a_price_of_at_most_its_hold(held, price):
    refused(held, "attempts", ATTEMPT | {"price_microusd": price}, "at most its hold|CHECK|cannot store")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE attempts SET billed_microusd = NULL, billed_source = NULL",
        "UPDATE attempts SET billed_microusd = 1",
        "UPDATE attempts SET gateway_job_id = 'g'",
        "UPDATE jobs SET attempt_count = 2",
    ],
)
def test_only_what_was_certainly_refused_returns_to_the_line(held, sql):
    move(held, "submitting")
    be_refused(held)
    held.execute(sql)
    with pytest.raises(sqlite3.IntegrityError, match="certainly refused"):
        held.execute("UPDATE jobs SET state = 'held'")


@pytest.mark.parametrize("way", [["submitting"], ["submitting", "unconfirmed"], ["submitting", "running"]])
def test_only_a_held_job_changes_its_gateway(held, way):
    held.execute("UPDATE jobs SET gateway = 'shortapi'")
    move(held, *way)
    with pytest.raises(sqlite3.IntegrityError, match="only a held job"):
        held.execute("UPDATE jobs SET gateway = 'hiapi'")


def test_a_gateway_that_was_named_is_never_left(db):
    insert(db, "jobs", JOB_ROW | {"pinned": 1})
    with pytest.raises(sqlite3.IntegrityError, match="never left"):
        db.execute("UPDATE jobs SET gateway = 'shortapi'")


@pytest.mark.parametrize(
    "change",
    ["prompt = 'a ship'", "prompt = ''", "negative_prompt = 'rain'", "seed = 7", "duration_s = 6", "pinned = 1"],
)
def test_what_was_asked_for_does_not_change(held, change):
    with pytest.raises(sqlite3.IntegrityError, match="what was asked for"):
        held.execute(f"UPDATE jobs SET {change}")  # noqa: S608 - fixed text


@pytest.mark.parametrize("way", [[], ["submitting"], ["submitting", "unconfirmed"], ["submitting", "running"]])
def test_only_a_job_that_has_ended_is_erased(held, way):
    move(held, *way)
    with pytest.raises(sqlite3.IntegrityError, match="only a job that has ended"):
        held.execute("UPDATE jobs SET erased = 1, prompt = ''")


def test_a_job_whose_video_is_due_is_not_erased(settled):
    move(settled, "stored")
    settled.execute("UPDATE jobs SET delivery = 'due', delivery_since_ms = 1")
    with pytest.raises(sqlite3.IntegrityError, match="and was told"):
        settled.execute("UPDATE jobs SET erased = 1, prompt = ''")


@pytest.mark.parametrize(
    ("sql", "match"),
    [
        ("UPDATE jobs SET erased = 0", "stays erased"),
        ("UPDATE jobs SET forgotten = 0", "stays forgotten"),
        ("UPDATE jobs SET prompt = 'a boat'", "what was asked for"),
        ("UPDATE jobs SET video_address = 'https://v'", "nothing new"),
        ("UPDATE jobs SET video_name = 'v.mp4', video_bytes_count = 1", "nothing new"),
        ("UPDATE jobs SET next_at_ms = 1", "nothing new"),
        ("UPDATE jobs SET price_microusd = 0", "does not change"),
        ("UPDATE jobs SET state = 'held'", "cannot move that way"),
        ("UPDATE attempts SET body = x'00'", "does not change"),
        ("UPDATE ledger SET amount_microusd = 1", "append-only"),
        ("DELETE FROM ledger", "append-only"),
    ],
)
def test_an_erased_job_keeps_its_books_and_gets_nothing_new(held, sql, match):
    insert(held, "attempts", ATTEMPT)
    insert(held, "ledger", RELEASE)
    move(held, "cancelled")
    held.execute("UPDATE jobs SET forgotten = 1, erased = 1, prompt = ''")
    held.execute("UPDATE attempts SET body = x''")
    with pytest.raises(sqlite3.IntegrityError, match=match):
        held.execute(sql)


def test_a_picture_stays_as_it_is_until_its_job_is_erased(held):
    held.execute("INSERT INTO job_images VALUES (?, 1, 'a.jpg', 'image/jpeg', 1, 1, 1, '')", (JOB,))
    for sql in ("UPDATE job_images SET name = 'b.jpg'", "DELETE FROM job_images"):
        with pytest.raises(sqlite3.IntegrityError, match=r"does not change|until their job is erased"):
            held.execute(sql)
    insert(held, "ledger", RELEASE)
    move(held, "cancelled")
    held.execute("UPDATE jobs SET erased = 1, prompt = ''")
    held.execute("DELETE FROM job_images")


def test_an_attempt_that_has_its_id_is_hinted_at_no_more(held):
    insert(held, "attempts", ATTEMPT)
    for named in ("g", "h"):
        held.execute("UPDATE attempts SET hinted_gateway_job_id = ?", (named,))
    held.execute("UPDATE attempts SET gateway_job_id = 'h'")
    with pytest.raises(sqlite3.IntegrityError, match="hinted at no more"):
        held.execute("UPDATE attempts SET hinted_gateway_job_id = 'i'")
