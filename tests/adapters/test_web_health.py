"""Whether the bot says truthfully, to the right people, that it is well."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from bot.adapters.health import HealthRoutes, Heartbeat, Readiness, open_heartbeat
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.adapters.web import WebServer
from bot.domain.submitting import FREE_BYTES_MIN
from tests.fakes import FakeClock, FakeLibrary

PUBLIC = "https://gallop.example:8443/bot"
DEADLINE_S = 20.0


@dataclass
class Watched:
    """The health routes of a bot that is well, and what can be made wrong."""

    http: aiohttp.ClientSession
    base: str
    clock: FakeClock
    store: SqliteStore
    library: FakeLibrary
    lateness_s: list[float] = field(default_factory=list)
    beaten: asyncio.Event = field(default_factory=asyncio.Event)
    connected: bool = True
    figures: bytes = b"gallop_open_holds 0.0\n"

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.http.get(self.base + path, headers=headers) as answer:
            return answer.status, await answer.text()

    def observe(self, seconds: float) -> None:
        self.lateness_s.append(seconds)
        self.beaten.set()

    async def beat(self, after_s: float = 1.0) -> None:
        """Turn the clock and let the heartbeat go on."""
        self.beaten.clear()
        self.clock.turn(after_s)
        async with asyncio.timeout(DEADLINE_S):
            await self.beaten.wait()


@asynccontextmanager
async def watched(
    folder: Path, *, public_url: str | None = PUBLIC, write_timeout_s: float = 5.0
) -> AsyncIterator[Watched]:
    async with open_store(folder / "gallop.db", busy_timeout_s=0.05) as store, aiohttp.ClientSession() as http:
        made = Watched(http, "", FakeClock(), store, FakeLibrary(folder))

        async def figures() -> bytes:
            return made.figures

        readiness = Readiness(
            connected=lambda: made.connected,
            store=store,
            library=made.library,
            clock=made.clock,
            write_timeout_s=write_timeout_s,
        )
        async with open_heartbeat(made.clock, made.observe) as heartbeat:
            routes = HealthRoutes(heartbeat=heartbeat, readiness=readiness, figures=figures, public_url=public_url)
            server = WebServer(routes.routes(), host="127.0.0.1", port=0)
            await server.open()
            made.base = f"http://127.0.0.1:{server.port}"
            yield made
            await server.aclose()


@pytest.fixture
async def well(tmp_path: Path) -> AsyncIterator[Watched]:
    async with watched(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/healthz", "ok\n"),
        ("/readyz", "discord: ok\nstore: ok\ndisk: ok\n"),
        ("/metrics", "gallop_open_holds 0.0\n"),
    ],
)
async def test_a_bot_that_is_well_says_so(well: Watched, path: str, text: str) -> None:
    assert await well.get(path) == (200, text)
    async with well.http.head(well.base + path) as answer:
        assert answer.status == 200


async def test_metrics_come_in_prometheus_own_type(well: Watched) -> None:
    async with well.http.get(f"{well.base}/metrics") as answer:
        assert answer.headers["Content-Type"] == CONTENT_TYPE_LATEST


async def test_the_loop_is_measured_each_second(well: Watched) -> None:
    for after_s in (1.0, 1.5, 1.0):
        await well.beat(after_s)

    assert well.lateness_s == [0.0, 0.5, 0.0]


@pytest.mark.parametrize(("after_s", "answer"), [(6.0, (200, "ok\n")), (6.1, (503, "The event loop is 5 s late.\n"))])
async def test_a_loop_more_than_five_seconds_late_is_not_healthy(
    well: Watched, after_s: float, answer: tuple[int, str]
) -> None:
    await well.beat(after_s)

    assert await well.get("/healthz") == answer
    await well.beat()
    assert await well.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize(("silence_s", "complaint"), [(10.0, None), (10.1, "The heartbeat stopped 10 s ago.")])
async def test_a_heart_that_stopped_is_not_healthy(silence_s: float, complaint: str | None) -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock, lambda _: None)
    clock.turn(silence_s)

    assert heartbeat.complaint() == complaint


async def test_the_heartbeat_ends_with_its_context() -> None:
    async with open_heartbeat(FakeClock(), lambda _: None):
        assert "heartbeat" in {task.get_name() for task in asyncio.all_tasks()}

    assert "heartbeat" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_without_discord_it_is_healthy_but_not_ready(well: Watched) -> None:
    well.connected = False

    assert await well.get("/readyz") == (503, "discord: not connected\nstore: ok\ndisk: ok\n")
    assert await well.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("free_bytes", "answer"),
    [
        (FREE_BYTES_MIN, (200, "ok")),
        (FREE_BYTES_MIN - 1, (503, "1.00 GB free, 1 GB are needed")),
        (12_345_678, (503, "0.01 GB free, 1 GB are needed")),
    ],
)
async def test_a_full_disk_is_not_ready(well: Watched, free_bytes: int, answer: tuple[int, str]) -> None:
    well.library.free = free_bytes

    status, text = await well.get("/readyz")

    assert (status, text.splitlines()[2]) == (answer[0], f"disk: {answer[1]}")


async def test_a_disk_that_cannot_be_read_is_not_ready(well: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> int:
        raise OSError(5, "Input/output error", "/a/secret/folder")

    monkeypatch.setattr(well.library, "free_bytes", fails)

    assert await well.get("/readyz") == (
        503,
        "discord: ok\nstore: ok\ndisk: it cannot be read (Input/output error)\n",
    )


async def test_a_database_that_cannot_be_written_is_not_ready(well: Watched, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "gallop.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert await well.get("/readyz") == (503, "discord: ok\nstore: it cannot be written\ndisk: ok\n")
    other.close()
    well.clock.turn(5)
    assert (await well.get("/readyz"))[0] == 200


async def test_a_write_that_does_not_end_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def hangs(*_: str) -> None:
        await never.wait()

    async with watched(tmp_path, write_timeout_s=0.02) as made:
        monkeypatch.setattr(made.store, "set_note", hangs)

        assert await made.get("/readyz") == (503, "discord: ok\nstore: a write takes longer than 0.02 s\ndisk: ok\n")


async def test_the_store_is_really_written_but_at_most_every_five_seconds(
    well: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = well.store.set_note, list[str]()

    async def counted(key: str, value: str) -> None:
        written.append(value)
        await write(key, value)

    monkeypatch.setattr(well.store, "set_note", counted)

    await asyncio.gather(*(well.get("/readyz") for _ in range(5)))
    assert len(written) == 1
    well.clock.turn(4.9)
    await well.get("/readyz")
    assert len(written) == 1
    well.clock.turn(0.1)
    await well.get("/readyz")
    assert len(written) == 2
    assert await well.store.note("ready") == written[-1] == well.clock.now().isoformat()


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"x-forwarded-host": "gallop.example"},
        {"Forwarded": "for=203.0.113.7"},
        {"X-Real-IP": "203.0.113.7"},
        {"X-Forwarded-For": ""},
        {"X-Forwarded-Proto": "https"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "203.0.113.7"},
        {"Host": "gallop.example"},
        {"Host": "gallop.example:8443"},
        {"Host": "GALLOP.example."},
        {"Host": "[gallop"},
    ],
    ids=str,
)
async def test_whoever_comes_through_a_proxy_finds_nothing(well: Watched, path: str, headers: dict[str, str]) -> None:
    assert await well.get(path, **headers) == await well.get("/nothing", **headers) == (404, "404: Not Found")
    assert await well.get("/healthz", **headers) == (200, "ok\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "gallop", "gallop.example.org", "[::1]:8080"])
async def test_the_operator_reaches_the_port_by_any_other_name(well: Watched, host: str) -> None:
    assert (await well.get("/readyz", Host=host))[0] == 200


async def test_without_a_public_address_only_the_headers_tell(tmp_path: Path) -> None:
    async with watched(tmp_path, public_url=None) as made:
        assert (await made.get("/readyz", Host="gallop.example"))[0] == 200
        assert (await made.get("/readyz", Forwarded="for=203.0.113.7"))[0] == 404


async def test_an_unready_bot_writes_nothing_for_strangers(well: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: str) -> None:
        pytest.fail("written for somebody behind a proxy")

    monkeypatch.setattr(well.store, "set_note", fails)

    assert (await well.get("/readyz", **{"X-Forwarded-For": "203.0.113.7"}))[0] == 404
