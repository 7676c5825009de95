"""What the three adapters share: addresses, waiting times, amounts, ids, and connections."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from pydantic import SecretStr

from bot.adapters.gateways import http
from bot.domain.errors import GatewayUnavailable, SubmissionUnconfirmed

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("0", 0.0),
        ("5", 5.0),
        ("36000", 3_600.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2026 12:00:00 GMT", 3_600.0),
        ("Fri, 20 Nov 2026 12:00:30", None),
        ("tomorrow", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_an_hour(text: str | None, expected_s: float | None) -> None:
    assert http.read_retry_after(text, now=NOW) == expected_s


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.645", 645_000),
        (0.645, 645_000),
        (20, 20_000_000),
        ("0.0000001", 1),
        ("-1", None),
        ("NaN", None),
        ("1e999999", None),
        ("1e9", None),
        (True, None),
        (None, None),
        ({}, None),
        ("free", None),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(value: object, expected: int | None) -> None:
    assert http.read_microusd(value) == expected


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (("a", "b"), "a"),
        ((None, "", "b"), "b"),
        ((17,), "17"),
        ((True, {}, [], 1.5), None),
        (("..", ".", " ", "a b", "a\nb", "x" * 201), None),
        (("a/b?c",), "a/b?c"),
    ],
)
def test_an_id_is_visible_text_that_stays_one_part_of_a_path(
    candidates: tuple[object, ...], expected: str | None
) -> None:
    assert http.read_id(*candidates) == expected
    assert "/" not in http.path_part(expected or "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1777886899, datetime(2026, 5, 4, 9, 28, 19, tzinfo=UTC)),
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T12:00:00+02:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        (0, None),
        (1e30, None),
        ("soon", None),
        (None, None),
    ],
)
def test_a_time_is_aware_or_none(value: object, expected: datetime | None) -> None:
    assert http.read_time(value) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("api.example", "must look like"),
        ("ftp://api.example", "must look like"),
        ("https://", "must look like"),
        ("https://user:word@api.example", "must look like"),
        ("https://api.example?x=1", "must look like"),
        ("http://api.example", "must start with https"),
        ("http://192.168.0.7", "must start with https"),
    ],
)
def test_a_wrong_address_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        http.read_base(text, prefix="/v1")


@pytest.mark.parametrize(
    ("text", "own_host"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1"),
        ("http://localhost:8080/v1", "localhost"),
        ("http://[::1]:8080", "::1"),
        ("https://api.example", None),
    ],
)
def test_only_a_loopback_address_is_this_machines_own(text: str, own_host: str | None) -> None:
    assert http.read_base(text, prefix="/v1").own_host == own_host


def wire(transport: httpx.AsyncBaseTransport | None = None, base: str = "https://api.example") -> http.Wire:
    return http.Wire(
        gateway="some",
        base=http.read_base(base, prefix="/v1"),
        key=SecretStr("k"),
        hosts=(),
        transport=transport,
    )


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, zstd", "compress"])
async def test_an_answer_in_an_encoding_that_was_not_asked_for_stays_unread(encoding: str) -> None:
    async def packed() -> AsyncIterator[bytes]:
        yield b"never read"

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return httpx.Response(200, headers={"Content-Encoding": encoding}, content=packed())

    connection = wire(httpx.MockTransport(handler))

    answer = await connection.post_paid("/x", b"{}")
    await connection.aclose()

    assert (answer.content, answer.payload()) == (b"", None)


async def test_a_huge_answer_is_cut_and_therefore_unreadable() -> None:
    content = b'{"data": "' + b"x" * http.ANSWER_BYTES_MAX + b'"}'
    connection = wire(httpx.MockTransport(lambda _: httpx.Response(200, content=content)))

    with pytest.raises(GatewayUnavailable):
        await connection.get("/x")
    await connection.aclose()


async def test_a_status_that_came_without_its_whole_body_is_unconfirmed() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"code": 402,'
        raise httpx.ReadError("reset")

    connection = wire(httpx.MockTransport(lambda _: httpx.Response(402, content=broken())))

    with pytest.raises(SubmissionUnconfirmed):
        await connection.post_paid("/x", b"{}")
    await connection.aclose()


async def test_a_read_that_needs_no_key_shows_none() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    connection = wire(httpx.MockTransport(handler))

    await connection.get("/x", public=True)
    await connection.get("/x")
    await connection.aclose()

    assert ["Authorization" in request.headers for request in seen] == [False, True]


@pytest.mark.wire
async def test_every_paid_post_makes_a_connection_of_its_own_and_reads_share_one() -> None:
    first_lines: list[list[bytes]] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines: list[bytes] = []
        first_lines.append(lines)
        serving.add(asyncio.current_task())
        while line := await reader.readline():
            lines.append(line)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2 if line.startswith(b"POST") else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = wire(base=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    for _ in range(3):
        await connection.post_paid("/x", b"{}")
        await connection.get("/x")
    await connection.aclose()
    await asyncio.wait([task for task in serving if task])
    server.close()

    assert sorted(len(lines) for lines in first_lines) == [1, 1, 1, 3]


def test_decimals_keep_their_places() -> None:
    assert http.read_decimal("0.10") == Decimal("0.10")
