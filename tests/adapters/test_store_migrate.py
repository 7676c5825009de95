"""Opening a database: migrations whole or not at all, one sentence when it cannot be, and one bot per database."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bot.adapters.store import migrate as migrating
from bot.adapters.store import sqlite
from bot.adapters.store.migrate import Migration, migrate, prepare, read_migrations, shipped_migrations
from bot.adapters.store.sqlite import only_one, open_store
from bot.domain.errors import StartFailed
from bot.domain.job import JobState
from bot.domain.store import Forgotten
from tests.adapters.store_fixtures import NOW, OUTSIDE, PRICE, UNLIMITED, USER, get, job_id_of

OLDEST_ROWS = (
    """
    INSERT INTO jobs (
        job_id, interaction_id, user_id, channel_id, created_at_ms, mode, prompt, resolution, duration_s, gateway,
        pinned, private, price_microusd, since_at_ms
    ) VALUES (:job_id, 1, 11, 31, :at_ms, 'text', 'a boat', '720p', 5, 'hiapi', 0, 0, 645000, :at_ms)
    """,
    """
    INSERT INTO ledger (job_id, kind, amount_microusd, freed_microusd, user_id, day, week, month, at_ms)
    VALUES (:job_id, 'hold', 645000, 0, 11, '2026-11-20', '2026-W47', '2026-11', :at_ms)
    """,
)
OLDEST_RUNNING = (
    "UPDATE jobs SET state = 'submitting', attempt_count = 1, submitted_at_ms = :at_ms WHERE job_id = :job_id",
    """
    INSERT INTO attempts (
        job_id, number, gateway, model, body, idempotency_key, callback_token, submitted_at_ms, month
    ) VALUES (:job_id, 1, 'hiapi', 'm', x'7B7D', 'k', 't', :at_ms, '2026-11')
    """,
    "UPDATE jobs SET state = 'running' WHERE job_id = :job_id",
    """
    UPDATE attempts SET gateway_job_id = :job_id, billed_microusd = 645000, billed_source = 'price'
    WHERE job_id = :job_id
    """,
)
OLDEST_STORED = (
    "UPDATE jobs SET state = 'finished', finished_at_ms = :at_ms WHERE job_id = :job_id",
    """
    INSERT INTO ledger (job_id, kind, amount_microusd, freed_microusd, user_id, day, week, month, at_ms)
    VALUES (:job_id, 'settle', 600000, 45000, 11, '2026-11-20', '2026-W47', '2026-11', :at_ms)
    """,
    """
    UPDATE jobs SET state = 'stored', video_name = 'v.mp4', video_bytes_count = 1, video_duration_s = 5,
        video_width = 1, video_height = 1, delivery = 'posted', delivery_since_ms = :at_ms, card_face = 'delivered'
    WHERE job_id = :job_id
    """,
)


@pytest.fixture(autouse=True)
def nothing_is_copied(monkeypatch):
    """Elsewhere a database begins as a copy of one that the migrations made; here they make every one."""
    monkeypatch.setattr(sqlite, "prepare", prepare)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallop.db"


@pytest.fixture
def db(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def schema(db):
    return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_the_shipped_migrations_are_numbered_without_gaps():
    assert [step.number for step in shipped_migrations()] == list(range(1, len(shipped_migrations()) + 1))


def test_migrations_are_read_by_number_and_other_files_left_alone(tmp_path):
    for name in ("0010_ten.sql", "0002_two.sql", "notes.txt", "0003_three.sql.bak"):
        (tmp_path / name).write_text("SELECT 1;")

    assert [step.number for step in read_migrations(tmp_path)] == [2, 10]


def test_opening_again_changes_nothing(path):
    prepare(path, busy_timeout_s=1)
    with closing(sqlite3.connect(path)) as db:
        before = (db.execute("PRAGMA schema_version").fetchone(), db.execute("SELECT * FROM migrations").fetchall())
    prepare(path, busy_timeout_s=1)
    with closing(sqlite3.connect(path)) as db:
        after = (db.execute("PRAGMA schema_version").fetchone(), db.execute("SELECT * FROM migrations").fetchall())

    assert after == before
    assert len(after[1]) == len(shipped_migrations())


async def test_a_job_of_the_oldest_schema_is_there_after_every_migration(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path, shipped_migrations()[:1])
        for statement in OLDEST_ROWS:
            db.execute(statement, {"job_id": job_id_of(1), "at_ms": int(NOW.timestamp() * 1000)})
    async with open_store(path) as store:
        job = await get(store, job_id_of(1))
        day = (await store.standings(OUTSIDE, limits=UNLIMITED, now=NOW))[0]

    assert (job.state, job.created_at, job.request.price_microusd) == (JobState.HELD, NOW, PRICE)
    assert (day.committed, day.on_hold) == (PRICE, PRICE)


async def test_running_and_settled_jobs_of_the_oldest_schema_go_on_and_are_erased(path):
    held, running, stored = (job_id_of(n) for n in (1, 2, 3))
    walks = {held: (), running: OLDEST_RUNNING, stored: OLDEST_RUNNING + OLDEST_STORED}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path, shipped_migrations()[:1])
        for number, (job_id, walk) in enumerate(walks.items()):
            for statement in (*OLDEST_ROWS, *walk):
                db.execute(
                    statement.replace("VALUES (:job_id, 1, 11", f"VALUES (:job_id, {number}, 11"),
                    {"job_id": job_id, "at_ms": int(NOW.timestamp() * 1000)},
                )
    async with open_store(path) as store:
        jobs = [await get(store, job_id) for job_id in walks]
        assert [job.state for job in jobs] == [JobState.HELD, JobState.RUNNING, JobState.STORED]
        assert [job.attempt and job.attempt.price_microusd for job in jobs] == [None, PRICE, PRICE]
        assert not any(job.forgotten or job.not_before for job in jobs)
        assert await store.loss_microusd(month="2026-11") == 45_000
        assert await store.refund(stored, amount_microusd=600_000, actor_id=9, reason="spoiled", now=NOW)
        assert await store.finish(running, address="https://v", until=None, billing=None, now=NOW)
        assert await store.forget(USER, now=NOW) == Forgotten(cancelled=1, erased=1, later=1)
        assert (await get(store, stored)).request.prompt == ""


def test_a_migration_that_breaks_halfway_leaves_nothing_and_goes_through_once_mended(db, path):
    first = Migration(1, "0001_first.sql", "CREATE TABLE a (x INTEGER) STRICT;\nINSERT INTO a VALUES (1);")
    broken = Migration(2, "0002_second.sql", "CREATE TABLE b (x INTEGER);\nDELETE FROM a;\nDELETE FROM nowhere;")
    mended = Migration(2, "0002_second.sql", "CREATE TABLE b (x INTEGER);\n-- no semicolon at the end\nDELETE FROM a")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(db, path, [first, broken])
    assert db.execute("SELECT number FROM migrations").fetchall() == [(1,)]
    assert db.execute("SELECT * FROM a").fetchall() == [(1,)]
    assert "b" not in dict(schema(db))
    migrate(db, path, [first, mended])

    assert db.execute("SELECT number FROM migrations").fetchall() == [(1,), (2,)]
    assert "b" in dict(schema(db))


def test_a_trigger_is_one_statement(db, path):
    sql = "CREATE TABLE a (x INTEGER);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\n  SELECT 1;\nEND;"
    migrate(db, path, [Migration(1, "0001_a.sql", sql)])
    db.execute("INSERT INTO a VALUES (1)")

    assert db.execute("SELECT * FROM a").fetchall() == []


def test_eight_programs_at_once_migrate_once(path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prepare(path, busy_timeout_s=30), range(8)))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM migrations").fetchone() == (len(shipped_migrations()),)


async def refusal(path):
    with pytest.raises(StartFailed) as failed:
        async with open_store(path, busy_timeout_s=0.01):
            pass
    return str(failed.value)


async def test_an_old_sqlite_is_refused(path, monkeypatch):
    monkeypatch.setattr(migrating, "SQLITE_MIN", (99, 1, 0))

    assert await refusal(path) == f"SQLite {sqlite3.sqlite_version} is too old: Gallop needs 99.1.0 or newer."
    assert not path.exists()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_text("dear diary, " * 100)

    assert await refusal(path) == f"{path} is not a database: move it away, or set DATABASE_URL to another file."
    assert path.read_text() == "dear diary, " * 100


async def test_somebody_elses_database_is_refused_and_left_alone(db, path):
    db.execute("CREATE TABLE theirs (x)")
    before = schema(db)

    assert "belongs to something else" in await refusal(path)
    assert schema(db) == before


async def test_a_newer_schema_is_refused(path):
    async with open_store(path):
        pass
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO migrations VALUES (99, '0099_later.sql', 0)")
    db.close()

    assert "was written by a newer Gallop (schema 99, this one knows" in await refusal(path)


async def test_a_database_somebody_else_keeps_locked_is_refused(db, path):
    db.execute("BEGIN EXCLUSIVE")

    assert "is locked by another program" in await refusal(path)


async def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    for path in (tmp_path / "file" / "gallop.db", tmp_path / "folder"):
        sentence = await refusal(path)
        assert sentence.startswith(f"The database {path} cannot be opened for writing (")
        assert sentence.endswith("check DATABASE_URL and the rights of its folder.")


async def test_the_folder_is_made_where_it_is_missing(tmp_path):
    async with open_store(tmp_path / "new" / "deep # one?" / "gallop.db") as store:
        await store.set_note("a", "x")
        assert await store.note("a") == "x"


def test_a_second_bot_on_a_database_is_refused_until_the_first_is_gone(path):
    with only_one(path), pytest.raises(StartFailed, match="Another Gallop already runs on"), only_one(path):
        pass
    with only_one(path):
        pass


def test_a_lock_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StartFailed, match="check the rights of its folder"), only_one(tmp_path / "file" / "gallop.db"):
        pass


def test_the_same_database_by_a_symbolic_link_has_the_same_lock(tmp_path):
    path, link = tmp_path / "gallop.db", tmp_path / "elsewhere" / "link.db"
    path.touch()
    link.parent.mkdir()
    link.symlink_to(path)
    with only_one(link), pytest.raises(StartFailed, match="Another Gallop already runs on"), only_one(path):
        pass
