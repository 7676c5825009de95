"""What every REST request goes through: faults, authorization, limits, body, document check, handler, log."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aiohttp import web

from bot.sandbox.discord.call import Answer, Call, read_body
from bot.sandbox.discord.errors import ApiError, unauthorized
from bot.sandbox.discord.faults import Fault, FaultKind, Faults
from bot.sandbox.discord.openapi import Mismatch, OpenApi
from bot.sandbox.discord.ratelimit import RateLimits
from bot.sandbox.discord.world import World

Handler = Callable[[Call], Answer]
WITHOUT_TOKEN = ("/interactions/", "/webhooks/", "/gateway")
MAJOR = ("channel_id", "guild_id", "webhook_id", "webhook_token", "interaction_token")
REQUESTS_KEPT = 20_000
SERVER_ERRORS_FROM = 500
NOT_FOUND, TOO_MANY = 404, 429


class Route(NamedTuple):
    """A route by Discord's own template, and what answers it."""

    method: str
    template: str
    handler: Handler


@dataclass(frozen=True)
class Request:
    """A line of the request log."""

    method: str
    route: str
    path: str
    status: int
    duration_s: float
    at: datetime


class Pipeline:
    """Keeps the log of requests and the list of disagreements with Discord's OpenAPI document."""

    def __init__(
        self,
        *,
        bot_token: str,
        world: World,
        limits: RateLimits,
        faults: Faults,
        openapi: OpenApi | None,
    ) -> None:
        self._bot_token = bot_token
        self._now = world.now
        self._world = world
        self._limits = limits
        self._faults = faults
        self._openapi = openapi
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)
        self.mismatches: list[Mismatch] = []

    def serve(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            started = asyncio.get_running_loop().time()
            response = await self._answer(route, request, started)
            duration = asyncio.get_running_loop().time() - started
            status = response.status if response is not None else 0
            self.requests.append(Request(route.method, route.template, request.path, status, duration, self._now()))
            return response if response is not None else _drop(request)

        return answer

    async def unknown_route(self, request: web.Request) -> web.StreamResponse:
        """Whatever the sandbox does not model is a 404, in the log like everything else."""
        self.requests.append(Request(request.method, "", request.path, NOT_FOUND, 0.0, self._now()))
        return json_response(Answer(NOT_FOUND, {"message": "404: Not Found", "code": 0}), {})

    async def _answer(self, route: Route, request: web.Request, arrived_at: float) -> web.Response | None:
        """None means that the connection ends without an answer."""
        method, path = route.method, request.path
        held = self._faults.meet(FaultKind.HOLD, method, path)
        if held is not None:
            await held.pause()
        if self._faults.meet(FaultKind.DROP_BEFORE, method, path) is not None:
            return None
        try:
            payload, uploads = await read_body(request, bytes_max=self._world.request_bytes_max())
        except ApiError as error:
            return self._response(route, Answer(error.status, error.body()), {})
        fault = self._faults.meet(FaultKind.ANSWER, method, path)
        if fault is not None:
            return _injected(fault)
        verdict = self._limits.take(method, route.template, _place(request.match_info))
        if not verdict.allowed:
            return _limited(verdict.retry_after_s, verdict.headers, is_global=False)
        call = Call(request.match_info, request.query, payload, uploads, arrived_at)
        answer = self._handle(route, request, call)
        held = self._faults.meet(FaultKind.HOLD_ANSWER, method, path)
        if held is not None:
            await held.pause()
        if self._faults.meet(FaultKind.DROP_AFTER, method, path) is not None:
            return None
        spoiled = self._faults.meet(FaultKind.ANSWER_AFTER, method, path)
        return _injected(spoiled) if spoiled is not None else self._response(route, answer, verdict.headers)

    def _handle(self, route: Route, request: web.Request, call: Call) -> Answer:
        try:
            if not route.template.startswith(WITHOUT_TOKEN) or route.template == "/gateway/bot":
                self._authorize(request)
            self._check_request(route, call)
            return route.handler(call)
        except ApiError as error:
            return Answer(error.status, error.body())

    def _authorize(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bot {self._bot_token}":
            raise unauthorized()

    def _check_request(self, route: Route, call: Call) -> None:
        if self._openapi is None:
            return
        mismatch = self._openapi.check_request(route.method, route.template, call.query, call.payload)
        if mismatch is not None:
            self.mismatches.append(mismatch)
            text = f"Not what the OpenAPI document says: {mismatch}"
            raise ApiError(400, 50035, "Invalid Form Body", {"_errors": [{"code": "OPENAPI", "message": text}]})

    def _response(self, route: Route, answer: Answer, headers: Mapping[str, str]) -> web.Response:
        if self._openapi is not None and answer.status < SERVER_ERRORS_FROM:
            mismatch = self._openapi.check_answer(route.method, route.template, answer.status, answer.body)
            if mismatch is not None:
                self.mismatches.append(mismatch)
        return json_response(answer, headers)


def json_response(answer: Answer, headers: Mapping[str, str]) -> web.Response:
    """Exactly `application/json`: discord.py takes the type with a charset for text."""
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    body = json.dumps(answer.body, separators=(",", ":")).encode()
    return web.Response(status=answer.status, body=body, headers={**headers, "Content-Type": "application/json"})


def _limited(retry_after_s: float, headers: Mapping[str, str], *, is_global: bool, code: int = 0) -> web.Response:
    """Via is what tells Discord's own 429 from one of the network before it."""
    body = {
        "message": "You are being rate limited.",
        "retry_after": round(retry_after_s, 3),
        "global": is_global,
        "code": code,
    }
    scope = "global" if is_global else "user"
    extra = {"Via": "1.1 sandbox", "Retry-After": f"{retry_after_s:.3f}", "X-RateLimit-Scope": scope}
    if is_global:
        extra["X-RateLimit-Global"] = "true"
    return json_response(Answer(TOO_MANY, body), {**headers, **extra})


def _injected(fault: Fault) -> web.Response:
    if fault.status == TOO_MANY and fault.with_via:
        return _limited(fault.retry_after_s, {}, is_global=fault.is_global, code=fault.code)
    if fault.status == TOO_MANY:
        return web.Response(status=fault.status, text="error code: 1015")
    if fault.status >= SERVER_ERRORS_FROM:
        return web.Response(status=fault.status, text="upstream connect error")
    return json_response(Answer(fault.status, {"message": f"{fault.status}: injected", "code": fault.code}), {})


def _place(match_info: Mapping[str, str]) -> str:
    return "+".join(match_info[name] for name in MAJOR if name in match_info)


def _drop(request: web.Request) -> web.StreamResponse:
    """Ends the connection; the response that aiohttp wants to see goes nowhere."""
    if request.transport is not None:
        with contextlib.suppress(OSError):
            request.transport.abort()
    return web.Response()
