"""Gateways that call back: the job is read at once, whoever calls, and nothing else of what they say counts."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.domain.job import JobState
from bot.sandbox import samples
from bot.sandbox.gateways.books import SandboxJob, Stand
from bot.sandbox.gateways.faults import CallbackFault, SubmitFault
from tests.scenarios.theatre import Theatre, theatre, videos

pytestmark = pytest.mark.wire

DEADLINE_S = 30.0
KEY = "a-signing-key-of-sixteen"
PICTURE = samples.balloon_webp()
GATEWAYS = ("shortapi", "hiapi", "pixeldojo")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def called_back(folder: Path, **settings: Any) -> AsyncIterator[Theatre]:
    """A bot that the gateways can reach, and that would not read a job by itself before an hour is over."""
    port = free_port()
    own = {"public_url": f"http://127.0.0.1:{port}", "http_port": str(port), "hiapi_signing_key": KEY}
    async with theatre(folder, **{**own, "watch_first_s": "3600", **settings}) as t:
        yield t


async def make(t: Theatre, gateway: str) -> Stand:
    options = {"prompt": "[Image 1] at sea", "gateway": gateway, "duration": 3}
    await t.command("video reference", options, pictures={"image1": PICTURE})
    stand: Stand = getattr(t.gateways, gateway)
    return stand


async def told(stand: Stand) -> SandboxJob:
    """Wait until the gateway's newest job has ended and its callbacks are through."""
    async with asyncio.timeout(DEADLINE_S):
        while not stand.jobs:  # noqa: ASYNC110 - an emulator rings no bell when a job comes
            await asyncio.sleep(0.01)
        job = list(stand.jobs.values())[-1]
        await job.called_back.wait()
    return job


@pytest.mark.parametrize("gateway", GATEWAYS)
async def test_a_callback_finishes_a_job_that_nobody_would_read_for_an_hour(tmp_path: Path, gateway: str) -> None:
    async with called_back(tmp_path) as t:
        stand = await make(t, gateway)
        await t.video()

        job = await told(stand)
        (book,) = await t.app.store.books()
        (attempt,) = await t.app.store.attempts(book.job_id)
        assert job.callback_statuses == [200]
        assert attempt.hinted_at is not None
        assert attempt.gateway_job_id == job.gateway_job_id
        assert attempt.callback_token in str(job.asked.callback_address)
        assert book.settled_microusd == book.billed_microusd > 0


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        (CallbackFault.TWICE, [200, 200]),
        (CallbackFault.EARLY, [200]),
        (CallbackFault.WRONG_ORDER, [200, 200]),
        (CallbackFault.GARBAGE, [200]),
        (CallbackFault.FOREIGN_ID, [200]),
    ],
)
async def test_however_it_comes_there_is_one_video_and_one_charge(
    tmp_path: Path, gateway: str, fault: CallbackFault, statuses: list[int]
) -> None:
    async with called_back(tmp_path) as t:
        getattr(t.gateways, gateway).faults.callback.append(fault)
        stand = await make(t, gateway)
        await t.video()

        job = await told(stand)
        (book,) = await t.app.store.books()
        (attempt,) = await t.app.store.attempts(book.job_id)
        assert job.callback_statuses == statuses
        assert attempt.gateway_job_id == job.gateway_job_id
        assert (book.state, book.settled_microusd) == (JobState.STORED, book.billed_microusd)
        assert (len(videos(t.channel)), len(stand.submissions)) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "statuses"), [(CallbackFault.FORGED, [401]), (CallbackFault.OVERSIZE, [413]), (CallbackFault.NEVER, [])]
)
async def test_a_callback_that_is_not_taken_changes_nothing(
    tmp_path: Path, fault: CallbackFault, statuses: list[int]
) -> None:
    async with called_back(tmp_path) as t:
        t.gateways.hiapi.faults.callback.append(fault)
        job = await told(await make(t, "hiapi"))

        (book,) = await t.app.store.books()
        (attempt,) = await t.app.store.attempts(book.job_id)
        assert job.callback_statuses == statuses
        assert (attempt.hinted_at, job.reads) == (None, 0)
        assert book.state in {JobState.SUBMITTING, JobState.RUNNING}


async def test_a_forged_failure_of_an_unsigned_gateway_fails_nothing(tmp_path: Path) -> None:
    async with called_back(tmp_path) as t:
        t.gateways.shortapi.faults.callback.append(CallbackFault.FORGED)
        stand = await make(t, "shortapi")
        await t.video()

        (book,) = await t.app.store.books()
        assert ((await told(stand)).callback_statuses, book.state) == ([200], JobState.STORED)


@pytest.mark.parametrize("gateway", ["shortapi", "pixeldojo"])
@pytest.mark.parametrize("fault", [SubmitFault.ACCEPT_THEN_DROP, SubmitFault.ACCEPT_WITHOUT_ID])
async def test_a_callback_heals_an_unconfirmed_submission(tmp_path: Path, gateway: str, fault: SubmitFault) -> None:
    async with called_back(tmp_path) as t:
        getattr(t.gateways, gateway).faults.submit.append(fault)
        stand = await make(t, gateway)
        await t.video()

        (book,) = await t.app.store.books()
        (attempt,) = await t.app.store.attempts(book.job_id)
        assert attempt.gateway_job_id == (await told(stand)).gateway_job_id
        assert (book.state, len(stand.submissions)) == (JobState.STORED, 1)


async def test_the_operator_sees_what_happened_and_nobody_else_does(tmp_path: Path) -> None:
    async with called_back(tmp_path) as t, aiohttp.ClientSession() as http:
        public = t.settings["public_url"]
        stand = await make(t, "shortapi")
        await t.card("discord.com/channels")
        await t.app.bot.wait_until_ready()
        (book,) = await t.app.store.books()
        (attempt,) = await t.app.store.attempts(book.job_id)

        _, text = await page(http, f"{public}/metrics", host="localhost")
        ready = await page(http, f"{public}/readyz", host="localhost")
        outside = [await page(http, f"{public}/{name}") for name in ("metrics", "readyz", "nothing")]

    assert ready == (200, "discord: ok\nstore: ok\ndisk: ok\n")
    assert outside == [(404, "404: Not Found")] * 3
    for line in (
        'gallop_jobs{gateway="shortapi",state="stored"} 1.0',
        'gallop_gateway_answers_total{call="submit",gateway="shortapi",outcome="ok",reason="none"} 1.0',
        'gallop_gateway_answers_total{call="fetch",gateway="shortapi",outcome="ok",reason="none"} 1.0',
        'gallop_time_to_video_seconds_count{gateway="shortapi"} 1.0',
        "gallop_delivery_lag_seconds_count 1.0",
        "gallop_open_holds 0.0",
        'gallop_breaker_state{gateway="shortapi"} 0.0',
    ):
        assert sorted_labels(line) in {sorted_labels(found) for found in text.splitlines()}
    private = (book.job_id, attempt.callback_token, str(t.member.id), str(t.guild.id), t.settings["shortapi_key"])
    assert [word for word in (*private, next(iter(stand.jobs))) if word in text] == []


def sorted_labels(line: str) -> str:
    return re.sub(r"\{(.*)\}", lambda labels: "{" + ",".join(sorted(labels[1].split(","))) + "}", line)


async def page(http: aiohttp.ClientSession, address: str, *, host: str | None = None) -> tuple[int, str]:
    async with http.get(address, headers={"Host": host} if host else {}) as answer:
        return answer.status, await answer.text()
