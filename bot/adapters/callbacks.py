"""Takes in what gateways report by themselves: a hint to read a job now, and nothing else is believed of it."""

import asyncio
import hmac
import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

from aiohttp import web

from bot.domain.errors import StoreFailed
from bot.domain.job import Attempt, BilledSource
from bot.domain.ports import Clock, Gateway

log = logging.getLogger(__name__)

# A callback repeats the request at most, and a prompt is the longest part of that.
BODY_BYTES_MAX: Final = 64_000
# HiAPI waits 10 s for an answer (docs.hiapi.ai/async-api, callbacks).
BODY_TIMEOUT_S: Final = 10.0
AT_ONCE_MAX: Final = 32
_PATH: Final = "/callbacks/{gateway}/{job_id}/{token}"
_PART = re.compile(r"[0-9A-Za-z_-]{1,64}")


class CallbackLinks:
    """The Callbacks of bot.domain.ports under PUBLIC_URL; without one nobody is asked to call back."""

    def __init__(self, public_url: str | None) -> None:
        self._root = public_url.rstrip("/") if public_url else None

    def address(self, *, gateway: str, job_id: str, token: str) -> str | None:
        return f"{self._root}/callbacks/{gateway}/{job_id}/{token}" if self._root else None


class Hints(Protocol):
    """The part of the store that callbacks need."""

    async def attempts(self, job_id: str) -> list[Attempt]: ...

    async def hint(self, job_id: str, *, number: int, gateway_job_id: str | None, now: datetime) -> None: ...


class CallbackRoutes:
    """Answers ``POST /callbacks/{gateway}/{job_id}/{token}``, with 200 once the hint is durable.

    404: no such attempt; the same for every part that is wrong, before a byte of the body is read. 413, 408, 400: the
    body is too large, too slow or broken. 401: its signature is missing or wrong. 503: the hint could not be kept, or
    too many callbacks come at once; the gateway is expected to call again.
    """

    def __init__(
        self,
        *,
        store: Hints,
        gateways: Mapping[str, Gateway],
        clock: Clock,
        wake: Callable[[], None],
        at_once_max: int = AT_ONCE_MAX,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._clock = clock
        self._wake = wake
        self._left = at_once_max
        self._body_timeout_s = body_timeout_s

    def routes(self) -> list[web.RouteDef]:
        return [web.post(_PATH, self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        if not self._left:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        self._left -= 1
        try:
            await self._note(request)
        except StoreFailed as error:
            log.error("callback not kept, the gateway must call again job_id=%s", request.match_info["job_id"])
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from error
        finally:
            self._left += 1
        return web.Response()

    async def _note(self, request: web.Request) -> None:
        attempt = await self._attempt(**request.match_info)
        gateway = self._gateways[attempt.gateway]
        body = await self._body(request)
        now = self._clock.now()
        if not gateway.is_genuine(request.headers, body, now=now):
            log.warning("callback without a genuine signature job_id=%s gateway=%s", attempt.job_id, attempt.gateway)
            raise web.HTTPUnauthorized
        gateway_job_id = gateway.callback_job_id(body)
        await self._store.hint(attempt.job_id, number=attempt.number, gateway_job_id=gateway_job_id, now=now)
        self._wake()
        if _was_refused(attempt):
            log.error("callback for a refused attempt job_id=%s gateway=%s", attempt.job_id, attempt.gateway)
        else:
            log.info("callback noted job_id=%s gateway=%s", attempt.job_id, attempt.gateway)

    async def _attempt(self, *, gateway: str, job_id: str, token: str) -> Attempt:
        if gateway not in self._gateways or not _PART.fullmatch(job_id) or not _PART.fullmatch(token):
            raise web.HTTPNotFound
        found = [
            attempt
            for attempt in await self._store.attempts(job_id)
            if attempt.gateway == gateway and hmac.compare_digest(attempt.callback_token, token)
        ]
        if not found:
            raise web.HTTPNotFound
        return found[-1]

    async def _body(self, request: web.Request) -> bytes:
        declared = request.content_length or 0
        if declared > BODY_BYTES_MAX:
            raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, declared)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                while chunk := await request.content.readany():
                    body += chunk
                    if len(body) > BODY_BYTES_MAX:
                        raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, len(body))
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise web.HTTPBadRequest from error
        return bytes(body)


def _was_refused(attempt: Attempt) -> bool:
    """Say whether the gateway certainly started nothing for it, so that nothing should report."""
    refused = attempt.billed_microusd == 0 and attempt.billed_source is BilledSource.REPORTED
    return refused and attempt.gateway_job_id is None
