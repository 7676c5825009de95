"""The CDN: GET and HEAD of uploaded files at signed addresses, whole or in ranges."""

import re

from aiohttp import web

from bot.sandbox.discord.files import FileStore
from bot.sandbox.discord.links import Links

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
GONE = "This content is no longer available."


class Cdn:
    """Anything expired, unsigned or removed is a plain 404."""

    def __init__(self, files: FileStore, links: Links) -> None:
        self._files = files
        self._links = links

    async def serve(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/media")
        stored = self._files.get(path)
        if stored is None or not self._links.holds(path, request.query):
            return web.Response(status=404, text=GONE)
        headers = {
            "Content-Type": stored.content_type or "application/octet-stream",
            "Accept-Ranges": "bytes",
            "Cache-Control": f"private, max-age={self._links.life_s}",
            "Access-Control-Allow-Origin": "*",
        }
        wanted = _wanted(request.headers.get("Range", ""), len(stored.data))
        if wanted is None:
            return web.Response(body=stored.data, headers=headers)
        first, last = wanted
        total = len(stored.data)
        if first >= total or first > last:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{total}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        return web.Response(status=206, body=stored.data[first : last + 1], headers=headers)


def _wanted(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a range header, None when there is none to honour."""
    found = RANGE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size - 1
    return int(found[1]), min(int(found[2] or size - 1), size - 1)
