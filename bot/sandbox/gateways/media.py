"""Keeps an emulator's finished files and hands them out under signed addresses that expire."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from aiohttp import web

from bot.sandbox.gateways.books import Stand
from bot.sandbox.gateways.faults import MediaFault

_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
# Nothing may follow a gateway to a machine's own metadata service.
_FORBIDDEN = "http://169.254.169.254/video.mp4"


class Media:
    """Files under ``/media/{job}/{name}``; Range is understood, an address outlives `life_s` by nothing."""

    def __init__(self, folder: Path, stand: Stand, *, life_s: int, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._stand = stand
        self._life_s = life_s
        self._now = now
        self._secret = secrets.token_bytes(32)

    def keep(self, gateway_job_id: str, name: str, content: bytes) -> None:
        path = self._folder / gateway_job_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def ends_at(self, since: datetime) -> int:
        """Return the Unix second at which a file of that moment is gone."""
        return int(since.timestamp()) + self._life_s

    def address(self, gateway_job_id: str, name: str, *, since: datetime) -> str:
        path, ends = f"/media/{gateway_job_id}/{name}", self.ends_at(since)
        return f"{self._stand.base_url}{path}?ex={ends}&sig={self._signature(path, str(ends))}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        fault = self._stand.faults.next_media() if request.path.endswith(".mp4") else None
        if fault is MediaFault.EXPIRED or not self._holds(request):
            return web.Response(status=403, text="expired")
        if fault is MediaFault.REDIRECT:
            return web.Response(status=302, headers={"Location": _FORBIDDEN})
        path = self._folder / request.match_info["job"] / request.match_info["name"]
        content_type = _TYPES[path.suffix]
        if fault is MediaFault.TRUNCATED:
            return await _half(request, path.read_bytes(), content_type)
        if fault is MediaFault.STALLED:
            await self._stand.hang()
        if fault is MediaFault.HTML:
            return web.Response(text="<html><body>Just a moment</body></html>", content_type="text/html")
        if fault is MediaFault.EMPTY:
            return web.Response(body=b"", content_type=content_type)
        return web.FileResponse(path, headers={"Content-Type": content_type})

    def _holds(self, request: web.Request) -> bool:
        ends = request.query.get("ex", "")
        given, right = request.query.get("sig", ""), self._signature(request.path, ends)
        return hmac.compare_digest(given.encode(), right.encode()) and self._now().timestamp() < int(ends)

    def _signature(self, path: str, ends: str) -> str:
        return hmac.new(self._secret, f"{path}|{ends}".encode(), hashlib.sha256).hexdigest()


async def _half(request: web.Request, content: bytes, content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
