"""How the sandbox's gateways carry a job: step by step, with callbacks, limits and ends."""

import asyncio
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from bot.sandbox.gateways.faults import JobFault, SubmitFault
from bot.sandbox.gateways.server import RequestLimits
from bot.sandbox.gateways.works import Pace
from tests.adapters.gateway_cases import attempt_for, request_for, submission_for
from tests.adapters.gateway_stage import NAMES, Stage, stage

pytestmark = pytest.mark.wire
names = pytest.mark.parametrize("name", NAMES)


@dataclass
class Steps:
    """A sleep that ends when the test says so; each one is announced."""

    slept: list[float] = field(default_factory=list)
    begun: asyncio.Queue[asyncio.Event] = field(default_factory=asyncio.Queue)

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        gate = asyncio.Event()
        self.begun.put_nowait(gate)
        await gate.wait()

    async def next(self) -> asyncio.Event:
        return await self.begun.get()


async def submit(running: Stage, name: str, *, callback: str | None = None) -> str:
    gateway = running.gateway(name)
    submission = submission_for(request_for(gateway), addresses=running.picture_addresses(1), callback=callback)
    job_id: str = (await gateway.submit(attempt_for(gateway, submission, key=secrets.token_hex(8)))).gateway_job_id
    return job_id


async def status_of(running: Stage, name: str, job_id: str) -> Any:
    stand = running.stand(name)
    path = {
        "shortapi": f"/api/v1/job/query?id={job_id}",
        "hiapi": f"/v1/tasks/{job_id}",
        "pixeldojo": f"/api/v1/jobs/{job_id}",
    }[name]
    headers = {"Authorization": f"Bearer {stand.key}"}
    async with aiohttp.ClientSession() as client, client.get(stand.base_url + path, headers=headers) as response:
        body = await response.json()
    return body.get("data", body)["status"]


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("shortapi", [0, 1, 1, 2]),
        ("hiapi", ["queued", "handling", "archiving", "success"]),
        ("pixeldojo", ["pending", "processing", "processing", "completed"]),
    ],
)
async def test_a_job_walks_through_every_documented_status(name: str, statuses: list[object]) -> None:
    steps = Steps()
    async with stage(pace=Pace(job_s=10, sleep=steps.sleep)) as running:
        job_id = await submit(running, name)
        seen = []
        for _ in range(3):
            gate = await steps.next()
            seen.append(await status_of(running, name, job_id))
            gate.set()
        await running.ended(name)
        seen.append(await status_of(running, name, job_id))

    assert seen == statuses
    assert sum(steps.slept) == pytest.approx(10)


@names
async def test_a_job_that_never_finishes_stays_where_it_is(name: str) -> None:
    async with stage() as running:
        running.stand(name).faults.job.append(JobFault.NEVER_FINISHES)
        job_id = await submit(running, name)
        await submit(running, name)
        await running.ended(name)

        reading = await running.gateway(name).read(job_id)

    assert reading.progress == "running"


@pytest.mark.parametrize(
    ("name", "id_key", "status"),
    [("shortapi", "id", 2), ("hiapi", "taskId", "success"), ("pixeldojo", "jobId", "completed")],
)
async def test_a_finished_job_calls_back_with_the_bare_object(name: str, id_key: str, status: object) -> None:
    async with stage() as running:
        job_id = await submit(running, name, callback=f"{running.address}/callback")
        await running.stand(name).jobs[job_id].called_back.wait()

        headers, body = running.callbacks[0]

    payload = json.loads(body)
    assert (payload[id_key], payload["status"]) == (job_id, status)
    assert headers["content-type"] == "application/json"
    assert "x-hiapi-signature" not in headers


@names
async def test_a_failed_job_calls_back_too_and_a_job_without_an_address_does_not(name: str) -> None:
    async with stage() as running:
        running.stand(name).faults.job.append(JobFault.FAILS_REFUNDED)
        silent = await submit(running, name)
        await running.ended(name)
        running.stand(name).faults.job.append(JobFault.FAILS_REFUNDED)
        loud = await submit(running, name, callback=f"{running.address}/callback")
        await running.stand(name).jobs[loud].called_back.wait()

        assert running.stand(name).jobs[silent].callback_statuses == []
        assert len(running.callbacks) == 1


@names
async def test_a_callback_is_repeated_until_it_is_taken_and_then_given_up(name: str) -> None:
    async with stage(pace=Pace(job_s=0, callback_delays_s=(0, 0, 0))) as running:
        running.callback_statuses.extend([500, 404])
        first = await submit(running, name, callback=f"{running.address}/callback")
        await running.stand(name).jobs[first].called_back.wait()
        running.callback_statuses.extend([500] * 3)
        second = await submit(running, name, callback=f"{running.address}/callback")
        await running.stand(name).jobs[second].called_back.wait()

        assert running.stand(name).jobs[first].callback_statuses == [500, 404, 200]
        assert running.stand(name).jobs[second].callback_statuses == [500, 500, 500]


async def test_only_hiapi_signs_its_callbacks_and_only_with_a_key() -> None:
    async with stage(hiapi_signing_key="a-signing-key-of-some-length") as running:
        for name in NAMES:
            job_id = await submit(running, name, callback=f"{running.address}/callback")
            await running.stand(name).jobs[job_id].called_back.wait()

        signed = ["x-hiapi-signature" in headers for headers, _ in running.callbacks]
        headers, body = running.callbacks[1]

    message = headers["x-hiapi-timestamp"].encode() + b"." + body
    assert signed == [False, True, False]
    assert (
        headers["x-hiapi-signature"] == hmac.new(b"a-signing-key-of-some-length", message, hashlib.sha256).hexdigest()
    )


@names
async def test_links_expire(name: str) -> None:
    now = [datetime(2026, 11, 20, 12, tzinfo=UTC)]
    async with stage(pace=Pace(job_s=0, link_life_s=60, now=lambda: now[0])) as running:
        job_id = await submit(running, name)
        await running.ended(name)
        address = (await running.gateway(name).read(job_id)).video_address
        async with aiohttp.ClientSession() as client:
            statuses = []
            for later_s in (0, 59, 60):
                now[0] = datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(seconds=later_s)
                async with client.get(address) as response:
                    statuses.append(response.status)

    assert statuses == [200, 200, 403]


async def test_hiapi_says_409_while_the_first_submission_is_in_flight() -> None:
    async with stage() as running:
        stand = running.sandbox.hiapi
        stand.faults.submit.append(SubmitFault.STALL_THEN_ACCEPT)
        headers = {"Authorization": f"Bearer {stand.key}", "Idempotency-Key": "k", "Content-Type": "application/json"}
        body = json.dumps({"model": "happyhorse-1.1/text-to-video", "input": {"prompt": "A fox"}}).encode()
        async with aiohttp.ClientSession() as client:

            async def post() -> tuple[int, str | None]:
                async with client.post(f"{stand.base_url}/v1/tasks", data=body, headers=headers) as response:
                    return response.status, response.headers.get("Retry-After")

            first = asyncio.create_task(post())
            await stand.hanging.wait()
            second = await post()
            stand.released.set()

            assert second == (409, "5")
            assert await first == (200, None)
            assert await post() == (200, None)
            assert len(stand.jobs) == 1


@names
async def test_a_submission_can_be_taken_and_never_answered(name: str) -> None:
    async with stage() as running:
        running.stand(name).faults.submit.append(SubmitFault.ACCEPT_THEN_HANG)
        waiting = asyncio.create_task(submit(running, name))
        await running.stand(name).hanging.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert len(running.stand(name).jobs) == 1


async def test_the_documented_request_limits_hold_with_retry_after() -> None:
    async with stage(limits=RequestLimits()) as running:
        stand = running.sandbox.pixeldojo
        address = f"{stand.base_url}/api/v1/models/happyhorse-1.0-r2v"
        async with aiohttp.ClientSession() as client:
            answers = []
            for _ in range(11):
                async with client.get(address) as response:
                    answers.append((response.status, response.headers["X-RateLimit-Remaining"]))
                    retry_after = response.headers.get("Retry-After")

    assert answers == [(200, str(left)) for left in range(9, -1, -1)] + [(429, "0")]
    assert retry_after is not None
    assert 1 <= int(retry_after) <= 60


async def test_closing_ends_jobs_that_still_run() -> None:
    steps = Steps()
    async with stage(pace=Pace(job_s=10, sleep=steps.sleep)) as running:
        for name in NAMES:
            await submit(running, name)
            await steps.next()

    assert all(not job.ended.is_set() for name in NAMES for job in running.stand(name).jobs.values())
