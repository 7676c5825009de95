"""Deleting content: what goes, what stays in the books, and that nothing of it is left in the file."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.adapters.store import content
from bot.adapters.store.sqlite import open_store
from bot.domain.errors import StoreFailed
from bot.domain.job import FINAL_STATES, CardFace, Delivery, JobState
from bot.domain.store import Forgotten
from tests.adapters.store_fixtures import (
    CARD,
    IMAGE,
    LATER,
    NOW,
    OTHER_USER,
    PRICE,
    SPENDER,
    UNLIMITED,
    USER,
    VIDEO,
    accept,
    attempt,
    get,
    open_in,
    opening,
    told,
)

DAY = timedelta(days=1)
UNFINISHED = [state for state in JobState if state not in FINAL_STATES]
ENDS = sorted(FINAL_STATES)
SECRET = "SECRET-BOAT"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallop.db"


@pytest.fixture
async def store(path):
    async with open_store(path) as opened:
        yield opened


async def books(store):
    return (
        await store.books(),
        await store.entries_of(USER),
        await store.standings(SPENDER, limits=UNLIMITED, now=NOW),
    )


def is_erased(job):
    gone = (job.request.prompt, job.request.negative_prompt, job.images, job.video_address) == ("", None, (), None)
    return gone and (job.attempt is None or job.attempt.body == b"")


@pytest.mark.parametrize("state", ENDS)
async def test_an_erased_job_loses_its_content_and_keeps_its_books(store, state):
    job = await told(store, state)
    before = await books(store)
    assert await store.forget(USER, now=LATER) == Forgotten(cancelled=0, erased=1, later=0)
    erased = await get(store, job.job_id)

    assert is_erased(erased)
    assert erased.forgotten
    assert await books(store) == before
    kept = replace(erased, request=job.request, images=job.images, video_address=job.video_address, forgotten=False)
    assert replace(kept, attempt=None) == replace(job, attempt=None)
    if job.attempt is not None and erased.attempt is not None:
        assert replace(erased.attempt, body=job.attempt.body) == job.attempt


@pytest.mark.parametrize("state", [state for state in UNFINISHED if state is not JobState.HELD])
async def test_a_job_under_way_goes_on_to_its_end_and_is_erased_then(store, state):
    job = await open_in(store, state)
    assert await store.forget(USER, now=NOW) == Forgotten(cancelled=0, erased=0, later=1)
    assert await store.jobs_of(USER, limit=9) == [replace(job, forgotten=True)]
    assert await store.erase(before=NOW) == 0

    await end_and_tell(store, job)
    assert await store.erase(before=NOW - 9 * DAY) == 1
    assert is_erased(await get(store, job.job_id))


async def end_and_tell(store, job):
    """Take a job to its end from wherever it is."""
    job_id = job.job_id
    if job.state in {JobState.SUBMITTING, JobState.UNCONFIRMED}:
        await accept(store, job)
    if job.state is not JobState.FINISHED:
        assert await store.finish(job_id, address="https://v", until=None, billing=None, now=NOW)
    assert await store.store_video(job_id, video=VIDEO, settle_microusd=PRICE, now=NOW)
    assert await store.erase(before=LATER) == 0
    assert await store.delivered(job_id, message=CARD, now=NOW)
    assert await store.erase(before=LATER) == 0
    await store.card_shown(job_id, face=CardFace.DELIVERED)


async def test_a_held_job_is_cancelled_with_its_hold_and_erased_once_that_is_told(store):
    job = await open_in(store, JobState.HELD)
    assert await store.forget(USER, now=LATER) == Forgotten(cancelled=1, erased=0, later=0)
    cancelled = await get(store, job.job_id)
    assert (cancelled.state, cancelled.next_at, cancelled.charged_microusd) == (JobState.CANCELLED, LATER, 0)
    assert cancelled.request == job.request
    standings = await store.standings(SPENDER, limits=UNLIMITED, now=NOW)
    assert {standing.committed for standing in standings} == {0}
    assert await store.erase(before=NOW) == 0
    await store.card_shown(job.job_id, face=CardFace.CANCELLED)

    assert await store.erase(before=NOW) == 1


async def test_everything_at_once_is_counted(store):
    for state in JobState:
        await open_in(store, state)
    for state in ENDS:
        await told(store, state)
    await told(store, JobState.STORED, user_id=OTHER_USER)

    assert await store.forget(USER, now=NOW) == Forgotten(cancelled=1, erased=4, later=8)
    assert await store.forget(USER, now=NOW) == Forgotten(cancelled=0, erased=0, later=9)
    assert len(await store.jobs_of(OTHER_USER, limit=9)) == 1


async def test_a_person_without_jobs_is_forgotten_too(store):
    assert await store.forget(99, now=NOW) == Forgotten(0, 0, 0)


async def test_of_a_cancel_a_submission_and_a_forgetting_at_once_one_ends_the_job(store):
    async def race(*calls):
        job = await open_in(store, JobState.HELD)
        asked = {
            "cancel": lambda: store.cancel(job.job_id, user_id=USER, now=NOW),
            "begin": lambda: store.begin_attempt(attempt(job), next_at=NOW),
            "forget": lambda: store.forget(USER, now=NOW),
        }
        answers = await asyncio.gather(*(asked[call]() for call in calls))
        return (await get(store, job.job_id)).state, answers

    assert await race("cancel", "forget") == (JobState.CANCELLED, [True, Forgotten(0, 0, 1)])
    assert await race("forget", "cancel") == (JobState.CANCELLED, [Forgotten(1, 0, 1), False])
    assert await race("begin", "forget") == (JobState.SUBMITTING, [True, Forgotten(0, 0, 3)])
    assert await race("forget", "begin") == (JobState.CANCELLED, [Forgotten(1, 0, 3), False])


async def test_two_that_ask_to_forget_at_once_cancel_once(store):
    await open_in(store, JobState.HELD)
    first, second = await asyncio.gather(store.forget(USER, now=NOW), store.forget(USER, now=NOW))

    assert (first.cancelled, second.cancelled, second.later) == (1, 0, 1)


@pytest.mark.parametrize("state", ENDS)
async def test_content_is_erased_when_its_time_is_over_and_not_before(store, state):
    job = await told(store, state)
    young = await told(store, state, at=NOW + DAY)
    assert await store.erase(before=NOW) == 0
    assert await store.erase(before=NOW + DAY) == 1
    erased = await get(store, job.job_id)

    assert is_erased(erased)
    assert not erased.forgotten
    assert await store.jobs_of(USER, limit=9) == [young]
    assert await store.erase(before=NOW + DAY) == 0


@pytest.mark.parametrize("state", JobState)
async def test_what_people_have_not_seen_the_end_of_is_never_erased(store, state):
    job = await open_in(store, state)
    await store.card_posted(job.job_id, card=CARD, face=CardFace.RENDERING)

    assert await store.erase(before=NOW + 99 * DAY) == 0


async def test_a_given_up_delivery_is_erased_like_a_posted_one(store):
    job = await open_in(store, JobState.STORED)
    assert await store.give_up_delivery(job.job_id, now=NOW)
    await store.card_shown(job.job_id, face=CardFace.KEPT)

    assert await store.erase(before=LATER) == 1
    assert (await get(store, job.job_id)).delivery is Delivery.GIVEN_UP


async def test_an_erased_lost_job_takes_no_late_video_and_is_not_looked_at_again(store):
    job = await told(store, JobState.LOST)
    await store.forget(USER, now=NOW)
    await store.card_shown(job.job_id, face=CardFace.UNCONFIRMED)
    await store.schedule(job.job_id, state=JobState.LOST, next_at=LATER)
    await store.hint(job.job_id, number=1, gateway_job_id=None, now=LATER)
    await store.recover(LATER)
    await store.bring_forward(NOW - DAY)

    assert not await store.store_late_video(job.job_id, video=VIDEO, now=LATER)
    assert (await get(store, job.job_id)).next_at is None


async def test_files_of_erased_jobs_are_listed_until_they_are_deleted(store):
    await told(store, JobState.STORED)
    other = await told(store, JobState.STORED, user_id=OTHER_USER, images=(replace(IMAGE, name="other.jpg"),))
    assert await store.unwanted_files() == []
    await store.forget(USER, now=NOW)
    assert sorted(await store.unwanted_files()) == ["a.jpg", "b.png", "v.mp4"]
    await store.files_deleted(["a.jpg", "never.jpg"])
    assert sorted(await store.unwanted_files()) == ["b.png", "v.mp4"]
    await store.files_deleted(["b.png", "v.mp4"])

    assert await store.unwanted_files() == []
    assert (await get(store, other.job_id)).images[0].name == "other.jpg"


async def test_a_great_many_are_erased_a_thousand_at_a_time(store, monkeypatch):
    monkeypatch.setattr(content, "ERASED_AT_ONCE_MAX", 2)
    for _ in range(5):
        await told(store, JobState.CANCELLED)

    assert [await store.erase(before=LATER) for _ in range(4)] == [2, 2, 1, 0]


async def secret_job(store, sizes=(50, 400, 1)):
    """Open a told job that has the secret in everything that is content, that often in prompt, body and address."""
    in_prompt, in_body, in_address = sizes
    asked = opening(images=(replace(IMAGE, note=SECRET),))
    asked = replace(asked, request=replace(asked.request, prompt=SECRET * in_prompt, negative_prompt=SECRET))
    job = await store.open_job(asked)
    assert await store.begin_attempt(replace(attempt(job), body=SECRET.encode() * in_body), next_at=NOW)
    await accept(store, job)
    assert await store.finish(job.job_id, address=f"https://v/{SECRET * in_address}", until=None, billing=None, now=NOW)
    assert await store.store_video(job.job_id, video=VIDEO, settle_microusd=PRICE, now=NOW)
    assert await store.delivered(job.job_id, message=CARD, now=NOW)
    await store.card_posted(job.job_id, card=CARD, face=CardFace.DELIVERED)
    return job


def on_disk(path):
    return {file.name: file.read_bytes().count(SECRET.encode()) for file in path.parent.iterdir()}


async def test_nothing_of_what_was_forgotten_is_left_in_the_files(store, path):
    job = await secret_job(store)
    assert sum(on_disk(path).values()) > 100
    await store.forget(USER, now=NOW)

    assert set(on_disk(path).values()) == {0}
    assert is_erased(await get(store, job.job_id))


async def test_the_log_is_emptied_by_a_later_write_where_somebody_was_reading(store, path):
    await secret_job(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        await store.forget(USER, now=NOW)
        assert sum(on_disk(path).values()) > 0
        reader.execute("COMMIT")
    await store.set_note("a", "b")
    await store.set_note("a", "c")

    assert set(on_disk(path).values()) == {0}


async def test_a_rewritten_file_has_no_scraps_between_its_rows(store, path):
    """Growing rows of many sizes are moved from page to page, and SQLite leaves copies behind."""
    sizes = [(1 + n * 5 % 25, 1 + n * 7 % 30, 1 + n * 3 % 20) for n in range(160)]
    jobs = await asyncio.gather(*(secret_job(store, each) for each in sizes))
    await store.forget(USER, now=NOW)
    await store.compact()

    assert set(on_disk(path).values()) == {0}
    assert all([is_erased(await get(store, job.job_id)) for job in jobs])
    await store.set_note("a", "b")


async def test_a_file_that_cannot_be_rewritten_stays_as_it_is(store, path):
    job = await open_in(store, JobState.HELD)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await store._writer._connection.execute_fetchall("PRAGMA busy_timeout = 1")
        with pytest.raises(StoreFailed):
            await store.compact()

    assert await get(store, job.job_id) == job
