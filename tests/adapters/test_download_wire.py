"""The one download on a real socket: servers that break the rules of HTTP, of time and of TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from pydantic import SecretStr

from bot.adapters.gateways.download import download
from bot.adapters.gateways.shortapi import ShortApi
from bot.domain.errors import GatewayError, GatewayUnavailable, SubmissionRefused, VideoUnusable
from bot.domain.job import Attempt
from tests.fakes import START

MP4 = b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 2_000
SENT = "HTTP/1.1 200 OK\r\n"
NAME = "video.gallop.test"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer every request in the way given, on a port of this machine."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def saying(*parts: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    return answer


def repeating(head: bytes, part: bytes, *, pause_s: float = 0.0) -> Answer:
    """Say the head, and then the part without end."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


async def run(port: int, target: Path, **options: Any) -> None:
    settings: dict[str, Any] = {"hosts": (), "own_host": "127.0.0.1", "bytes_max": 100_000, "timeout_s": 5} | options
    async with httpx.AsyncClient(trust_env=False) as client:
        await download(f"http://127.0.0.1:{port}/v.mp4", target, gateway="shortapi", client=client, **settings)


def lying(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def failure(answer: Answer, folder: Path, **options: Any) -> GatewayError:
    async with server(answer) as port:
        with pytest.raises(GatewayError) as caught:
            await run(port, folder / "v.mp4", **options)
    assert lying(folder) == []
    return caught.value


def whole(*headers: str, body: bytes = MP4) -> bytes:
    return (SENT + "".join(f"{header}\r\n" for header in headers) + "\r\n").encode() + body


CHUNK = f"{len(MP4):x}\r\n".encode() + MP4 + b"\r\n"
GOOD = {
    "a length": whole(f"Content-Length: {len(MP4)}"),
    "no length": whole(),
    "chunks": whole("Transfer-Encoding: chunked", body=CHUNK + b"0\r\n\r\n"),
    "more than the length says": whole(f"Content-Length: {len(MP4)}", body=MP4 + b"HTTP/1.1 200 OK\r\n\r\n<html>"),
    "a hint first": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + whole(f"Content-Length: {len(MP4)}"),
}


@pytest.mark.parametrize("kind", GOOD)
async def test_exactly_the_body_is_written(kind: str, tmp_path: Path) -> None:
    async with server(saying(GOOD[kind])) as port:
        await run(port, tmp_path / "v.mp4")

    assert (tmp_path / "v.mp4").read_bytes() == MP4


UNAVAILABLE = {
    "less than the length says": whole(f"Content-Length: {len(MP4) + 1}"),
    "far less than it says": whole("Content-Length: 99999999999999999999"),
    "a chunk that breaks off": whole("Transfer-Encoding: chunked", body=CHUNK[:-100]),
    "chunks without an end": whole("Transfer-Encoding: chunked", body=CHUNK),
    "a chunk of a nonsense length": whole("Transfer-Encoding: chunked", body=b"-1\r\n" + MP4),
    "two lengths": whole(f"Content-Length: {len(MP4)}", "Content-Length: 5"),
    "a length that is none": whole("Content-Length: many"),
    "packed by the transfer": whole("Transfer-Encoding: gzip, chunked", body=CHUNK + b"0\r\n\r\n"),
    "headers of a megabyte": whole("X-Long: " + "a" * 1_000_000),
    "a hundred thousand headers": whole(*(f"X-{n}: a" for n in range(100_000))),
    "a status line without end": b"HTTP/1.1 200 " + b"O" * 1_000_000,
    "a header with a break in it": whole("X-Bad: a\0b"),
    "no HTTP at all": b"220 ftp.example.org ready\r\n",
    "nothing": b"",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + MP4,
}


@pytest.mark.parametrize("kind", UNAVAILABLE)
async def test_an_answer_against_the_rules_is_only_unavailable_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    assert isinstance(await failure(saying(UNAVAILABLE[kind]), tmp_path), GatewayUnavailable)


DRIPS = {
    "a body byte by byte": repeating(whole(f"Content-Length: {10**9}"), b"\0", pause_s=0.01),
    "headers byte by byte": repeating(SENT.encode() + b"X-Slow: ", b"a", pause_s=0.01),
    "hints without end": repeating(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "chunks of one byte": repeating(whole("Transfer-Encoding: chunked", body=CHUNK), b"1\r\n\0\r\n", pause_s=0.01),
    "silence": repeating(b"", b"", pause_s=0.05),
}


@pytest.mark.parametrize("kind", DRIPS)
async def test_a_server_that_takes_its_time_meets_the_deadline(kind: str, tmp_path: Path) -> None:
    assert isinstance(await failure(DRIPS[kind], tmp_path, timeout_s=0.3), GatewayUnavailable)


@pytest.mark.parametrize("head", [whole("Content-Length: 99999999999"), whole()], ids=["announced", "unannounced"])
async def test_a_body_without_end_is_cut_at_the_limit(head: bytes, tmp_path: Path) -> None:
    found = await failure(repeating(head, bytes(65_536)), tmp_path)

    assert isinstance(found, VideoUnusable)
    assert found.detail == "over 100000 bytes"


async def test_the_body_of_a_redirect_is_not_read(tmp_path: Path) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 99999999999\r\n\r\n"

    assert isinstance(await failure(repeating(head, bytes(65_536)), tmp_path), VideoUnusable)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of these tests alone."""
    return trustme.CA()


def certified(authority: trustme.CA, name: str = NAME) -> ssl.SSLContext:
    """Serve under a certificate that is good for one name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def run_tls(port: int, target: Path, *, name: str, trusted: trustme.CA | None) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    tls = httpx.create_ssl_context(trust_env=False)
    if trusted is not None:
        trusted.configure_trust(tls)
    options = {"hosts": (), "own_host": name, "bytes_max": 100_000, "timeout_s": 5, "resolve": resolve}
    async with httpx.AsyncClient(verify=tls, trust_env=False) as client:
        await download(f"https://{name}:{port}/v.mp4", target, gateway="shortapi", client=client, **options)


async def test_a_certificate_must_be_for_the_name_although_the_address_is_connected(
    tmp_path: Path, authority: trustme.CA
) -> None:
    async with server(saying(GOOD["a length"]), certified(authority)) as port:
        await run_tls(port, tmp_path / "v.mp4", name=NAME, trusted=authority)
        assert (tmp_path / "v.mp4").read_bytes() == MP4
        (tmp_path / "v.mp4").unlink()

        with pytest.raises(GatewayUnavailable, match="ConnectError"):
            await run_tls(port, tmp_path / "v.mp4", name="other.gallop.test", trusted=authority)

    assert lying(tmp_path) == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, authority: trustme.CA) -> None:
    async with server(saying(GOOD["a length"]), certified(authority)) as port:
        with pytest.raises(GatewayUnavailable, match="ConnectError"):
            await run_tls(port, tmp_path / "v.mp4", name=NAME, trusted=None)

    assert lying(tmp_path) == []


async def test_a_gateway_checks_certificates_and_asks_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    asked: list[str] = []

    async def overhear(writer: asyncio.StreamWriter) -> None:
        asked.append("the proxy")

    async with server(saying(GOOD["a length"]), certified(authority, "127.0.0.1")) as port, server(overhear) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        attempt = Attempt("j1", 1, "shortapi", "m", b"{}", "key", "token", START, price_microusd=1)
        gateway = ShortApi(key=SecretStr("ak-key"), base_url=f"https://127.0.0.1:{port}")
        with pytest.raises(GatewayUnavailable, match="ConnectError"):
            await gateway.fetch(f"https://127.0.0.1:{port}/v.mp4", tmp_path / "v.mp4")
        with pytest.raises(GatewayUnavailable, match="ConnectError"):
            await gateway.read("j1")
        with pytest.raises(SubmissionRefused, match="ConnectError"):
            await gateway.submit(attempt)
        await gateway.aclose()

    assert asked == []
    assert lying(tmp_path) == ["authority.pem"]
