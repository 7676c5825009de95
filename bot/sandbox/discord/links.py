"""Signed, expiring CDN addresses: making them and judging them."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote

from bot.sandbox.discord.files import StoredFile


class Links:
    """Every address says when it was issued (`is`), when it ends (`ex`), and is signed (`hm`)."""

    def __init__(self, now: Callable[[], datetime], life_s: int) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self.life_s = life_s
        self.base = ""

    def sign(self, stored: StoredFile, *, proxy: bool = False) -> str:
        issued = int(self._now().timestamp())
        expires = issued + self.life_s
        path = quote(stored.path)
        query = f"ex={expires:x}&is={issued:x}&hm={self._signature(stored.path, f'{expires:x}', f'{issued:x}')}&"
        return f"{self.base}{'/media' if proxy else ''}{path}?{query}"

    def holds(self, path: str, query: Mapping[str, str]) -> bool:
        expires, issued = query.get("ex", ""), query.get("is", "")
        if not hmac.compare_digest(query.get("hm", ""), self._signature(path, expires, issued)):
            return False
        return self._now().timestamp() < int(expires, 16)

    def _signature(self, path: str, expires: str, issued: str) -> str:
        return hmac.new(self._key, f"{path}|{expires}|{issued}".encode(), hashlib.sha256).hexdigest()
