"""Backups: whole while a bot writes, refused in one sentence, restored whole or not at all, nothing bought twice."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bot.adapters.store.backup import back_up, restore
from bot.adapters.store.migrate import migrate, prepare, shipped_migrations
from bot.adapters.store.sqlite import only_one, open_store
from bot.domain.errors import StartFailed
from bot.domain.job import FINAL_STATES, Ending, JobState
from tests.adapters.store_fixtures import (
    LATER,
    NOW,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    get,
    open_in,
    opening,
)

HELD_WITHOUT_HOLD = """
SELECT count(*) FROM jobs WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.job_id = jobs.job_id AND kind = 'hold')
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallop.db"


@pytest.fixture
def copy(tmp_path):
    return tmp_path / "backups" / "copy.db"


@pytest.fixture(autouse=True)
def folder(copy):
    copy.parent.mkdir()


def rows(path, sql):
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def write_note(path, value):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT OR REPLACE INTO notes VALUES ('which', ?)", (value,))


def note(path):
    return rows(path, "SELECT value FROM notes WHERE key = 'which'")


@pytest.fixture
def old_and_copy(path, copy):
    """A backup, and a database that was written to since."""
    prepare(path, busy_timeout_s=1)
    write_note(path, "backed up")
    back_up(path, copy)
    write_note(path, "newest")
    return path, copy


async def test_a_backup_during_twenty_writing_tasks_is_whole(path, copy):
    stop = asyncio.Event()

    async def write(store):
        while not stop.is_set():
            job = await store.open_job(opening())
            await store.cancel(job.job_id, user_id=USER, now=NOW)

    async with open_store(path) as store:
        await asyncio.gather(*(store.open_job(opening()) for _ in range(300)))
        before = len(await store.books())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(write(store))
            for _ in range(5):
                await asyncio.to_thread(back_up, path, copy.with_name("next.db"))
                copy.with_name("next.db").replace(copy)
            stop.set()
        after = len(await store.books())

    ((jobs,),) = rows(copy, "SELECT count(*) FROM jobs")
    assert before < jobs <= after
    assert rows(copy, HELD_WITHOUT_HOLD) == [(0,)]
    assert rows(copy, "SELECT count(*) * 645000 FROM jobs WHERE state = 'held'") == rows(
        copy, "SELECT on_hold_microusd FROM committed WHERE subject = 'bot'"
    )


def test_a_backup_is_one_file_for_its_owner_alone(old_and_copy):
    _, copy = old_and_copy

    assert [file.name for file in copy.parent.iterdir()] == ["copy.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    assert note(copy) == [("backed up",)]


def test_what_only_the_log_holds_is_in_the_backup(path, copy):
    prepare(path, busy_timeout_s=1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("INSERT INTO notes VALUES ('which', 'in the log')")
        db.commit()
        back_up(path, copy)

    assert note(copy) == [("in the log",)]


@pytest.mark.parametrize("kind", ["file", "folder", "itself", "link"])
def test_a_backup_over_something_is_refused(path, copy, kind):
    prepare(path, busy_timeout_s=1)
    before = path.read_bytes()
    if kind == "file":
        copy.write_text("precious")
    elif kind == "folder":
        copy.mkdir()
    elif kind == "link":
        copy.symlink_to(copy.with_name("nowhere"))
    target = path if kind == "itself" else copy
    with pytest.raises(StartFailed, match="is there already"):
        back_up(path, target)

    assert path.read_bytes() == before
    assert kind != "file" or copy.read_text() == "precious"


def test_a_backup_to_a_folder_there_is_not_is_refused(path, tmp_path):
    prepare(path, busy_timeout_s=1)
    with pytest.raises(StartFailed, match="check the rights of its folder"):
        back_up(path, tmp_path / "nowhere" / "copy.db")


def foreign(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE theirs (x)")


def newer(path):
    prepare(path, busy_timeout_s=1)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO migrations VALUES (99, '0099_later.sql', 0)")


def truncated(path):
    prepare(path, busy_timeout_s=1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def flipped(path):
    """Damage a page in the middle: the schema can be read, the contents cannot be trusted."""
    prepare(path, busy_timeout_s=1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs'")
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : (root - 1) * 4096 + 8] = b"\xff" * 8
    path.write_bytes(data)


WRONG = {
    "there is none": (lambda path: None, "There is no database"),
    "a folder": (Path.mkdir, "There is no database"),
    "empty": (Path.touch, "holds nothing of Gallop's"),
    "text": (lambda path: path.write_text("dear diary, " * 100), "is not a database"),
    "foreign": (foreign, "belongs to something else"),
    "newer": (newer, "was written by a newer Gallop"),
    "truncated": (truncated, "cannot be copied|is damaged"),
    "damaged": (flipped, "cannot be copied|is damaged"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_wrong_file_is_not_restored_and_the_database_stays(path, copy, wrong, there_is_one):
    make, match = WRONG[wrong]
    make(copy)
    if there_is_one:
        prepare(path, busy_timeout_s=1)
    before = path.read_bytes() if there_is_one else None
    with pytest.raises(StartFailed, match=match):
        restore(copy, path, now=NOW)

    assert (path.read_bytes() if path.exists() else None) == before
    assert {file.name for file in path.parent.iterdir()} <= {"gallop.db", "gallop.db.lock", "backups"}


@pytest.mark.parametrize("wrong", WRONG)
def test_no_backup_is_made_of_a_wrong_file(path, copy, wrong):
    make, match = WRONG[wrong]
    make(path)
    with pytest.raises(StartFailed, match=match):
        back_up(path, copy)

    assert list(copy.parent.iterdir()) == []


def test_the_database_itself_is_no_backup_to_restore(old_and_copy, tmp_path):
    path, _ = old_and_copy
    link = tmp_path / "link.db"
    link.symlink_to(path)
    for same in (path, link):
        with pytest.raises(StartFailed, match="is the database itself"):
            restore(same, path, now=NOW)

    assert note(path) == [("newest",)]


def test_nothing_is_restored_under_a_running_bot(old_and_copy):
    path, copy = old_and_copy
    with only_one(path), pytest.raises(StartFailed, match="stop it first"):
        restore(copy, path, now=NOW)

    assert note(path) == [("newest",)]


def test_nothing_is_restored_under_another_program(old_and_copy):
    path, copy = old_and_copy
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM notes").fetchall()
        with pytest.raises(StartFailed, match="cannot be kept aside"):
            restore(copy, path, now=NOW, busy_timeout_s=0.01)

    assert note(path) == [("newest",)]


def test_a_restore_keeps_the_old_database_aside_whole(old_and_copy):
    path, copy = old_and_copy
    first = restore(copy, path, now=NOW)
    write_note(path, "after the restore")
    second = restore(copy, path, now=NOW)

    assert (first, second) == (
        path.with_name("gallop.db.20261120T120000"),
        path.with_name("gallop.db.20261120T120000-1"),
    )
    assert (note(first), note(second), note(path)) == ([("newest",)], [("after the restore",)], [("backed up",)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert note(copy) == [("backed up",)]


def test_a_restore_to_where_there_is_none_keeps_nothing_aside(old_and_copy, tmp_path):
    _, copy = old_and_copy
    elsewhere = tmp_path / "new" / "gallop.db"

    assert restore(copy, elsewhere, now=NOW) is None
    assert note(elsewhere) == [("backed up",)]


@pytest.mark.parametrize("damage", [truncated, flipped, lambda path: path.write_text("dear diary, " * 100), Path.touch])
def test_a_damaged_database_is_kept_aside_too(old_and_copy, damage):
    path, copy = old_and_copy
    path.unlink()
    damage(path)
    before = path.read_bytes()
    aside = restore(copy, path, now=NOW)

    assert aside is not None
    assert aside.read_bytes() == before
    assert note(path) == [("backed up",)]


def test_a_log_left_behind_is_not_taken_for_the_restored_databases(old_and_copy):
    """SQLite would play an old write-ahead log back into whatever has the name of its database."""
    path, copy = old_and_copy
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE notes SET value = 'in the log'")
        db.commit()
        log = Path(f"{path}-wal").read_bytes()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)

    assert restore(copy, path, now=NOW) is None
    assert note(path) == [("backed up",)]
    assert path.with_name("gallop.db.20261120T120000-wal").read_bytes() == log


def test_a_backup_of_an_older_schema_is_brought_up_to_date(path, copy):
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        migrate(db, copy, shipped_migrations()[:1])
    restore(copy, path, now=NOW)

    assert rows(path, "SELECT max(number) FROM migrations") == [(len(shipped_migrations()),)]
    assert rows(copy, "SELECT max(number) FROM migrations") == [(1,)]


async def test_what_was_in_line_ends_unsubmitted_and_all_else_is_as_it_was(path, copy):
    async with open_store(path) as store:
        jobs = [await open_in(store, state) for state in JobState]
        returned = await open_in(store, JobState.SUBMITTING)
        await store.return_to_line(returned.job_id, number=1, gateway="hiapi", not_before=None, now=NOW)
        await asyncio.to_thread(back_up, path, copy)
    await asyncio.to_thread(restore, copy, path, now=LATER)
    async with open_store(path) as store:
        assert await store.note("restored_at") == LATER.isoformat()
        for job in [*jobs, returned]:
            restored = await get(store, job.job_id)
            if job.state is JobState.HELD or job is returned:
                assert (restored.state, restored.ending) == (JobState.FAILED, Ending.RESTORED)
                assert (restored.next_at, restored.charged_microusd) == (LATER, 0)
            else:
                assert restored == job
        unresolved = [state for state in JobState if state not in FINAL_STATES and state is not JobState.HELD]
        standings = await store.standings(SPENDER, limits=UNLIMITED, now=NOW)
        assert {standing.on_hold for standing in standings} == {len(unresolved) * PRICE}
        assert await store.failures_today(user_id=USER, now=LATER) == 2


async def test_a_backup_of_a_restored_database_can_be_restored(path, copy):
    async with open_store(path) as store:
        await open_in(store, JobState.HELD)
    await asyncio.to_thread(back_up, path, copy)
    for hour in range(2):
        await asyncio.to_thread(restore, copy, path, now=NOW + timedelta(hours=hour))
        copy.unlink()
        await asyncio.to_thread(back_up, path, copy)

    assert rows(copy, "SELECT value FROM notes WHERE key = 'restored_at'") == [
        ((NOW + timedelta(hours=1)).isoformat(),)
    ]
    assert rows(copy, "SELECT kind FROM ledger ORDER BY kind") == [("hold",), ("release",)]


# Does the work again and again, each time in a child that ends itself, as a kill would, a step later than the one
# before: at the nth time that it opens, links, renames or deletes a file. Says after each what is under the name.
KILLED = """
import os, sqlite3, sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from bot.adapters.store.backup import back_up, restore

def work(step):
    left = step
    def hook(event, args):
        nonlocal left
        left -= event in {"os.rename", "os.link", "os.remove", "open", "sqlite3.connect"}
        if left == 0:
            os._exit(9)
    sys.addaudithook(hook)
    if which == "restore":
        restore(source, target, now=datetime(2026, 11, 20, 12, tzinfo=UTC))
    else:
        back_up(source, target)
    os._exit(0)

which, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
code = None
while code != 0:
    step = 1 if code is None else step + 1
    child = os.fork()
    if child == 0:
        work(step)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9) and step < 200
    if not target.exists():
        print("nothing")
        continue
    with closing(sqlite3.connect(target)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        print(*db.execute("SELECT value FROM notes WHERE key = 'which'").fetchone())
    if which == "back_up":
        target.unlink()
"""


def killed(which, source, target):
    """Return what is under the target's name after each kill, and in the end."""
    command = [sys.executable, "-c", KILLED, which, str(source), str(target)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_a_restore_killed_anywhere_leaves_the_old_or_the_new_database(old_and_copy):
    path, copy = old_and_copy
    seen = killed("restore", copy, path)

    assert len(seen) > 8
    assert seen == ["newest"] * seen.count("newest") + ["backed up"] * seen.count("backed up")
    assert min(seen.count("newest"), seen.count("backed up")) > 1


def test_a_backup_killed_anywhere_is_whole_or_not_there(path, copy):
    prepare(path, busy_timeout_s=1)
    write_note(path, "newest")
    seen = killed("back_up", path, copy)

    assert len(seen) > 4
    assert seen == ["nothing"] * seen.count("nothing") + ["newest"] * seen.count("newest")
    assert min(seen.count("nothing"), seen.count("newest")) > 1
