"""Callbacks over real sockets: what is believed of them, and what whoever sends them cannot do."""

import asyncio
import gzip
import hashlib
import hmac
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from pydantic import SecretStr

from bot.adapters.callbacks import BODY_BYTES_MAX, CallbackLinks, CallbackRoutes
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.adapters.web import WebServer
from bot.domain.errors import StoreFailed
from bot.domain.job import Attempt, Job, JobState
from bot.domain.ports import Gateway
from tests.adapters.gateway_cases import hiapi, pixeldojo, shortapi
from tests.adapters.store_fixtures import attempt, get, open_in
from tests.fakes import FakeClock

KEY = "a-signing-key-of-sixteen"
DEADLINE_S = 20.0


@dataclass
class Desk:
    """The server over a real store, and a client. `woken` counts how often the runner was woken."""

    store: SqliteStore
    clock: FakeClock
    http: aiohttp.ClientSession
    server: WebServer
    woken: list[None] = field(default_factory=list)

    def address(self, job: Job, *, number: int = 1, gateway: str | None = None, **changes: str) -> str:
        links = CallbackLinks(f"http://127.0.0.1:{self.server.port}")
        parts = {"job_id": job.job_id, "token": attempt(job, number).callback_token} | changes
        return str(links.address(gateway=gateway or job.request.gateway, **parts))

    async def call(self, address: str, body: Any = b"{}", **options: Any) -> int:
        data = body if isinstance(body, bytes) or not isinstance(body, dict) else json.dumps(body).encode()
        async with self.http.post(address, data=data, **options) as answer:
            await answer.read()
            return answer.status

    async def raw(self, address: str, *lines: str, body: bytes = b"") -> "RawCall":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        path = address.removeprefix(f"http://127.0.0.1:{self.server.port}")
        head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: gallop.example", *lines])
        call = RawCall(reader, writer)
        await call.send(f"{head}\r\n\r\n".encode() + body)
        return call

    async def job(self, state: JobState = JobState.RUNNING, *, gateway: str = "shortapi") -> Job:
        return await open_in(self.store, state, at=self.clock.now(), gateway=gateway)

    async def attempt(self, job: Job, number: int = 1) -> Attempt:
        return (await self.store.attempts(job.job_id))[number - 1]


@dataclass
class RawCall:
    """A request written byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            line = await self.reader.readline()
        return int(line.split()[1])

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def asks_nothing(_: httpx.Request) -> httpx.Response:
    pytest.fail("a callback made a gateway be asked")


Opens = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def opens(tmp_path: Path) -> AsyncIterator[Opens]:
    """A function that opens a desk; its options are those of CallbackRoutes."""
    clock = FakeClock()
    gateways: dict[str, Gateway] = {
        "shortapi": shortapi(asks_nothing),
        "hiapi": hiapi(asks_nothing, signing_key=SecretStr(KEY)),
        "pixeldojo": pixeldojo(asks_nothing),
    }
    servers: list[WebServer] = []
    async with (
        open_store(tmp_path / "gallop.db", busy_timeout_s=0.05) as store,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):

        async def open_desk(**options: Any) -> Desk:
            woken: list[None] = []
            routes = CallbackRoutes(
                store=store, gateways=gateways, clock=clock, wake=lambda: woken.append(None), **options
            )
            server = WebServer(routes.routes(), host="127.0.0.1", port=0)
            servers.append(server)
            await server.open()
            return Desk(store, clock, http, server, woken)

        yield open_desk
        for server in servers:
            await server.aclose()
    for gateway in gateways.values():
        await gateway.aclose()


@pytest.fixture
async def desk(opens: Opens) -> Desk:
    return await opens()


def signed(desk: Desk, body: bytes, *, key: str = KEY, age_s: int = 0) -> dict[str, str]:
    stamp = str(int((desk.clock.now() - timedelta(seconds=age_s)).timestamp()))
    signature = hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-HiAPI-Timestamp": stamp, "X-HiAPI-Signature": signature}


async def test_a_callback_is_noted_and_wakes_the_runner(desk: Desk) -> None:
    job = await desk.job(JobState.UNCONFIRMED)

    async with desk.http.post(desk.address(job), json={"id": "g-77", "status": 2}) as answer:
        content = await answer.read()

    noted = await desk.attempt(job)
    assert (answer.status, content) == (200, b"")
    assert (noted.hinted_at, noted.hinted_gateway_job_id) == (desk.clock.now(), "g-77")
    assert len(desk.woken) == 1


async def test_the_runner_is_woken_and_the_gateway_answered_only_when_the_hint_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, asked, keep = await desk.job(), asyncio.Event(), asyncio.Event()

    async def hint(*_: Any, **__: Any) -> None:
        asked.set()
        await keep.wait()

    monkeypatch.setattr(desk.store, "hint", hint)
    answer = asyncio.create_task(desk.call(desk.address(job)))
    await asked.wait()
    assert await desk.call(desk.address(job, token="wrong")) == 404
    assert (answer.done(), desk.woken) == (False, [])
    keep.set()

    assert await answer == 200
    assert len(desk.woken) == 1


@pytest.mark.parametrize("gateway", ["shortapi", "pixeldojo"])
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"<html></html>", b"[" * 50_000, b"\xff\x00", b'{"id": 1.5}', b'{"jobId": {"id": "x"}}'],
    ids=lambda body: body[:8],
)
async def test_garbage_is_a_hint_without_an_id(desk: Desk, gateway: str, body: bytes) -> None:
    job = await desk.job(gateway=gateway)

    assert await desk.call(desk.address(job), body) == 200
    assert (await desk.attempt(job)).hinted_at == desk.clock.now()
    assert (await desk.attempt(job)).hinted_gateway_job_id is None


async def test_nothing_but_the_hint_is_believed(desk: Desk) -> None:
    job = await desk.job()
    told = {"id": "a-foreign-id", "status": 2, "credit": "0", "refunded": True, "result": {"videos": [{"url": "x"}]}}

    assert await desk.call(desk.address(job), told) == 200

    after, noted = await get(desk.store, job.job_id), await desk.attempt(job)
    assert (after.state, after.video_address, after.charged_microusd) == (JobState.RUNNING, None, None)
    assert (noted.gateway_job_id, noted.billed_microusd) == (f"g-{job.job_id}", job.request.price_microusd)
    assert noted.hinted_gateway_job_id is None


@pytest.mark.parametrize("state", list(JobState))
async def test_a_callback_moves_no_job_of_any_state(desk: Desk, state: JobState) -> None:
    job = await desk.job(state)
    status = 404 if state in {JobState.HELD, JobState.CANCELLED} else 200

    assert [await desk.call(desk.address(job), {"id": "g-1", "status": 3}) for _ in range(2)] == [status] * 2
    assert (await get(desk.store, job.job_id)).state is state


async def test_every_wrong_part_gets_the_same_answer_as_nothing(desk: Desk) -> None:
    job, other = await desk.job(), await desk.job(gateway="pixeldojo")
    gone = await desk.job(gateway="a-gateway-of-before")
    token = attempt(job).callback_token
    wrong = [
        desk.address(job, gateway="hiapi"),
        desk.address(job, gateway="pixeldojo"),
        desk.address(job, gateway="animatic"),
        desk.address(job, gateway="nobody"),
        desk.address(gone),
        desk.address(job, job_id=other.job_id),
        desk.address(job, job_id="0" * 16),
        desk.address(job, job_id="x" * 4_000),
        desk.address(job, job_id="%2e%2e"),
        desk.address(job, job_id="%00"),
        desk.address(job, job_id="%FF%ED%A0%80"),
        desk.address(job, job_id="%27%20OR%201%3D1"),
        desk.address(job, token=attempt(other).callback_token),
        desk.address(job, token=token[:-1]),
        desk.address(job, token=f"{token}0"),
        desk.address(job, token=token.upper()),
        desk.address(job, token="%00"),
        desk.address(job, token="%C3%A9" * 20),
        desk.address(job, token="%FF%ED%A0%80"),
    ]

    answers = set()
    for address in wrong:
        async with desk.http.post(address, data=b'{"id": "g-1"}') as answer:
            answers.add((answer.status, await answer.read()))
    async with desk.http.post(f"http://127.0.0.1:{desk.server.port}/nothing/here") as answer:
        nothing = (answer.status, await answer.read())

    assert answers == {nothing}
    assert [(await desk.attempt(one)).hinted_at for one in (job, other, gone)] == [None] * 3
    assert desk.woken == []


async def test_a_thousand_wrong_tokens_leave_no_trace(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = await desk.job()
    before = contents(tmp_path / "gallop.db")
    caplog.set_level(logging.DEBUG)
    caplog.clear()

    async def guess(first: int) -> set[int]:
        return {await desk.call(desk.address(job, token=f"guess-{n}")) for n in range(first, first + 100)}

    statuses = await asyncio.gather(*(guess(first) for first in range(0, 1_000, 100)))

    assert set().union(*statuses) == {404}
    assert contents(tmp_path / "gallop.db") == before
    assert [record for record in caplog.records if record.name.startswith("bot")] == []
    assert desk.woken == []


def contents(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_a_post_is_taken(desk: Desk, method: str) -> None:
    job = await desk.job()

    for address in (desk.address(job), desk.address(job, token="wrong")):
        async with desk.http.request(method, address) as answer:
            assert answer.status == 405
    assert (await desk.attempt(job)).hinted_at is None


async def test_a_body_declared_too_large_is_refused_unread(desk: Desk) -> None:
    job = await desk.job()
    call = await desk.raw(desk.address(job), f"Content-Length: {BODY_BYTES_MAX + 1}")

    assert await call.status() == 413
    await call.close()
    assert (await desk.attempt(job)).hinted_at is None


@pytest.mark.parametrize(("bytes_count", "status"), [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_limit_of_the_body_is_exact(desk: Desk, bytes_count: int, chunked: bool, status: int) -> None:
    job = await desk.job()
    body = b" " * bytes_count

    assert await desk.call(desk.address(job), pieces([body]) if chunked else body) == status
    assert len(desk.woken) == (status == 200)


async def pieces(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_endless_body_is_cut_off(desk: Desk) -> None:
    job = await desk.job()
    call = await desk.raw(desk.address(job), "Transfer-Encoding: chunked")
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    for _ in range(5):
        await call.send(chunk)

    assert await call.status() == 413
    await call.close()
    assert desk.woken == []


async def test_a_body_may_come_in_pieces(desk: Desk) -> None:
    job = await desk.job(JobState.UNCONFIRMED, gateway="hiapi")
    body = b'{"taskId": "tk-1"}'
    head = [f"{name}: {value}" for name, value in signed(desk, body).items()]
    call = await desk.raw(desk.address(job), f"Content-Length: {len(body)}", *head)
    for start in range(len(body)):
        await call.send(body[start : start + 1])
        # An answer to somebody else shows that the server has read what came before.
        assert await desk.call(desk.address(job, token="wrong")) == 404

    assert await call.status() == 200
    await call.close()
    assert (await desk.attempt(job)).hinted_gateway_job_id == "tk-1"


async def test_a_slow_body_is_given_up(opens: Opens) -> None:
    desk = await opens(body_timeout_s=0.02)
    job = await desk.job()
    call = await desk.raw(desk.address(job), "Content-Length: 10", body=b"{")

    assert await call.status() == 408
    await call.close()
    assert (await desk.attempt(job)).hinted_at is None


@pytest.mark.parametrize(("at_once", "status"), [(True, 400), (False, 408)])
async def test_a_broken_body_is_refused_and_no_fault_of_ours(
    opens: Opens, at_once: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    desk = await opens(body_timeout_s=0.2)
    job = await desk.job()
    begun, broken = b"4\r\nabcd\r\n", b"nonsense-and-a-token\r\n"
    call = await desk.raw(desk.address(job), "Transfer-Encoding: chunked", body=begun + broken * at_once)
    if not at_once:
        assert await desk.call(desk.address(job, token="wrong")) == 404
        await call.send(broken)

    # The parser reports a fault only in what comes first; later the body just never ends.
    assert await call.status() == status
    await call.close()
    assert (await desk.attempt(job)).hinted_at is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "nonsense" not in caplog.text


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(("head", "body"), [("Content-Length: 10", b"{"), ("Transfer-Encoding: chunked", b"4\r\n{")])
async def test_who_hangs_up_in_the_middle_leaves_nothing_and_frees_their_place(
    opens: Opens, head: str, body: bytes, half: bool, caplog: pytest.LogCaptureFixture
) -> None:
    desk = await opens(at_once_max=1)
    job = await desk.job()
    call = await desk.raw(desk.address(job), head, body=body)
    await until_refused(desk, job)
    if half:
        call.writer.write_eof()
        await call.reader.read()
    await call.close()

    async with asyncio.timeout(DEADLINE_S):
        while await desk.call(desk.address(job, token="wrong")) == 503:
            pass
    assert (await desk.attempt(job)).hinted_at is None
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def until_refused(desk: Desk, job: Job) -> None:
    """Wait until the only place is taken."""
    async with asyncio.timeout(DEADLINE_S):
        while await desk.call(desk.address(job, token="wrong")) != 503:
            pass


async def test_too_many_at_once_are_sent_away_for_now(opens: Opens) -> None:
    desk = await opens(at_once_max=1)
    job = await desk.job()
    first = await desk.raw(desk.address(job), "Content-Length: 2", body=b"{")
    await until_refused(desk, job)

    async with desk.http.post(desk.address(job)) as second:
        assert (second.status, second.headers["Retry-After"]) == (503, "1")
    await first.send(b"}")
    assert await first.status() == 200
    await first.close()
    assert await desk.call(desk.address(job)) == 200
    assert len(desk.woken) == 2


async def test_a_signed_callback_is_taken_and_may_come_again(desk: Desk) -> None:
    job, body = await desk.job(JobState.UNCONFIRMED, gateway="hiapi"), b'{"taskId": "tk-1"}'
    headers = signed(desk, body)

    assert [await desk.call(desk.address(job), body, headers=headers) for _ in range(3)] == [200] * 3
    assert (await desk.attempt(job)).hinted_gateway_job_id == "tk-1"


@pytest.mark.parametrize(("age_s", "status"), [(300, 200), (-300, 200), (301, 401), (-301, 401)])
async def test_a_replay_is_too_old_after_five_minutes(desk: Desk, age_s: int, status: int) -> None:
    job, body = await desk.job(gateway="hiapi"), b'{"taskId": "tk-1"}'

    assert await desk.call(desk.address(job), body, headers=signed(desk, body, age_s=age_s)) == status


async def test_a_bad_or_missing_signature_changes_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    job, body = await desk.job(gateway="hiapi"), b'{"taskId": "tk-1"}'
    good = signed(desk, body)
    forged = [
        (body, {}),
        (body, signed(desk, body, key="another-key-of-sixteen")),
        (body + b" ", good),
        (b"", good),
        (body, good | {"X-HiAPI-Signature": "é" * 64}),
        (body, good | {"X-HiAPI-Timestamp": "now"}),
    ]

    statuses = [await desk.call(desk.address(job), data, headers=headers) for data, headers in forged]

    assert statuses == [401] * len(forged)
    assert (await desk.attempt(job)).hinted_at is None
    assert desk.woken == []
    assert f"callback without a genuine signature job_id={job.job_id} gateway=hiapi" in caplog.messages


async def test_the_attempt_is_looked_up_before_the_body_and_the_signature(desk: Desk) -> None:
    job = await desk.job(gateway="hiapi")
    address = desk.address(job, token="wrong")

    assert await desk.call(address, b"{}") == 404
    unread = await desk.raw(address, "Content-Length: 99999999")
    assert await unread.status() == 404
    await unread.close()


async def test_a_compressed_body_is_never_unpacked(desk: Desk) -> None:
    job, bomb = await desk.job(gateway="hiapi"), gzip.compress(b" " * 60_000_000)
    assert len(bomb) < BODY_BYTES_MAX
    headers = signed(desk, bomb) | {"Content-Encoding": "gzip"}

    assert await desk.call(desk.address(job), bomb, headers=headers) == 200
    assert (await desk.attempt(job)).hinted_gateway_job_id is None


@pytest.mark.parametrize("operation", ["attempts", "hint"])
async def test_a_store_that_fails_makes_the_gateway_call_again(
    desk: Desk, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await desk.job()

    async def fails(*_: Any, **__: Any) -> None:
        raise StoreFailed("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, operation, fails)
        async with desk.http.post(desk.address(job), data=b"{}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert desk.woken == []
    assert await desk.call(desk.address(job)) == 200


async def test_a_database_locked_by_another_process_makes_the_gateway_call_again(desk: Desk, tmp_path: Path) -> None:
    job = await desk.job()
    other = sqlite3.connect(tmp_path / "gallop.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert await desk.call(desk.address(job)) == 503
    other.close()
    assert await desk.call(desk.address(job)) == 200


async def test_the_token_of_an_earlier_attempt_is_known_and_its_job_left_alone(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job, now = await desk.job(JobState.SUBMITTING), desk.clock.now()
    later = now + timedelta(minutes=5)
    assert await desk.store.return_to_line(job.job_id, number=1, gateway="shortapi", not_before=None, now=now)
    assert await desk.store.begin_attempt(attempt(job, 2), next_at=later)
    assert await desk.store.leave_unconfirmed(job.job_id, now=now, next_at=later)

    assert await desk.call(desk.address(job, number=1), {"id": "g-1"}) == 200

    first, second = await desk.store.attempts(job.job_id)
    assert (first.hinted_gateway_job_id, second.hinted_at) == ("g-1", None)
    assert (await get(desk.store, job.job_id)).next_at == later
    assert [(record.levelname, record.message) for record in caplog.records if record.name.startswith("bot")] == [
        ("ERROR", f"callback for a refused attempt job_id={job.job_id} gateway=shortapi")
    ]

    assert await desk.call(desk.address(job, number=2), {"id": "g-2"}) == 200
    assert [one.hinted_gateway_job_id for one in await desk.store.attempts(job.job_id)] == ["g-1", "g-2"]


async def test_a_callback_is_one_line_without_its_token(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    job = await desk.job()

    await desk.call(desk.address(job), {"id": "g-1"})
    await desk.call(desk.address(job), b" " * (BODY_BYTES_MAX + 1))

    assert [record.message for record in caplog.records if record.name == "bot.adapters.callbacks"] == [
        f"callback noted job_id={job.job_id} gateway=shortapi"
    ]
    assert attempt(job).callback_token not in caplog.text


async def test_an_error_of_ours_tells_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = await desk.job()

    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(desk.store, "hint", breaks)
    async with desk.http.post(desk.address(job)) as answer:
        text = await answer.text()

    assert answer.status == 500
    assert "a bug" not in text
    assert "RuntimeError: a bug" in caplog.text
    assert attempt(job).callback_token not in caplog.text


@pytest.mark.parametrize("public_url", ["https://b.example/gallop", "https://b.example/gallop/"])
def test_links_stand_under_the_public_address(public_url: str) -> None:
    address = CallbackLinks(public_url).address(gateway="hiapi", job_id="0abc", token="t-1")

    assert address == "https://b.example/gallop/callbacks/hiapi/0abc/t-1"


def test_without_a_public_address_nobody_is_asked_to_call() -> None:
    assert CallbackLinks(None).address(gateway="hiapi", job_id="0abc", token="t-1") is None
