"""A disk that is full or read-only for a while costs time, never money, and nothing that a gateway said."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from bot.domain.errors import StoreFailed, SubmissionRefused
from bot.domain.job import Delivery, JobState
from bot.domain.quota import Caps
from tests.domain.world import PRICE, world

LONG = "a horse gallops " * 300


@asynccontextmanager
async def sick(store, fault):
    """Let the real database refuse what needs the disk, until the block ends."""
    connection = store._writer._connection

    async def pragma(text):
        return (await connection.execute_fetchall(f"PRAGMA {text}"))[0:1]

    if fault == "read-only":
        await pragma("query_only = ON")
    else:
        (pages,) = await pragma("page_count")
        await pragma(f"max_page_count = {pages[0]}")
    try:
        yield
    finally:
        await pragma("query_only = OFF")
        await pragma("max_page_count = 1073741823")


async def money(w):
    return [(book.held_microusd, book.settled_microusd, book.released_microusd) for book in await w.store.books()]


@pytest.mark.parametrize("fault", ["read-only", "full"])
async def test_a_batch_of_commands_that_finds_no_room_holds_all_or_nothing_of_each(tmp_path, fault):
    async with world(tmp_path) as w:
        w.gateway.gate.clear()
        asks = [w.service.open(w.ask(user_id=user_id, prompt=LONG)) for user_id in range(1, 41)]
        async with sick(w.store, fault):
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, StoreFailed)]
        await w.settle()

        assert failed
        assert len(await w.store.books()) == len(outcomes) - len(failed)
        assert await money(w) == [(PRICE, 0, 0)] * (len(outcomes) - len(failed))
        standing = (await w.standings())[-1]
        assert standing.committed == PRICE * (len(outcomes) - len(failed))


async def test_a_read_only_disk_lets_nothing_be_submitted_and_jobs_go_on_when_it_can_be_written(tmp_path):
    async with world(tmp_path, caps=Caps(1, 10, 8)) as w:
        w.gateway.gate.clear()
        first, second = await w.open(), await w.open()
        w.gateway.gate.set()
        async with sick(w.store, "read-only"):
            await w.settle()
            await w.advance(60, step_s=1)
            assert len(w.gateway.submitted) == 1
            with pytest.raises(StoreFailed):
                await w.service.open(w.ask())
        await w.advance(90, step_s=1)

        assert [(await w.job(opened)).delivery for opened in (first, second)] == [Delivery.POSTED] * 2
        assert await money(w) == [(PRICE, PRICE, 0)] * 2
        assert len(w.gateway.submitted) == 2


@pytest.mark.parametrize("refused", [False, True])
async def test_what_a_gateway_answered_while_the_disk_was_read_only_is_written_when_it_can_be(tmp_path, refused):
    async with world(tmp_path) as w:
        if refused:
            w.gateway.submit_script.append(SubmissionRefused("hiapi", "no"))
        w.gateway.gate.clear()
        opened = await w.open()
        async with sick(w.store, "read-only"):
            w.gateway.gate.set()
            await w.settle()
            await w.advance(30, step_s=1)
            assert (await w.job(opened)).state is JobState.SUBMITTING
        await w.advance(2, step_s=1)

        assert (await w.job(opened)).state is (JobState.FAILED if refused else JobState.STORED)
        assert len(w.gateway.submitted) == 1
