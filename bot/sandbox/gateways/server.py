"""Starts and ends the three emulators on loopback."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.sandbox.gateways import hiapi, pixeldojo, shortapi
from bot.sandbox.gateways.books import Stand
from bot.sandbox.gateways.callbacks import Callbacks
from bot.sandbox.gateways.desk import Desk, Kind
from bot.sandbox.gateways.front import Front
from bot.sandbox.gateways.media import Media
from bot.sandbox.gateways.pace import Pace
from bot.sandbox.gateways.works import Render, Works

HOST = "127.0.0.1"


@dataclass(frozen=True)
class RequestLimits:
    """Requests per minute each emulator allows; the defaults are documented, but for ShortAPI, which names none."""

    shortapi: int = 600
    hiapi: int = 60
    pixeldojo: int = 10


@dataclass(frozen=True)
class SandboxGateways:
    """The three emulators: addresses, keys, books and faults."""

    shortapi: Stand
    hiapi: Stand
    pixeldojo: Stand

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        render: Render,
        pace: Pace | None = None,
        limits: RequestLimits | None = None,
        hiapi_signing_key: str = "",
    ) -> "AsyncIterator[SandboxGateways]":
        """Serve all three, each on a port of its own, until the context ends; their files end with it."""
        pace, limits = pace or Pace(), limits or RequestLimits()
        async with AsyncExitStack() as stack:
            opener = _Opener(
                stack=stack,
                folder=Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gallop-sandbox-"))),
                session=await stack.enter_async_context(aiohttp.ClientSession()),
                render=render,
                pace=pace,
            )
            yield cls(
                shortapi=await opener.open(shortapi.KIND, requests_per_min=limits.shortapi),
                hiapi=await opener.open(hiapi.KIND, requests_per_min=limits.hiapi, signing_key=hiapi_signing_key),
                pixeldojo=await opener.open(pixeldojo.KIND, requests_per_min=limits.pixeldojo),
            )


@dataclass(frozen=True)
class _Opener:
    """What the emulators share, and the stack that ends them."""

    stack: AsyncExitStack
    folder: Path
    session: aiohttp.ClientSession
    render: Render
    pace: Pace

    async def open(self, kind: Kind, *, requests_per_min: int, signing_key: str = "") -> Stand:
        stand = Stand(kind.name, kind.key_prefix + secrets.token_hex(16), kind.reports_refunds)
        media = Media(self.folder / kind.name, stand, life_s=self.pace.link_life_s, now=self.pace.now)
        works = Works(
            label=kind.label,
            render=self.render,
            session=self.session,
            media=media,
            pace=self.pace,
            callbacks=Callbacks(stand, session=self.session, pace=self.pace, signing_key=signing_key),
        )
        self.stack.push_async_callback(works.close)
        front = Front(stand, refuse=kind.refuse, requests_per_min=requests_per_min, concurrent_max=kind.concurrent_max)
        app = web.Application(client_max_size=kind.body_bytes_max)
        app.add_routes(kind.emulator(Desk(stand, front, works, media, self.pace)).routes())
        app.add_routes([web.get("/media/{job}/{name}", media.serve)])
        stand.base_url = await self._serve(app)
        # Requests kept hanging by a fault must end before their server can.
        self.stack.callback(stand.released.set)
        return stand

    async def _serve(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, 0).start()
        return f"http://{HOST}:{runner.addresses[0][1]}"
