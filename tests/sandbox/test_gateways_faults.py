"""The sandbox's gateways fail as they are told: by chance, by name, in their answers, bills, keys and callbacks."""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import aiohttp
import pytest

from bot.sandbox.gateways.callbacks import OVERSIZE_BYTES
from bot.sandbox.gateways.faults import (
    BillFault,
    CallbackFault,
    Chance,
    Faults,
    JobFault,
    KeyFault,
    MediaFault,
    ReadFault,
    Refused,
    SubmitFault,
)
from bot.sandbox.gateways.works import Pace
from tests.adapters.gateway_stage import MP4, NAMES, Stage, stage

pytestmark = pytest.mark.wire
names = pytest.mark.parametrize("name", NAMES)

SIGNING_KEY = "a-signing-key-of-some-length"
PATHS = {
    "shortapi": ("/api/v1/job/create", "/api/v1/job/query?id={}"),
    "hiapi": ("/v1/tasks", "/v1/tasks/{}"),
    "pixeldojo": ("/api/v1/models/happyhorse-1.0-r2v/run", "/api/v1/jobs/{}"),
}
ID_KEYS = {"shortapi": "id", "hiapi": "taskId", "pixeldojo": "jobId"}


class Answer(NamedTuple):
    """What came back; status 0 stands for a dropped connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def body_for(running: Stage, name: str, *, callback: bool = False) -> dict[str, Any]:
    address = f"{running.address}/callback"
    match name:
        case "shortapi":
            args = {"prompt": "A fox", "resolution": "720P", "ratio": "16:9", "duration": 5}
            model = {"model": "alibaba/happyhorse-1.0/text-to-video", "args": args}
            return model | ({"callback_url": address} if callback else {})
        case "hiapi":
            model = {"model": "happyhorse-1.1/text-to-video", "input": {"prompt": "A fox", "resolution": "720p"}}
            return model | ({"callback": {"url": address}} if callback else {})
        case _:
            pictures = {"prompt": "A fox", "reference_urls": [f"{running.address}/files/good.jpg"], "duration": 5}
            return pictures | ({"webhook_url": address} if callback else {})


async def ask(running: Stage, method: str, address: str, **more: Any) -> Answer:
    try:
        async with aiohttp.ClientSession() as client, client.request(method, address, **more) as response:
            return Answer(response.status, dict(response.headers), await response.read())
    except aiohttp.ServerDisconnectedError:
        return Answer(0, {}, b"")


async def post(running: Stage, name: str, *, key: str = "", callback: bool = False, **changes: Any) -> Answer:
    stand = running.stand(name)
    headers = {"Authorization": f"Bearer {stand.key}"} | ({"Idempotency-Key": key} if key else {})
    body = body_for(running, name, callback=callback) | changes
    return await ask(running, "POST", stand.base_url + PATHS[name][0], json=body, headers=headers)


async def read(running: Stage, name: str, gateway_job_id: str) -> Answer:
    stand = running.stand(name)
    headers = {"Authorization": f"Bearer {stand.key}"}
    return await ask(running, "GET", stand.base_url + PATHS[name][1].format(gateway_job_id), headers=headers)


@pytest.fixture
async def running() -> AsyncIterator[Stage]:
    async with stage(hiapi_signing_key=SIGNING_KEY) as opened:
        yield opened


def drawn(seed: int, *, share: float = 0.2, count: int = 5_000) -> list[StrEnum | None]:
    faults = Faults(chance=Chance(share=share, seed=seed))
    return [faults.next_submit() for _ in range(count)]


def test_chance_lets_the_asked_share_fail_in_every_way_listed() -> None:
    met = [fault for fault in drawn(1) if fault]

    assert len(met) == pytest.approx(1_000, rel=0.1)
    assert set(met) == {*SubmitFault, *Refused}


@pytest.mark.parametrize(
    ("draw", "listed"),
    [
        (Faults.next_key, KeyFault),
        (Faults.next_read, ReadFault),
        (Faults.next_job, JobFault),
        (Faults.next_bill, BillFault),
        (Faults.next_media, MediaFault),
        (Faults.next_callback, CallbackFault),
    ],
)
def test_every_kind_of_fault_can_come_by_chance(draw: Any, listed: type[StrEnum]) -> None:
    faults = Faults(chance=Chance(share=1, seed=1))

    assert {draw(faults) for _ in range(200)} == set(listed)
    assert len(faults.met) == len(listed)


def test_the_same_seed_fails_the_same_requests_whatever_else_was_asked() -> None:
    mixed = Faults(chance=Chance(share=0.2, seed=7))
    submits = []
    for _ in range(500):
        mixed.next_read()
        submits.append(mixed.next_submit())

    assert submits == drawn(7, count=500) != drawn(8, count=500)


def test_a_fault_can_be_made_rarer_and_queued_faults_come_first() -> None:
    faults = Faults(chance=Chance(share=0.5, seed=1, weights={"job never_finishes": 0, "submit busy": 0.1}))
    faults.job.append(JobFault.NEVER_FINISHES)

    jobs = [faults.next_job() for _ in range(500)]
    submits = [faults.next_submit() for _ in range(5_000)]

    assert jobs[0] is JobFault.NEVER_FINISHES
    assert JobFault.NEVER_FINISHES not in jobs[1:]
    assert 0 < submits.count(Refused.BUSY) < submits.count(Refused.OVERLOADED) / 5


def test_mended_faults_are_no_more() -> None:
    faults = Faults(chance=Chance(share=1, seed=1))
    draws = (faults.next_submit, faults.next_key, faults.next_read, faults.next_job, faults.next_bill)
    for queue, fault in (
        (faults.submit, Refused.BUSY),
        (faults.key, KeyFault.MISMATCH),
        (faults.read, ReadFault.DROP),
        (faults.job, JobFault.NEVER_FINISHES),
        (faults.bill, BillFault.ABOVE_LIST),
        (faults.media, MediaFault.EMPTY),
        (faults.callback, CallbackFault.NEVER),
    ):
        queue.append(fault)

    faults.mend()

    assert {draw() for draw in (*draws, faults.next_media, faults.next_callback)} == {None}


@pytest.mark.parametrize("kind", [Refused.BUSY, Refused.OVERLOADED])
@names
async def test_a_busy_gateway_says_when_to_come_again_if_it_is_told_to(running: Stage, name: str, kind: Refused):
    faults = running.stand(name).faults
    faults.submit.extend([kind, kind])

    silent = await post(running, name)
    faults.retry_after_s = 7
    told = await post(running, name)

    assert [silent.status, told.status] == [429 if kind is Refused.BUSY else 503] * 2
    assert [silent.headers.get("Retry-After"), told.headers.get("Retry-After")] == [None, "7"]
    assert running.stand(name).jobs == {}


@pytest.mark.parametrize(("fault", "status"), [(ReadFault.KEY, 401), (ReadFault.BUSY, 429), (ReadFault.DROP, 0)])
@names
async def test_a_read_can_be_refused_and_dropped(running: Stage, name: str, fault: ReadFault, status: int) -> None:
    await post(running, name)
    job = await running.ended(name)
    # This test's client repeats a dropped GET once by itself.
    running.stand(name).faults.read.extend([fault] * (2 if fault is ReadFault.DROP else 1))

    answers = [await read(running, name, job.gateway_job_id) for _ in range(2)]

    assert [answer.status for answer in answers] == [status, 200]
    assert job.reads == 1


@names
async def test_what_hangs_goes_on_by_itself_where_a_time_is_set(running: Stage, name: str) -> None:
    stand = running.stand(name)
    stand.faults.hang_s = 0.01
    stand.faults.submit.extend([SubmitFault.ACCEPT_THEN_HANG, SubmitFault.STALL_THEN_ACCEPT])

    answers = [await post(running, name) for _ in range(2)]

    assert [bool(answer.status) for answer in answers] == [False, True]
    assert len(stand.jobs) == 2


@pytest.mark.parametrize(("name", "told"), [("shortapi", "1.290"), ("pixeldojo", 40.0)])
async def test_a_gateway_that_names_its_bill_can_bill_above_its_list(running: Stage, name: str, told: object) -> None:
    running.stand(name).faults.bill.append(BillFault.ABOVE_LIST)

    answer = (await post(running, name)).json
    await post(running, name)

    bills = [job.billed for job in running.stand(name).jobs.values()]
    assert (answer["data"]["amount"] if name == "shortapi" else answer["creditCost"]) == told
    assert bills[0] == 2 * bills[1]
    assert running.stand(name).billed == sum(bills)


@pytest.mark.parametrize(("name", "known"), [("shortapi", "0"), ("hiapi", "0.695"), ("pixeldojo", "20")])
async def test_only_shortapi_tells_of_a_refund_so_the_known_bill_of_the_others_stays(
    running: Stage, name: str, known: str
) -> None:
    running.stand(name).faults.job.extend([JobFault.FAILS_REFUNDED, JobFault.FAILS_CONTENT])
    await post(running, name)
    refunded = await running.ended(name)
    await post(running, name)
    kept = await running.ended(name)

    assert (refunded.billed, refunded.refunded) == (0, kept.billed)
    assert running.stand(name).known_bill(refunded) == Decimal(known)
    assert running.stand(name).billed == running.stand(name).known_bill(kept)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (KeyFault.PROCESSING, 409, "IDEMPOTENCY_KEY_PROCESSING"),
        (KeyFault.MISMATCH, 422, "IDEMPOTENCY_KEY_MISMATCH"),
    ],
)
async def test_a_key_can_be_said_to_be_in_use_as_often_as_asked(
    running: Stage, fault: KeyFault, status: int, code: str
) -> None:
    running.sandbox.hiapi.faults.key.extend([fault, fault])

    answers = [await post(running, "hiapi", key="k") for _ in range(3)]

    assert [answer.status for answer in answers] == [status, status, 200]
    assert answers[0].json["error_code"] == code
    assert answers[0].headers.get("Retry-After") == ("5" if status == 409 else None)
    assert len(running.sandbox.hiapi.jobs) == 1


async def test_a_post_without_a_key_meets_no_fault_of_keys(running: Stage) -> None:
    running.sandbox.hiapi.faults.key.append(KeyFault.MISMATCH)

    assert (await post(running, "hiapi")).status == 200
    assert list(running.sandbox.hiapi.faults.key) == [KeyFault.MISMATCH]


@pytest.mark.parametrize(
    "fault", [SubmitFault.ACCEPT_THEN_DROP, SubmitFault.ACCEPT_THEN_500, SubmitFault.ACCEPT_WITHOUT_ID]
)
async def test_a_replay_brings_the_job_whose_answer_was_lost_and_can_be_lost_itself(
    running: Stage, fault: SubmitFault
) -> None:
    stand = running.sandbox.hiapi
    stand.faults.submit.extend([fault, fault])

    for _ in range(2):
        await post(running, "hiapi", key="k")
    replay = await post(running, "hiapi", key="k")

    assert replay.headers["Idempotent-Replay"] == "true"
    assert replay.json["data"]["taskId"] == next(iter(stand.jobs))
    assert len(stand.jobs) == 1
    assert stand.replays == 2


async def test_a_refused_replay_does_not_forget_its_key(running: Stage) -> None:
    stand = running.sandbox.hiapi
    await post(running, "hiapi", key="k")
    stand.faults.submit.append(Refused.BUSY)

    refused, replay = [await post(running, "hiapi", key="k") for _ in range(2)]

    assert (refused.status, replay.status, len(stand.jobs)) == (429, 200, 1)


@pytest.mark.parametrize("fault", [SubmitFault.DROP_UNREAD, Refused.OVERLOADED])
async def test_a_key_is_free_again_when_nothing_was_started_with_it(running: Stage, fault: Any) -> None:
    running.sandbox.hiapi.faults.submit.append(fault)

    await post(running, "hiapi", key="k")
    other = await post(running, "hiapi", key="k", model="happyhorse-1.1/text-to-video", storage="temp")

    assert other.status == 200
    assert running.sandbox.hiapi.replays == 0


async def test_a_key_lasts_for_a_day_and_can_be_forgotten() -> None:
    now = [datetime(2026, 11, 20, 12, tzinfo=UTC)]
    async with stage(pace=Pace(job_s=0, now=lambda: now[0])) as running:
        jobs = running.sandbox.hiapi.jobs
        counts = []
        for later in (timedelta(), timedelta(hours=23, minutes=59), timedelta(hours=24)):
            now[0] = datetime(2026, 11, 20, 12, tzinfo=UTC) + later
            await post(running, "hiapi", key="k")
            counts.append(len(jobs))
        running.sandbox.hiapi.keys.clear()
        await post(running, "hiapi", key="k")

        assert [*counts, len(jobs)] == [1, 1, 2, 3]


def signed_rightly(headers: dict[str, str], body: bytes) -> bool:
    message = headers["x-hiapi-timestamp"].encode() + b"." + body
    return headers["x-hiapi-signature"] == hmac.new(SIGNING_KEY.encode(), message, hashlib.sha256).hexdigest()


async def called_back(running: Stage, name: str, fault: CallbackFault) -> list[tuple[dict[str, str], bytes]]:
    running.stand(name).faults.callback.append(fault)
    await post(running, name, callback=True)
    await (await running.ended(name)).called_back.wait()
    return running.callbacks


@pytest.mark.parametrize(
    ("name", "statuses"),
    [("shortapi", [2, 1]), ("hiapi", ["success", "handling"]), ("pixeldojo", ["completed", "processing"])],
)
async def test_callbacks_can_come_in_the_wrong_order(running: Stage, name: str, statuses: list[object]) -> None:
    came = await called_back(running, name, CallbackFault.WRONG_ORDER)

    assert [json.loads(body)["status"] for _, body in came] == statuses


@names
async def test_a_callback_can_come_twice_and_never(running: Stage, name: str) -> None:
    came = await called_back(running, name, CallbackFault.TWICE)
    assert len(came) == 2
    assert came[0][1] == came[1][1]

    assert await called_back(running, name, CallbackFault.NEVER) == came


@names
async def test_a_callback_can_come_before_the_answer(running: Stage, name: str) -> None:
    running.stand(name).faults.callback.append(CallbackFault.EARLY)

    answer = await post(running, name, callback=True)

    assert answer.status in {200, 202}
    assert json.loads(running.callbacks[0][1])[ID_KEYS[name]] == next(iter(running.stand(name).jobs))


@names
async def test_an_early_callback_of_a_job_that_never_ends_keeps_nobody_waiting(running: Stage, name: str) -> None:
    running.stand(name).faults.callback.append(CallbackFault.EARLY)
    running.stand(name).faults.job.append(JobFault.NEVER_FINISHES)

    async with asyncio.timeout(5):
        assert (await post(running, name, callback=True)).status in {200, 202}
    assert running.callbacks == []


@pytest.mark.parametrize(("name", "failed"), [("shortapi", 3), ("hiapi", "fail"), ("pixeldojo", "failed")])
async def test_a_forged_callback_lies_and_is_signed_wrongly(running: Stage, name: str, failed: object) -> None:
    ((headers, body),) = await called_back(running, name, CallbackFault.FORGED)

    assert json.loads(body)["status"] == failed
    assert name != "hiapi" or not signed_rightly(headers, body)
    assert (await running.ended(name)).error == ""


@names
async def test_a_callback_can_be_garbage_or_huge_and_is_signed_all_the_same(running: Stage, name: str) -> None:
    await called_back(running, name, CallbackFault.GARBAGE)
    came = await called_back(running, name, CallbackFault.OVERSIZE)

    # The small server of this test takes a megabyte: aiohttp's default.
    assert [status for job in running.stand(name).jobs.values() for status in job.callback_statuses] == [200, 413]
    assert OVERSIZE_BYTES > 2**20
    with pytest.raises(ValueError, match="utf-8"):
        json.loads(came[0][1])
    assert name != "hiapi" or signed_rightly(*came[0])


@names
async def test_a_callback_can_tell_of_another_job_that_was_read_before(running: Stage, name: str) -> None:
    await post(running, name)
    other = await running.ended(name)
    ((_, unknown),) = await called_back(running, name, CallbackFault.FOREIGN_ID)
    await read(running, name, other.gateway_job_id)
    _, (_, known) = await called_back(running, name, CallbackFault.FOREIGN_ID)

    assert json.loads(unknown)[ID_KEYS[name]] not in running.stand(name).jobs
    assert json.loads(known)[ID_KEYS[name]] == other.gateway_job_id


@names
async def test_a_job_without_a_callback_uses_up_no_fault_of_callbacks(running: Stage, name: str) -> None:
    running.stand(name).faults.callback.append(CallbackFault.TWICE)

    await post(running, name, key=secrets.token_hex(4))
    await (await running.ended(name)).called_back.wait()

    assert list(running.stand(name).faults.callback) == [CallbackFault.TWICE]


async def test_a_stalled_download_goes_on_where_a_time_is_set(running: Stage) -> None:
    stand = running.sandbox.hiapi
    stand.faults.hang_s = 0.01
    stand.faults.media.append(MediaFault.STALLED)
    await post(running, "hiapi")
    job = await running.ended("hiapi")
    task = (await read(running, "hiapi", job.gateway_job_id)).json

    assert (await ask(running, "GET", task["data"]["output"][1]["url"])).body == MP4
