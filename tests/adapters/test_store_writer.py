"""The one writer: groups, savepoints, cancelled callers, a full disk, a failed commit, another writer."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import StoreFailed
from bot.domain.job import JobState
from tests.adapters.store_fixtures import NOW, OUTSIDE, UNLIMITED, USER, attempt, get, open_in, opening

PROMISES = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallop.db"


@pytest.fixture
async def store(path):
    async with open_store(path, busy_timeout_s=0.02) as opened:
        yield opened


def rows(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def writer_pragma(store, pragma):
    return store._writer._connection.execute_fetchall(f"PRAGMA {pragma}")


async def test_the_connections_keep_the_promises_of_the_design(store):
    modes = {name: (await writer_pragma(store, name))[0][0] for name in PROMISES}

    assert modes == PROMISES
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await store._reader.execute_fetchall("INSERT INTO notes VALUES ('a', 'b')")


async def test_what_waits_together_is_committed_once_and_answered_in_order(store, path):
    commits = []
    await store._writer._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    answers = await asyncio.gather(*(store.set_note("key", str(n)) for n in range(100)))

    assert len(answers) == 100
    assert len(commits) == 1
    assert await store.note("key") == "99"


async def test_an_operation_sees_what_earlier_ones_of_its_group_wrote(store):
    asked = opening()
    job, moved = await asyncio.gather(store.open_job(asked), store.cancel(asked.job_id, user_id=USER, now=NOW))

    assert moved is True
    assert (await get(store, job.job_id)).state is JobState.CANCELLED


async def test_an_operation_that_breaks_is_undone_alone(store, path):
    def broken(db):
        db.execute("INSERT INTO notes VALUES ('broken', 'x')")
        raise KeyError("a bug")

    answers = await asyncio.gather(
        store.set_note("before", "x"), store._write(broken), store.set_note("after", "x"), return_exceptions=True
    )

    assert isinstance(answers[1], KeyError)
    assert rows(path, "SELECT key FROM notes") == [("after",), ("before",)]


async def test_a_statement_the_database_refuses_fails_its_operation_alone(store, path):
    answers = await asyncio.gather(
        store.set_note("before", "x"),
        store._write(lambda db: db.execute("INSERT INTO nowhere VALUES (1)")),
        store.set_note("key", None),
        store.set_note("after", "x"),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [type(None), StoreFailed, StoreFailed, type(None)]
    assert rows(path, "SELECT key FROM notes") == [("after",), ("before",)]


async def test_an_operation_that_answers_false_keeps_nothing(store, path):
    def changed_its_mind(db):
        db.execute("INSERT INTO notes VALUES ('half', 'x')")
        return False

    assert await store._write(changed_its_mind) is False
    assert rows(path, "SELECT * FROM notes") == []


async def test_a_caller_cancelled_anywhere_leaves_no_half_job_and_no_open_transaction(store, path):
    for steps in range(0, 400, 8):
        asked, neighbour = opening(), opening()
        task = asyncio.create_task(store.open_job(asked))
        other = asyncio.create_task(store.open_job(neighbour))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        assert (await other).job_id == neighbour.job_id
        held = rows(path, f"SELECT kind FROM ledger WHERE job_id = '{asked.job_id}'")  # noqa: S608
        assert held == ([("hold",)] if await store.job(asked.job_id) else [])
    assert not store._writer._connection.in_transaction


async def test_a_caller_cancelled_before_the_writer_comes_writes_nothing(store, path):
    task = asyncio.create_task(store.set_note("key", "value"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await store.set_note("other", "value")

    assert rows(path, "SELECT key FROM notes") == [("other",)]


async def test_a_full_disk_in_the_middle_answers_nobody_of_the_group(store, path, caplog):
    await store.set_note("kept", "x")
    ((pages,),) = await writer_pragma(store, "page_count")
    await writer_pragma(store, f"max_page_count = {pages + 3}")
    asked = opening()
    answers = await asyncio.gather(
        store.set_note("first", "x"),
        store.open_job(asked),
        store.set_note("large", "x" * 100_000),
        store.set_note("last", "x"),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [StoreFailed] * 4
    assert rows(path, "SELECT key FROM notes") == [("kept",)]
    assert await store.job(asked.job_id) is None
    assert "batch failed operations=4" in caplog.text
    assert "ended early" in caplog.text
    await writer_pragma(store, "max_page_count = 100000")
    await store.set_note("large", "x" * 100_000)
    assert (await store.open_job(asked)).job_id == asked.job_id


async def test_an_attempt_a_full_disk_cannot_take_is_not_begun(store, path):
    job = await open_in(store, JobState.HELD)
    ((pages,),) = await writer_pragma(store, "page_count")
    await writer_pragma(store, f"max_page_count = {pages}")
    with pytest.raises(StoreFailed):
        await store.begin_attempt(replace(attempt(job), body=b"x" * 100_000), next_at=NOW)

    assert await get(store, job.job_id) == job


async def test_a_commit_that_fails_answers_nobody_of_the_group(store, path):
    def dangling(db):
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("INSERT INTO job_images VALUES ('0000000000000000', 1, 'a', 'b', 1, 1, 1, '')")

    answers = await asyncio.gather(
        store.set_note("first", "x"), store._write(dangling), store.set_note("last", "x"), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [StoreFailed] * 3
    assert rows(path, "SELECT * FROM notes") == []
    await store.set_note("next", "x")
    assert rows(path, "SELECT key FROM notes") == [("next",)]


async def test_while_another_program_writes_operations_fail_and_the_writer_lives_on(store, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO switches VALUES ('paused')")
        answers = await asyncio.gather(store.set_note("a", "x"), store.open_job(opening()), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreFailed] * 2
        assert await store.note("a") is None
        other.execute("COMMIT")

    assert await store.paused()
    await store.set_note("a", "x")
    assert await store.note("a") == "x"


async def test_an_operation_waits_for_another_program_that_is_quick(path):
    async with open_store(path, busy_timeout_s=30) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(store.set_note("a", "x"))
            for _ in range(20):
                await asyncio.sleep(0)
            other.execute("COMMIT")
            await waiting

        assert await store.note("a") == "x"


async def test_each_written_answer_is_timed_and_no_refused_one(path):
    times_s = []
    async with open_store(path, observe=times_s.append) as store:
        await asyncio.gather(*(store.set_note(str(n), "x") for n in range(3)))
        await store.note("0")
        with pytest.raises(StoreFailed):
            await store.set_note("key", None)

    assert len(times_s) == 3
    assert min(times_s) > 0


async def test_what_is_asked_during_a_rewrite_waits_for_it(store):
    await asyncio.gather(*(store.set_note(str(n), "x" * 10_000) for n in range(50)), store.compact())

    assert await store.note("49") == "x" * 10_000


async def test_what_waits_at_the_close_is_still_written(path):
    async with open_store(path) as store:
        waiting = [asyncio.create_task(store.set_note(str(n), "x")) for n in range(300)]
        await asyncio.sleep(0)

    assert all(task.done() for task in waiting)
    await asyncio.gather(*waiting)
    assert len(rows(path, "SELECT * FROM notes")) == 300


async def test_a_closed_store_fails_every_operation(path):
    async with open_store(path) as store:
        pass

    with pytest.raises(StoreFailed):
        await store.set_note("a", "x")
    with pytest.raises(StoreFailed):
        await store.note("a")


async def test_an_error_in_the_body_closes_the_store_too(path):
    async def fail_inside():
        async with open_store(path) as store:
            await store.set_note("a", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    assert rows(path, "SELECT key FROM notes") == [("a",)]
    assert not any(task.get_name() == "store writer" for task in asyncio.all_tasks())


async def test_a_read_the_database_refuses_is_a_store_failure(store, path):
    await store._write(lambda db: db.execute("DROP TABLE committed"))

    with pytest.raises(StoreFailed):
        await store.standings(OUTSIDE, limits=UNLIMITED, now=NOW)
