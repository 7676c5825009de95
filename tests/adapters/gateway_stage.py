"""The sandbox's gateways with a tiny renderer, and a small server of pictures, for tests over loopback."""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web
from PIL import Image
from pydantic import SecretStr

from bot.adapters.gateways.hiapi import HiApi
from bot.adapters.gateways.pixeldojo import PixelDojo
from bot.adapters.gateways.shortapi import ShortApi
from bot.sandbox.gateways.books import SandboxJob, Stand
from bot.sandbox.gateways.server import RequestLimits, SandboxGateways
from bot.sandbox.gateways.works import Pace

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40
NAMES = ("shortapi", "hiapi", "pixeldojo")


def picture(width: int = 800, height: int = 600, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, kind)
    return buffer.getvalue()


@dataclass
class TinyRender:
    """A renderer that only notes what it was asked for."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(
        self, *, prompt: str, pictures: Sequence[bytes], width: int, height: int, duration_s: int, label: str
    ) -> bytes:
        self.asked.append({"prompt": prompt, "pictures": len(pictures), "size": (width, height), "label": label})
        return MP4


@dataclass
class Stage:
    """Everything running: emulators, adapters, and files under `address`, with the callbacks that came in."""

    sandbox: SandboxGateways
    render: TinyRender
    shortapi: ShortApi
    hiapi: HiApi
    pixeldojo: PixelDojo
    address: str
    files: dict[str, bytes]
    callbacks: list[tuple[dict[str, str], bytes]]
    callback_statuses: list[int]

    def gateway(self, name: str) -> Any:
        return getattr(self, name)

    def stand(self, name: str) -> Stand:
        found: Stand = getattr(self.sandbox, name)
        return found

    def picture_addresses(self, count: int) -> tuple[str, ...]:
        return tuple(f"{self.address}/files/good.jpg?n={number}" for number in range(count))

    async def ended(self, name: str) -> SandboxJob:
        """The newest job of an emulator, once it has ended."""
        job = list(self.stand(name).jobs.values())[-1]
        await job.ended.wait()
        return job


@asynccontextmanager
async def stage(
    *, pace: Pace | None = None, limits: RequestLimits | None = None, hiapi_signing_key: str = ""
) -> AsyncIterator[Stage]:
    """Open it all; nothing in it sleeps unless `pace` says so."""
    async with AsyncExitStack() as stack:
        files = {"good.jpg": picture()}
        callbacks: list[tuple[dict[str, str], bytes]] = []
        statuses: list[int] = []
        address = await _serve(stack, files, callbacks, statuses)
        render = TinyRender()
        sandbox = await stack.enter_async_context(
            SandboxGateways.start(
                render=render,
                pace=pace or Pace(job_s=0, callback_delays_s=(0, 0)),
                limits=limits,
                hiapi_signing_key=hiapi_signing_key,
            )
        )
        shortapi = ShortApi(key=SecretStr(sandbox.shortapi.key), base_url=sandbox.shortapi.base_url)
        hiapi = HiApi(key=SecretStr(sandbox.hiapi.key), base_url=f"{sandbox.hiapi.base_url}/v1")
        pixeldojo = PixelDojo(
            key=SecretStr(sandbox.pixeldojo.key), base_url=sandbox.pixeldojo.base_url, credit_usd=Decimal("0.02")
        )
        for gateway in (shortapi, hiapi, pixeldojo):
            stack.push_async_callback(gateway.aclose)
        yield Stage(sandbox, render, shortapi, hiapi, pixeldojo, address, files, callbacks, statuses)


async def _serve(
    stack: AsyncExitStack,
    files: dict[str, bytes],
    callbacks: list[tuple[dict[str, str], bytes]],
    statuses: list[int],
) -> str:
    async def hand_out(request: web.Request) -> web.Response:
        content = files.get(request.match_info["name"])
        return web.Response(body=content) if content is not None else web.Response(status=404)

    async def called_back(request: web.Request) -> web.Response:
        callbacks.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=statuses.pop(0) if statuses else 200)

    app = web.Application()
    app.add_routes([web.get("/files/{name}", hand_out), web.post("/callback", called_back)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"
