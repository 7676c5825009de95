"""Says whether the bot is well: /healthz for whatever restarts it, /readyz and /metrics for its operator."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bot.domain.errors import StoreFailed
from bot.domain.ports import Clock, Library
from bot.domain.submitting import FREE_BYTES_MIN

log = logging.getLogger(__name__)

_BEAT_S = 1.0
_LATENESS_MAX_S = 5.0
_SILENCE_MAX_S = 10.0
_WRITE_EVERY_S = 5.0
_WRITE_TIMEOUT_S = 5.0
_READY_NOTE = "ready"
# What proxies add to a request that they pass on.
_PROXY_HEADERS = ("forwarded", "via", "x-real-ip", "x-forwarded-", "cf-")


class Heartbeat:
    """Measures each second how late the event loop is. `open_heartbeat` makes one that beats."""

    def __init__(self, clock: Clock, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._beat_at = clock.monotonic()
        self._lateness_s = 0.0

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            due = self._clock.monotonic() + _BEAT_S
            await self._clock.sleep(_BEAT_S)
            self._beat_at = self._clock.monotonic()
            self._lateness_s = max(0.0, self._beat_at - due)
            self._observe(self._lateness_s)

    def complaint(self) -> str | None:
        """Return what is wrong in one sentence, None when all is well."""
        silence_s = self._clock.monotonic() - self._beat_at
        if silence_s > _SILENCE_MAX_S:
            return f"The heartbeat stopped {silence_s:.0f} s ago."
        if self._lateness_s > _LATENESS_MAX_S:
            return f"The event loop is {self._lateness_s:.0f} s late."
        return None


@asynccontextmanager
async def open_heartbeat(clock: Clock, observe: Callable[[float], None]) -> AsyncIterator[Heartbeat]:
    """Beat until the context ends. `observe` gets each lateness, in seconds."""
    heartbeat = Heartbeat(clock, observe)
    task = asyncio.create_task(heartbeat.beat(), name="heartbeat")
    try:
        yield heartbeat
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class WritesNotes(Protocol):
    """The part of the store that shows whether it can be written."""

    async def set_note(self, key: str, value: str) -> None: ...


class Readiness:
    """Finds out whether the bot can do its work: Discord, store, disk."""

    def __init__(
        self,
        *,
        connected: Callable[[], bool],
        store: WritesNotes,
        library: Library,
        clock: Clock,
        write_timeout_s: float = _WRITE_TIMEOUT_S,
    ) -> None:
        self._connected = connected
        self._store = store
        self._library = library
        self._clock = clock
        self._write_timeout_s = write_timeout_s
        self._one_at_a_time = asyncio.Lock()
        self._written_at: float | None = None
        self._store_state = ""

    async def parts(self) -> dict[str, str]:
        """Return each part with ``ok`` or what is wrong with it. The store is written at most every 5 s."""
        return {
            "discord": "ok" if self._connected() else "not connected",
            "store": await self._store_part(),
            "disk": await self._disk_part(),
        }

    async def _store_part(self) -> str:
        async with self._one_at_a_time:
            now = self._clock.monotonic()
            if self._written_at is None or now - self._written_at >= _WRITE_EVERY_S:
                self._store_state = await self._write()
                self._written_at = now
            return self._store_state

    async def _write(self) -> str:
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._store.set_note(_READY_NOTE, self._clock.now().isoformat())
        except StoreFailed:
            return "it cannot be written"
        except TimeoutError:
            return f"a write takes longer than {self._write_timeout_s:g} s"
        return "ok"

    async def _disk_part(self) -> str:
        try:
            free_bytes = await self._library.free_bytes()
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if free_bytes < FREE_BYTES_MIN:
            return f"{free_bytes / 1e9:.2f} GB free, {FREE_BYTES_MIN / 1e9:g} GB are needed"
        return "ok"


class HealthRoutes:
    """Answers /healthz for everybody, /readyz and /metrics for whoever reaches the bot's port itself.

    To a request that a proxy passed on (it says so in a header, or asks for the host of PUBLIC_URL) those two do not
    exist. A proxy that adds no header and writes a host of its own cannot be told from the operator: it should pass
    only /callbacks, /media and /healthz.
    """

    def __init__(
        self,
        *,
        heartbeat: Heartbeat,
        readiness: Readiness,
        figures: Callable[[], Awaitable[bytes]],
        public_url: str | None,
    ) -> None:
        self._heartbeat = heartbeat
        self._readiness = readiness
        self._figures = figures
        self._public_host = urlsplit(public_url).hostname if public_url else None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._healthy),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._metrics),
        ]

    async def _healthy(self, _: web.Request) -> web.Response:
        complaint = self._heartbeat.complaint()
        return web.Response(text=f"{complaint or 'ok'}\n", status=503 if complaint else 200)

    async def _ready(self, request: web.Request) -> web.Response:
        self._require_operator(request)
        parts = await self._readiness.parts()
        text = "".join(f"{name}: {state}\n" for name, state in parts.items())
        return web.Response(text=text, status=200 if set(parts.values()) == {"ok"} else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        self._require_operator(request)
        return web.Response(body=await self._figures(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _require_operator(self, request: web.Request) -> None:
        passed_on = any(name.lower().startswith(_PROXY_HEADERS) for name in request.headers)
        if passed_on or self._is_public(request.headers.get("Host", "")):
            raise web.HTTPNotFound

    def _is_public(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return True
        return name.rstrip(".") == self._public_host
