"""Media links under attack: every wrong address gets one and the same 404, and nothing of it becomes an exception."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.adapters.media.library import FileLibrary
from bot.adapters.web import MediaLinks, MediaRoutes, WebServer
from tests.fakes import FakeClock

PICTURE = "0123456789abcdef0123456789abcdef.png"
VIDEO = "k7m2p9q4r8s3t6v1.mp4"
PICTURE_BYTES, VIDEO_BYTES = b"a picture", b"0123456789"
SECRET_BYTES = b"ledger"
# What may differ between two answers that say the same.
PASSING = {"date"}


class Answer(NamedTuple):
    """One answer as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> tuple[int, dict[str, str], bytes]:
        """Everything a caller can learn from it."""
        return self.status, {n: v for n, v in self.headers.items() if n not in PASSING}, self.body


@dataclass
class Served:
    """The server, its links and its library; requests are sent byte by byte, as no client would."""

    links: MediaLinks
    clock: FakeClock
    library: FileLibrary
    port: int

    async def raw(self, request: bytes) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        async with asyncio.timeout(5):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            assert body in {b"", b"0\r\n\r\n"}  # only empty answers come in chunks
            body = b""
        return Answer(int(first.split()[1]), headers, body)

    async def ask(self, target: str, *, method: str = "GET", headers: str = "") -> Answer:
        head = f"{method} {target} HTTP/1.1\r\nHost: gallop.example.org\r\nConnection: close\r\n{headers}\r\n"
        return await self.raw(head.encode("utf-8", "surrogateescape"))

    def picture(self, name: str = PICTURE) -> str:
        return self.links.picture(name).removeprefix("http://set.below")

    def video(self, name: str = VIDEO) -> str:
        return self.links.video(name).removeprefix("http://set.below")


@pytest.fixture
async def served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Served]:
    """Serve one picture and one video beside the files that must never be served; the log must stay empty."""
    library, clock = FileLibrary(tmp_path / "data"), FakeClock()
    for name, data in ((PICTURE, PICTURE_BYTES), (VIDEO, VIDEO_BYTES)):
        library.path(name).parent.mkdir(parents=True, exist_ok=True)
        library.path(name).write_bytes(data)
    for place in ("gallop.db", "data/gallop.db", "data/videos/gallop.db", ".env", "data/incoming/half.mp4"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(SECRET_BYTES)
    links = MediaLinks(b"secret", "http://set.below", clock)
    server = WebServer(MediaRoutes(library, links).routes(), host="127.0.0.1", port=0)
    await server.open()
    caplog.set_level(logging.WARNING)
    yield Served(links, clock, library, server.port)
    await server.aclose()
    assert [record.getMessage() for record in caplog.records] == []


async def test_the_right_addresses_work(served: Served) -> None:
    assert (await served.ask(served.picture())).body == PICTURE_BYTES
    assert (await served.ask(served.video())).body == VIDEO_BYTES


def changed(target: str) -> dict[str, str]:
    """Return wrong neighbours of a right address."""
    path, _, query = target.partition("?")
    until, sig = query.split("&")
    moment, signature = until.partition("=")[2], sig.partition("=")[2]
    wrong_moments = {
        "garbage": "soon",
        "empty": "",
        "negative": "-1",
        "nought": "0",
        "huge": "9" * 400,
        "beyond Python's digits": "9" * 5_000,
        "a fraction": f"{moment}.5",
        "an exponent": "1e99",
        "infinite": "inf",
        "hexadecimal": "0xffffffff",
        "padded": f"+{moment}",
        "a blank before it": f"%20{moment}",
        "a blank after it": f"{moment}%20",
        "an underscore": f"{moment[:4]}_{moment[4:]}",
        "other digits": "".join(f"%D9%{0xA0 + int(digit):X}" for digit in moment),
        "a line break": f"{moment}%0A",
        "NUL": f"{moment}%00",
        "later": str(int(moment) + 1),
        "earlier": str(int(moment) - 1),
    }
    wrong_signatures = {
        "garbage": "sig",
        "empty": "",
        "one letter off": ("0" if signature[0] != "0" else "1") + signature[1:],
        "cut": signature[:-1],
        "longer": f"{signature}0",
        "upper case": signature.upper(),
        "not ASCII": "%C3%A9",
        "not UTF-8": "%FF%ED%A0%80",
        "NUL": f"{signature}%00",
        "huge": "a" * 7_000,
        "a list": f"{signature},{signature}",
    }
    return {
        **{f"until: {what}": f"{path}?until={value}&{sig}" for what, value in wrong_moments.items()},
        **{f"sig: {what}": f"{path}?{until}&sig={value}" for what, value in wrong_signatures.items()},
        "nothing signed": path,
        "an empty query": f"{path}?",
        "no signature": f"{path}?{until}",
        "no time": f"{path}?{sig}",
        "other names": f"{path}?Until={moment}&Sig={signature}",
        "a list of parameters": f"{path}?until[]={moment}&sig[]={signature}",
        "the wrong time first": f"{path}?until=9{moment}&{until}&{sig}",
        "the wrong signature first": f"{path}?{until}&sig=0&{sig}",
        "parted by a semicolon": f"{path}?{until};{sig}",
        "packed once more": f"{path}?{query.replace('=', '%3D')}",
        "in the path": f"{path}%3F{query}",
        "in the fragment": f"{path}#{query}",
    }


def misplaced(target: str) -> dict[str, str]:
    """Return what names another file, or this one in another way, with the right query."""
    path, _, query = target.partition("?")
    _, media, kind, name = path.split("/")
    other = {"picture": "video", "video": "picture"}[kind]
    places = {
        "as the other kind": f"/{media}/{other}/{name}",
        "as no kind": f"/{media}/incoming/{name}",
        "kind in capitals": f"/{media}/{kind.upper()}/{name}",
        "the other kind's name": f"/{media}/{kind}/{VIDEO if kind == 'picture' else PICTURE}",
        "a name of nobody": f"/{media}/{kind}/{'0' * 16}{name[-4:]}",
        "capitals": f"/{media}/{kind}/{name.upper()}",
        "another ending": f"/{media}/{kind}/{name[:-4]}.jpg",
        "an ending more": f"/{media}/{kind}/{name}.gz",
        "no ending": f"/{media}/{kind}/{name[:-4]}",
        "the database": f"/{media}/{kind}/gallop.db",
        "the settings": f"/{media}/{kind}/.env",
        "a half download": f"/{media}/{kind}/half.mp4",
        "one up": f"/{media}/{kind}/../{name}",
        "up and back": f"/{media}/{kind}/../{kind}/../../gallop.db",
        "up, encoded": f"/{media}/{kind}/..%2F..%2Fgallop.db",
        "up, encoded twice": f"/{media}/{kind}/..%252F..%252Fgallop.db",
        "dots encoded": f"/{media}/{kind}/%2e%2e/%2e%2e/gallop.db",
        "backslashes": f"/{media}/{kind}/..\\..\\gallop.db",
        "backslashes, encoded": f"/{media}/{kind}/..%5C..%5Cgallop.db",
        "overlong UTF-8": f"/{media}/{kind}/%C0%AE%C0%AE%C0%AFgallop.db",
        "a slash as the name": f"/{media}/{kind}/%2F",
        "from the root": f"/{media}/{kind}/%2Fetc%2Fpasswd",
        "the folder": f"/{media}/{kind}/",
        "the folder without a slash": f"/{media}/{kind}",
        "a slash more": f"/{media}/{kind}/{name}/",
        "two slashes": f"/{media}//{kind}/{name}",
        "two slashes first": f"//{media}/{kind}/{name}",
        "a dot before": f"/{media}/./x/{name}",
        "NUL after": f"/{media}/{kind}/{name}%00",
        "NUL and another ending": f"/{media}/{kind}/gallop.db%00.png",
        "a line break": f"/{media}/{kind}/{name}%0A",
        "a blank": f"/{media}/{kind}/{name}%20",
        "a tilde": f"/{media}/{kind}/~root",
        "a stream of NTFS": f"/{media}/{kind}/{name}::$DATA",
        "parameters of the path": f"/{media}/{kind}/{name};a=b",
        "long": f"/{media}/{kind}/{'x' * 5_000}.png",
        "in the kind": f"/{media}/..%2F{kind}/{name}",
        "the root": "/",
    }
    return {what: f"{place}?{query}" for what, place in places.items()}


WRONG = sorted(set(changed("/media/picture/a.png?until=1766000000&sig=abc")) | set(misplaced("/media/picture/a.png?")))


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("kind", ["picture", "video"])
async def test_every_wrong_address_gets_the_answer_of_one_that_never_was(served: Served, kind: str, what: str) -> None:
    right = served.picture() if kind == "picture" else served.video()
    wrong = {**changed(right), **misplaced(right)}[what]

    assert (await served.ask(wrong)).told == (await served.ask("/nothing")).told


async def test_a_picture_that_was_deleted_gets_the_same_answer(served: Served) -> None:
    address = served.picture()
    served.library.path(PICTURE).unlink()

    answer, nothing = await served.ask(address), await served.ask("/nothing")

    assert (answer.status, answer.body) == (nothing.status, nothing.body)
    assert answer.headers["content-type"] == nothing.headers["content-type"]


@pytest.mark.parametrize(
    "name",
    ["../gallop.db", "..\\gallop.db", "gallop.db", ".env", "....png", "%2e%2e.png", "x" * 65 + ".png", "a\0.png"],
)
async def test_even_a_signature_of_ours_opens_nothing_outside(served: Served, name: str) -> None:
    for target in (served.picture(name), served.video(name)):
        assert (await served.ask(target)).told == (await served.ask("/nothing")).told


@pytest.mark.parametrize(("kind", "lives_s"), [("picture", 86_400), ("video", 30 * 86_400)])
async def test_an_address_ends_at_its_second(served: Served, kind: str, lives_s: int) -> None:
    target = served.picture() if kind == "picture" else served.video()

    served.clock.turn(lives_s - 1)
    assert (await served.ask(target)).status == 200
    served.clock.turn(1)
    assert (await served.ask(target)).told == (await served.ask("/nothing")).told


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "CONNECT"])
async def test_nothing_but_reading_is_answered(served: Served, method: str) -> None:
    right, wrong = served.picture(), "/media/picture/x.png"

    answers = [await served.ask(target, method=method, headers="Content-Length: 0\r\n") for target in (right, wrong)]

    assert [answer.status for answer in answers] in ([405, 405], [404, 404], [400, 400])
    assert answers[0].body == answers[1].body
    assert PICTURE_BYTES not in answers[0].body
    assert served.library.path(PICTURE).read_bytes() == PICTURE_BYTES


async def test_asking_for_the_headers_alone_tells_no_more_than_asking_for_all(served: Served) -> None:
    right, wrong = (
        await served.ask(served.video(), method="HEAD"),
        await served.ask("/media/video/x.mp4", method="HEAD"),
    )

    assert (right.status, right.body, right.headers["content-length"]) == (200, b"", str(len(VIDEO_BYTES)))
    assert (wrong.status, wrong.body) == (404, b"")


@pytest.mark.parametrize(
    ("range_", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-", 206, b"89"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, b""),
        ("bytes=99-100", 416, b""),
    ],
)
async def test_a_part_is_a_part_of_the_file_alone(served: Served, range_: str, status: int, body: bytes) -> None:
    answer = await served.ask(served.video(), headers=f"Range: {range_}\r\n")

    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize(
    "range_", ["bytes=4-2", "bytes=a-b", "bytes=--1", "bytes=-", "lines=0-1", "bytes=0-1,4-5", "bytes=0-" + "9" * 5_000]
)
async def test_a_part_that_makes_no_sense_harms_nothing(served: Served, range_: str) -> None:
    answer = await served.ask(served.video(), headers=f"Range: {range_}\r\n")

    assert answer.status in {200, 206, 416}
    assert answer.body in {VIDEO_BYTES, b""}
    assert (await served.ask("/media/video/x.mp4", headers=f"Range: {range_}\r\n")).status == 404


@pytest.mark.parametrize("packing", ["gzip", "br", "gzip, deflate, br, zstd"])
async def test_no_packed_neighbour_is_served_instead(served: Served, packing: str) -> None:
    answer = await served.ask(served.picture(), headers=f"Accept-Encoding: {packing}\r\n")

    assert answer.body == PICTURE_BYTES
    assert "content-encoding" not in answer.headers


async def test_the_answer_can_do_nothing_in_a_browser(served: Served) -> None:
    for target, kind in ((served.picture(), "image/png"), (served.video(), "video/mp4")):
        headers = (await served.ask(target, headers="Origin: https://evil.example\r\n")).headers

        assert headers["content-type"] == kind
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'"
        assert headers["cache-control"] == "private"
        assert not {name for name in headers if name.startswith("access-control") or name == "set-cookie"}
        # Neither the name on disk nor anything a person typed.
        assert headers["content-disposition"] in {'inline; filename="picture.png"', 'inline; filename="video.mp4"'}


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /media/picture/\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /media/picture/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://169.254.169.254/media/picture/x.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /media/picture/x.png HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /media/picture/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
    ids=["NUL", "no UTF-8", "a whole address", "two lengths", "a long header", "a long path", "TLS", "no HTTP"],
)
async def test_what_is_no_request_is_refused_and_the_next_one_is_served(served: Served, request_: bytes) -> None:
    assert (await served.raw(request_)).status in {400, 404, 414, 431}
    assert (await served.ask(served.picture())).status == 200
