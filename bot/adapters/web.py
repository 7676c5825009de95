"""The bot's own web server, and pictures and videos at signed addresses that expire."""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlencode

from aiohttp import web
from aiohttp.http import HttpProcessingError

from bot.domain.errors import StartFailed
from bot.domain.ports import Clock, Library

log = logging.getLogger(__name__)

PICTURE: Final = "picture"
VIDEO: Final = "video"

# A gateway fetches pictures when it starts the job, which may wait in its own line.
PICTURE_LIFE: Final = timedelta(days=1)
VIDEO_LIFE: Final = timedelta(days=30)

_BODY_BYTES_MAX = 64_000
_IDLE_MAX_S = 75.0
_UNREAD_MAX_S = 2.0
_STOP_MAX_S = 5.0
SECRET_NOTE: Final = "media_secret"  # noqa: S105 (the name of a note, not a secret)
_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}\.[0-9a-z]{3}")
# What each kind may be, and the type it is served as; nothing that a browser would run.
_TYPES = {
    PICTURE: {".jpg": "image/jpeg", ".png": "image/png"},
    VIDEO: {".mp4": "video/mp4"},
}


class Notes(Protocol):
    """The part of the store that remembers small facts."""

    async def note(self, key: str) -> str | None: ...

    async def set_note(self, key: str, value: str) -> None: ...


async def media_secret(notes: Notes) -> bytes:
    """Return the key that signs media addresses, made at the first call and kept: addresses outlive a restart."""
    stored = await notes.note(SECRET_NOTE)
    if stored is None:
        stored = secrets.token_hex(32)
        await notes.set_note(SECRET_NOTE, stored)
    return bytes.fromhex(stored)


class MediaLinks:
    """Makes and judges addresses of media: each names one file, a time, and an HMAC-SHA256 over both."""

    def __init__(self, secret: bytes, public_url: str, clock: Clock, *, video_life: timedelta = VIDEO_LIFE) -> None:
        self._secret = secret
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._lives = {PICTURE: PICTURE_LIFE, VIDEO: video_life}

    def picture(self, name: str) -> str:
        return self._link(PICTURE, name)

    def video(self, name: str) -> str:
        return self._link(VIDEO, name)

    def holds(self, kind: str, name: str, *, until: str, signature: str) -> bool:
        """Say whether the signature is ours and the time not over."""
        expected = self._signature(kind, name, until)
        # Only after the signature held is `until` surely the number we wrote.
        return hmac.compare_digest(expected.encode(), signature.encode()) and self._now_s() < int(until)

    def _link(self, kind: str, name: str) -> str:
        until = str(self._now_s() + int(self._lives[kind].total_seconds()))
        query = urlencode({"until": until, "sig": self._signature(kind, name, until)})
        return f"{self._public_url}/media/{kind}/{quote(name)}?{query}"

    def _signature(self, kind: str, name: str, until: str) -> str:
        return hmac.new(self._secret, f"{kind}/{name}?{until}".encode(), hashlib.sha256).hexdigest()

    def _now_s(self) -> int:
        return int(self._clock.now().timestamp())


class MediaRoutes:
    """Serves files of the library; every wrong address gets the same 404."""

    def __init__(self, library: Library, links: MediaLinks) -> None:
        self._library = library
        self._links = links

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/media/{kind}/{name}", self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        kind, name = request.match_info["kind"], request.match_info["name"]
        until, signature = request.query.get("until", ""), request.query.get("sig", "")
        suffix = Path(name).suffix
        content_type = _TYPES.get(kind, {}).get(suffix)
        if content_type is None or not _NAME.fullmatch(name):
            raise web.HTTPNotFound
        if not self._links.holds(kind, name, until=until, signature=signature):
            raise web.HTTPNotFound
        path = self._library.path(name)
        if not await asyncio.to_thread(path.is_file):
            raise web.HTTPNotFound
        headers = {
            "Content-Type": content_type,
            "Content-Disposition": f'inline; filename="{kind}{suffix}"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'",
            "Cache-Control": "private",
        }
        # It serves ranges, which players ask for.
        return web.FileResponse(path, headers=headers)


class WebServer:
    """Listens on one address. `routes` come from whoever answers them: media, callbacks, health."""

    def __init__(self, routes: Sequence[web.RouteDef], *, host: str, port: int) -> None:
        application = web.Application(client_max_size=_BODY_BYTES_MAX)
        application.add_routes(routes)
        self._runner = web.AppRunner(
            application,
            handle_signals=False,
            logger=_own_faults(),
            # It would hold signed addresses and tokens.
            access_log=None,
            # A signature covers the bytes as they came, and small bodies can unpack into gigabytes.
            auto_decompress=False,
            # Whoever asks for nothing more, or goes on sending what is not read, does not keep a connection for long.
            keepalive_timeout=_IDLE_MAX_S,
            lingering_time=_UNREAD_MAX_S,
            # A video that somebody fetches slowly does not hold up the end of the process.
            shutdown_timeout=_STOP_MAX_S,
        )
        self._host = host
        self._port = port

    @property
    def port(self) -> int:
        """The port listened on; after `open` the real one where 0 was asked for."""
        address = next(iter(self._runner.addresses), None)
        return int(address[1]) if address is not None else self._port

    async def open(self) -> None:
        """Start listening.

        Raises:
            StartFailed: the address cannot be used.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise StartFailed(
                f"HTTP_HOST={self._host} HTTP_PORT={self._port} cannot be listened on ({error.strerror}). "
                "Choose a free port, for example HTTP_PORT=8080."
            ) from error
        log.info("web server listening host=%s port=%s", self._host, self.port)

    async def aclose(self) -> None:
        """Stop listening, then wait up to 5 s for answers under way."""
        await self._runner.cleanup()


def _own_faults() -> logging.Logger:
    """Return a logger for faults of ours: what is no HTTP is its sender's, and its bytes may hold a token."""
    faults = logging.Logger("aiohttp.server")  # noqa: LOG001 - a filter on the shared one would outlive this server
    faults.parent = log
    faults.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
    return faults
