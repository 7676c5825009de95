"""The front of every emulator: key, request limit, refusals in the gateway's envelope, and faults of the wire."""

import time
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import web

from bot.sandbox.gateways.books import Received, Stand
from bot.sandbox.gateways.faults import ReadFault, Refused, SubmitFault
from bot.sandbox.gateways.schema import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refuse = Callable[[Refused, str], web.Response]

WINDOW_S = 60.0
HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Front:
    """Guards one emulator. `refuse` writes a refusal in the gateway's own envelope."""

    def __init__(self, stand: Stand, *, refuse: Refuse, requests_per_min: int, concurrent_max: int = 100) -> None:
        self.stand = stand
        self._refuse = refuse
        self._requests_per_min = requests_per_min
        self._concurrent_max = concurrent_max
        self._concurrent = 0
        self._times: deque[float] = deque()

    def guarded(self, handler: Handler, *, public: bool = False) -> Handler:
        """Wrap a handler: limits first, then the key (not for `public` pages), then refusals."""

        async def guard(request: web.Request) -> web.StreamResponse:
            wait_s = self._wait_s()
            if wait_s or self._concurrent >= self._concurrent_max:
                response = self._refuse(Refused.BUSY, "rate limit exceeded")
                response.headers["Retry-After"] = str(wait_s or 1)
                return self._counted(response)
            self._times.append(time.monotonic())
            self._concurrent += 1
            try:
                if not public and request.headers.get("Authorization") != f"Bearer {self.stand.key}":
                    return self._refuse(Refused.KEY, "invalid api key")
                return self._counted(await handler(request))
            except Refusal as refusal:
                return self._counted(self._refused(refusal))
            finally:
                self._concurrent -= 1

        return guard

    def _refused(self, refusal: Refusal) -> web.Response:
        response, retry_after_s = self._refuse(refusal.kind, refusal.text), self.stand.faults.retry_after_s
        if refusal.kind in {Refused.BUSY, Refused.OVERLOADED} and retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        return response

    async def receive(self, request: web.Request) -> bytes:
        """Read and book a paid POST, or refuse one that is not JSON."""
        if request.content_type != "application/json":
            raise Refusal(Refused.TYPE, "unsupported media type")
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.stand.submissions.append(Received(request.path, headers, body))
        return body

    async def submit(
        self,
        request: web.Request,
        accept: Callable[[bytes], Awaitable[web.Response]],
        *,
        without_id: Callable[[], web.Response],
    ) -> web.StreamResponse:
        """Take a paid POST, as badly as the next fault says."""
        fault = self.stand.faults.next_submit()
        if fault is SubmitFault.DROP_UNREAD:
            return drop(request)
        body = await self.receive(request)
        if isinstance(fault, Refused):
            raise Refusal(fault, _TEXTS[fault])
        if fault is SubmitFault.STALL_THEN_ACCEPT:
            await self.stand.hang()
        response = await accept(body)
        if fault is SubmitFault.ACCEPT_THEN_HANG:
            await self.stand.hang()
            return drop(request)
        spoiled: dict[SubmitFault | None, Callable[[], web.Response]] = {
            SubmitFault.ACCEPT_THEN_DROP: lambda: drop(request),
            SubmitFault.ACCEPT_THEN_500: lambda: web.Response(status=500, text="internal error"),
            SubmitFault.ACCEPT_THEN_HTML: lambda: web.Response(text=HTML, content_type="text/html"),
            SubmitFault.ACCEPT_WITHOUT_ID: without_id,
            SubmitFault.ACCEPT_BUT_SAY_REFUSED: lambda: web.Response(
                status=402, body=response.body, content_type="application/json"
            ),
        }
        return spoiled[fault]() if fault in spoiled else response

    def spoiled_read(self, request: web.Request, fault: ReadFault | None) -> web.Response | None:
        """Return the answer of a fault that needs no job, or None."""
        match fault:
            case ReadFault.DROP:
                return drop(request)
            case ReadFault.KEY:
                raise Refusal(Refused.KEY, _TEXTS[Refused.KEY])
            case ReadFault.BUSY:
                raise Refusal(Refused.BUSY, _TEXTS[Refused.BUSY])
            case ReadFault.SERVER_ERROR:
                return web.Response(status=500, text="internal error")
            case ReadFault.HTML:
                return web.Response(text=HTML, content_type="text/html")
            case ReadFault.NOT_FOUND:
                return self._refuse(Refused.NOT_FOUND, "no such job")
            case ReadFault.ENVELOPE_ERROR:
                response = self._refuse(Refused.BUSY, "temporarily busy")
                response.set_status(200)
                return response
            case _:
                return None

    def _wait_s(self) -> int:
        """Return how long to wait for the next free place in the last minute; 0 when there is one."""
        now = time.monotonic()
        while self._times and self._times[0] <= now - WINDOW_S:
            self._times.popleft()
        if len(self._times) < self._requests_per_min:
            return 0
        return max(1, round(self._times[0] + WINDOW_S - now))

    def _counted(self, response: web.StreamResponse) -> web.StreamResponse:
        if not response.prepared:
            left = max(0, self._requests_per_min - len(self._times))
            response.headers["X-RateLimit-Limit"] = str(self._requests_per_min)
            response.headers["X-RateLimit-Remaining"] = str(left)
        return response


_TEXTS = {
    Refused.KEY: "invalid api key",
    Refused.CREDIT: "insufficient balance",
    Refused.BUSY: "rate limit exceeded",
    Refused.OVERLOADED: "temporarily unavailable",
    Refused.CONTENT: "the prompt did not pass moderation",
    Refused.MODEL: "invalid model",
    Refused.REQUEST: "invalid request",
    Refused.NOT_FOUND: "not found",
    Refused.TYPE: "unsupported media type",
}


def drop(request: web.Request) -> web.Response:
    """Cut the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
