"""What is read: what is due, who is in line, what is in flight, and what Discord was shown."""

import sqlite3
from collections import Counter, defaultdict
from datetime import timedelta

import pytest

from bot.adapters.store.accounts import COUNTS, LOSS
from bot.adapters.store.callbacks import UNCONFIRMED
from bot.adapters.store.content import HELD_OF, NOT_ERASED_OF, TO_ERASE, TO_FORGET, TOLD_OF
from bot.adapters.store.line import LINE
from bot.adapters.store.notices import GIVEN_UP
from bot.adapters.store.opening import FREE_JOBS
from bot.adapters.store.reads import DUE, DUE_HELD, DUE_READS, EVERY_JOB_OF, JOBS_OF, NEXT_DUE_AT, RUNNING, USUAL_TIMES
from bot.adapters.store.sqlite import open_store
from bot.adapters.store.standing import COMMITTED
from bot.domain.job import CardFace, Delivery, JobBook, JobState, LineEntry, MessageRef, Running
from bot.domain.request import Mode, Resolution
from tests.adapters.store_fixtures import (
    CARD,
    CHANNEL,
    GUILD,
    LATER,
    NOW,
    OTHER_USER,
    PRICE,
    USER,
    attempt,
    billing,
    get,
    open_in,
    opening,
    told,
)

SECOND = timedelta(seconds=1)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (DUE, "jobs_due"),
        (DUE_HELD, "jobs_due_held"),
        (DUE_READS, "jobs_due_reads"),
        (NEXT_DUE_AT, "jobs_next"),
        (JOBS_OF, "jobs_of_user"),
        (EVERY_JOB_OF, "jobs_of_user"),
        (LINE, "jobs_in_line"),
        (UNCONFIRMED, "jobs_unconfirmed"),
        (GIVEN_UP, "jobs_given_up"),
        (TO_ERASE, "jobs_to_erase"),
        (TO_FORGET, "jobs_to_forget"),
        (TOLD_OF, "jobs_of_user"),
        (NOT_ERASED_OF, "jobs_of_user"),
        (HELD_OF, "jobs_"),
        (FREE_JOBS, "jobs_of_user"),
        (COUNTS, "jobs_counts"),
        (LOSS, "committed_of_people"),
        (RUNNING, "jobs_in_flight"),
        (USUAL_TIMES, "jobs_usual_times"),
        (COMMITTED, "PRIMARY KEY"),
    ],
)
async def test_what_is_read_often_is_read_by_an_index_and_in_its_order(store, tmp_path, sql, index):
    with sqlite3.connect(tmp_path / "gallop.db") as db:
        values = defaultdict(int)
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    db.close()

    assert any(f"INDEX {index}" in step or f"USING {index}" in step for step in plan), plan
    assert not any(step.startswith("SCAN jobs") and "INDEX" not in step for step in plan), plan
    assert not any("SCAN committed" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


async def test_due_jobs_come_oldest_first_and_running_ones_apart(store):
    jobs = [await open_in(store, JobState.HELD, at=NOW - n * SECOND) for n in range(3)]
    running = [await open_in(store, JobState.RUNNING, at=NOW - n * SECOND) for n in range(2)]
    elsewhere = await open_in(store, JobState.RUNNING, gateway="shortapi")
    later = await open_in(store, JobState.HELD)
    await store.schedule(later.job_id, state=JobState.HELD, next_at=LATER)

    assert [job.job_id for job in await store.due(NOW, held=True, limit=9)] == [job.job_id for job in reversed(jobs)]
    assert len(await store.due(NOW, held=True, limit=2)) == 2
    assert await store.due(NOW, held=False, limit=9) == []
    assert await store.due_reads(NOW, gateway="hiapi", limit=9) == list(reversed(running))
    assert await store.due_reads(NOW, gateway="shortapi", limit=9) == [elsewhere]
    assert len(await store.due_reads(NOW, gateway="hiapi", limit=1)) == 1
    assert len(await store.due(LATER, held=True, limit=9)) == 4


async def test_every_job_of_a_person_is_told_also_forgotten_and_erased_ones_newest_first(store):
    ended = await told(store, JobState.STORED, at=NOW - 2 * SECOND)
    going = await open_in(store, JobState.RUNNING, at=NOW - SECOND)
    await open_in(store, JobState.HELD, user_id=OTHER_USER)
    await store.forget(USER, now=NOW)
    newest = await open_in(store, JobState.HELD)

    jobs = await store.every_job_of(USER)

    assert [job.job_id for job in jobs] == [newest.job_id, going.job_id, ended.job_id]
    assert [(job.forgotten, job.is_erased) for job in jobs] == [(False, False), (True, False), (True, True)]
    assert jobs[1:] == [await get(store, going.job_id), await get(store, ended.job_id)]


async def test_the_next_time_is_the_earliest_later_one(store):
    assert await store.next_due_at(after=NOW) is None
    job = await open_in(store, JobState.HELD)
    watched = await open_in(store, JobState.RUNNING)
    assert await store.next_due_at(after=NOW) is None
    assert await store.next_due_at(after=NOW - SECOND) == NOW
    await store.schedule(job.job_id, state=JobState.HELD, next_at=LATER)
    await store.schedule(watched.job_id, state=JobState.RUNNING, next_at=LATER - SECOND)

    assert await store.next_due_at(after=NOW) == LATER - SECOND


async def test_a_job_that_was_moved_is_not_scheduled_by_who_did_not_see_it(store):
    job = await open_in(store, JobState.CANCELLED)
    await store.schedule(job.job_id, state=JobState.HELD, next_at=LATER, slow=True)

    assert await get(store, job.job_id) == job


async def test_scheduling_changes_the_pace_only_when_asked(store):
    job = await open_in(store, JobState.RUNNING)
    await store.schedule(job.job_id, state=JobState.RUNNING, next_at=LATER, slow=True)
    await store.schedule(job.job_id, state=JobState.RUNNING, next_at=None)
    slow = await get(store, job.job_id)

    assert (slow.slow, slow.next_at, slow.since_at) == (True, None, job.since_at)


async def test_a_persons_jobs_come_newest_first(store):
    jobs = [await open_in(store, JobState.HELD, at=NOW + n // 2 * SECOND) for n in range(5)]
    await open_in(store, JobState.HELD, user_id=OTHER_USER)

    assert await store.jobs_of(USER, limit=3) == [jobs[4], jobs[3], jobs[2]]
    assert await store.jobs_of(99, limit=3) == []


async def test_the_line_is_every_held_job_and_ready_with_its_card(store):
    second = await open_in(store, JobState.HELD, guild_id=None)
    first = await open_in(store, JobState.HELD, at=NOW - SECOND)
    await open_in(store, JobState.RUNNING)
    await store.card_posted(second.job_id, card=CARD, face=CardFace.HELD)

    assert await store.line(NOW) == [
        LineEntry(first.job_id, USER, GUILD, "hiapi", NOW - SECOND, ready=False, pinned=first.request.pinned),
        LineEntry(second.job_id, USER, None, "hiapi", NOW, ready=True, pinned=second.request.pinned),
    ]


async def test_in_flight_are_submitting_and_running_jobs_that_are_not_overdue(store):
    hour = timedelta(hours=1)
    await open_in(store, JobState.SUBMITTING, at=NOW - 2 * hour)
    await open_in(store, JobState.RUNNING, at=NOW - 2 * hour)
    await open_in(store, JobState.RUNNING, gateway="shortapi", guild_id=None, user_id=OTHER_USER)
    for state in (JobState.HELD, JobState.UNCONFIRMED, JobState.FINISHED, JobState.STORED, JobState.FAILED):
        await open_in(store, state)

    assert await store.running(overdue_before=NOW - hour) == Running(
        Counter({USER: 1, OTHER_USER: 1}), Counter({GUILD: 1}), Counter({"hiapi": 1, "shortapi": 1})
    )
    assert await store.watched() == {"hiapi": 1, "shortapi": 1}


async def finish_after(store, seconds, at, **changes):
    job = await open_in(store, JobState.RUNNING, at=at, **changes)
    now = at + timedelta(seconds=seconds)
    await store.finish(job.job_id, address="https://v", until=None, billing=None, now=now)
    return job


async def test_usual_times_are_those_of_the_newest_fifty_of_that_kind(store):
    await finish_after(store, 900, NOW - timedelta(days=1))
    for n in range(50):
        await finish_after(store, 100.5 - n, NOW)
    await finish_after(store, 7, NOW, gateway="shortapi")
    kind = {"mode": Mode.REFERENCE, "resolution": Resolution.P720}
    times = await store.usual_times_s(gateway="hiapi", duration_s=5, **kind)

    assert times == [51.5 + n for n in range(50)]
    assert await store.usual_times_s(gateway="shortapi", duration_s=5, **kind) == [7.0]
    assert await store.usual_times_s(gateway="hiapi", duration_s=6, **kind) == []


async def test_cards_and_pictures_are_remembered_and_failed_tries_counted(store):
    job = await open_in(store, JobState.HELD)
    await store.card_failed(job.job_id)
    await store.card_failed(job.job_id)
    assert (await get(store, job.job_id)).card_count == 2
    await store.card_posted(job.job_id, card=CARD, face=CardFace.HELD)
    await store.pictures_posted(job.job_id, message=MessageRef(CHANNEL, 77))
    await store.card_failed(job.job_id)
    told = await get(store, job.job_id)

    assert (told.card, told.card_face, told.card_count) == (CARD, CardFace.HELD, 1)
    assert told.pictures_message == MessageRef(CHANNEL, 77)
    assert told.next_at == job.next_at
    await store.card_shown(job.job_id, face=CardFace.RENDERING)
    shown = await get(store, job.job_id)
    assert (shown.card_face, shown.card_count) == (CardFace.RENDERING, 0)


async def test_a_delivered_video_is_remembered_and_the_card_is_due(store):
    job = await open_in(store, JobState.STORED)
    await store.delivery_failed(job.job_id, next_at=LATER)
    failed = await get(store, job.job_id)
    assert (failed.delivery, failed.delivery_count, failed.next_at) == (Delivery.DUE, 1, LATER)
    message = MessageRef(CHANNEL, 88)
    assert await store.delivered(job.job_id, message=message, now=NOW)
    posted = await get(store, job.job_id)

    assert (posted.delivery, posted.video_message, posted.next_at) == (Delivery.POSTED, message, NOW)
    assert posted.delivery_since == job.delivery_since
    await store.delivery_failed(job.job_id, next_at=LATER)
    assert await get(store, job.job_id) == posted


async def test_a_delivery_given_up_is_over_and_the_card_is_due(store):
    job = await open_in(store, JobState.STORED)
    assert await store.give_up_delivery(job.job_id, now=LATER)
    kept = await get(store, job.job_id)

    assert (kept.delivery, kept.next_at, kept.face) == (Delivery.GIVEN_UP, LATER, CardFace.KEPT)


async def test_the_books_show_every_jobs_money_oldest_first(store):
    kinds = {"gateway": "hiapi", "mode": Mode.REFERENCE}
    stored = await open_in(store, JobState.STORED)
    free = await open_in(store, JobState.STORED, at=LATER, price_microusd=0, gateway="animatic")
    failed = await open_in(store, JobState.FAILED, at=NOW - SECOND)
    held = await open_in(store, JobState.HELD, at=LATER)
    await store.bill(stored.job_id, number=1, billing=billing(PRICE - 1))
    none = {"held_microusd": 0, "settled_microusd": 0, "released_microusd": 0, "refunded_microusd": 0}
    paid = none | {"held_microusd": PRICE, "billed_microusd": PRICE}

    assert await store.books() == [
        JobBook(failed.job_id, state=JobState.FAILED, **kinds, **paid | {"released_microusd": PRICE}),
        JobBook(
            stored.job_id,
            state=JobState.STORED,
            **kinds,
            **paid | {"settled_microusd": PRICE, "billed_microusd": PRICE - 1},
        ),
        JobBook(free.job_id, "animatic", Mode.REFERENCE, JobState.STORED, **none, billed_microusd=0),
        JobBook(held.job_id, state=JobState.HELD, **kinds, **paid | {"billed_microusd": 0}),
    ]


async def test_notes_are_replaced(store):
    assert await store.note("commands") is None
    await store.set_note("commands", "one")
    await store.set_note("commands", "two")

    assert await store.note("commands") == "two"
    assert not await store.paused()


async def test_the_newest_attempt_is_the_jobs_attempt_and_all_are_billed(store, tmp_path):
    job = await open_in(store, JobState.SUBMITTING)
    assert await store.return_to_line(job.job_id, number=1, gateway="hiapi", not_before=None, now=NOW)
    assert await store.begin_attempt(attempt(job, 2), next_at=NOW)
    await store.bill(job.job_id, number=1, billing=billing(3))
    again = await get(store, job.job_id)

    assert again.attempt == attempt(job, 2)
    assert again.attempt_count == 2
    assert await store.open_job(opening())


async def test_files_of_unfinished_and_undelivered_jobs_are_in_use(store):
    held = await open_in(store, JobState.HELD)
    await open_in(store, JobState.CANCELLED)
    assert await store.files_in_use() == {image.name for image in held.images}
    stored = await open_in(store, JobState.STORED)

    assert stored.video is not None
    assert stored.video.name in await store.files_in_use()
