"""What goes wrong with a gateway is told in our own words: httpx's hold addresses, headers and keys."""

import io
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bot.adapters.gateways.hiapi import HiApi
from bot.adapters.gateways.pixeldojo import PixelDojo
from bot.adapters.gateways.shortapi import ShortApi
from bot.domain.errors import GatewayError
from bot.domain.job import Attempt
from bot.domain.ports import Gateway
from bot.logs import Redactor, configure
from tests.fakes import START

KEY = "canary-0123456789abcdef"
SIGNED = "https://file.shortapi.ai/v.mp4?Signature=canary-signature"
TOLD = f"Illegal header value b'Bearer {KEY}' for {SIGNED}"
GATEWAYS = {
    "shortapi": (ShortApi, "https://file.shortapi.ai/v.mp4?sig=canary"),
    "hiapi": (HiApi, "https://file.hiapi.ai/v.mp4?sig=canary"),
    "pixeldojo": (PixelDojo, "https://file.pixeldojo.ai/v.mp4?sig=canary"),
}
ATTEMPT = Attempt("j1", 1, "any", "m", b"{}", "idempotency", "canary-token", START, price_microusd=1)

Raise = Callable[[httpx.Request], httpx.Response]


def failures(kind: type[Exception] = httpx.HTTPError) -> Iterator[type[Exception]]:
    """Yield every kind of httpx's errors that a transport can raise."""
    for inner in kind.__subclasses__():
        yield inner
        yield from failures(inner)


WAYS = [
    *(kind for kind in failures() if kind is not httpx.HTTPStatusError),
    *(httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, OSError, TimeoutError),
]


def raising(kind: type[Exception]) -> Raise:
    def handler(_: httpx.Request) -> httpx.Response:
        raise kind(TOLD)

    return handler


def echoing(status: int) -> Raise:
    """Answer with everything that was asked, in the body and in a header."""

    def handler(request: httpx.Request) -> httpx.Response:
        told = f"{request.url} {request.headers.raw} {TOLD}"
        body = {"code": status, "message": told, "error": {"message": told}, "detail": [told], "data": None}
        return httpx.Response(status, headers={"X-Echo": told, "Retry-After": KEY}, content=json.dumps(body))

    return handler


async def resolve(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The real log, with the root's own handlers put back afterwards."""
    root, written = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    configure(level="DEBUG", secrets=[KEY], stream=written)
    yield written
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


async def submitted(gateway: Gateway, address: str, folder: Path) -> None:
    await gateway.submit(ATTEMPT)


async def was_read(gateway: Gateway, address: str, folder: Path) -> None:
    await gateway.read("gateway-job")


async def fetched(gateway: Gateway, address: str, folder: Path) -> None:
    await gateway.fetch(address, folder / "v.mp4")


CALLS = [submitted, was_read, fetched]


async def said_of(
    name: str, handler: Raise, call: Callable[[Gateway, str, Path], Awaitable[None]], folder: Path
) -> str:
    """Return all that the error of a call says, after logging it in every way the bot has."""
    kind, address = GATEWAYS[name]
    gateway = kind(key=SecretStr(KEY), transport=httpx.MockTransport(handler), resolve=resolve)
    log = logging.getLogger("bot.domain.sample")
    try:
        await call(gateway, address, folder)
    except GatewayError as error:
        log.warning("read failed detail=%s", error.detail, exc_info=True)
        log.exception("submission broke error=%r", error)
        return f"{error} {error!r} {error.detail}"
    finally:
        await gateway.aclose()
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", GATEWAYS)
async def test_an_error_of_httpx_is_told_without_its_words(
    name: str, call: Callable[[Gateway, str, Path], Awaitable[None]], tmp_path: Path, log: io.StringIO
) -> None:
    for way in WAYS:
        said = await said_of(name, raising(way), call, tmp_path)

        assert "canary" not in said
    assert log.getvalue().count("submission broke") == len(WAYS)
    assert "canary" not in log.getvalue()


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", GATEWAYS)
async def test_an_answer_that_repeats_the_key_is_told_without_it(
    name: str, call: Callable[[Gateway, str, Path], Awaitable[None]], status: int, tmp_path: Path, log: io.StringIO
) -> None:
    said = await said_of(name, echoing(status), call, tmp_path)

    assert "canary" not in said
    assert "canary" not in log.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "/callbacks/hiapi/k7m2p9q4r8s3t6v1/canary-token_0123456789",
        "https://gallop.example.org/callbacks/shortapi/k7m2p9q4r8s3t6v1/canary-token_0123456789",
        "POST /callbacks/pixeldojo/k7m2p9q4r8s3t6v1/canary-token_0123456789 HTTP/1.1",
    ],
)
def test_the_token_of_a_callbacks_address_is_masked_by_its_look(path: str) -> None:
    assert "canary" not in Redactor()(path)
    assert "/callbacks/" in Redactor()(path)
