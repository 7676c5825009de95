"""The web server: media only at addresses it signed, for as long as they live."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bot.adapters.media.library import FileLibrary
from bot.adapters.store.sqlite import open_store
from bot.adapters.web import MediaLinks, MediaRoutes, WebServer, media_secret
from bot.domain.errors import StartFailed
from tests.fakes import FakeClock

NAME = "0123456789abcdef.png"
VIDEO = "k7m2p9q4r8s3t6v1.mp4"


@dataclass
class Served:
    """The server, its links, and a client."""

    links: MediaLinks
    clock: FakeClock
    http: aiohttp.ClientSession
    base: str

    async def status(self, address: str) -> int:
        async with self.http.get(address) as response:
            return response.status


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    library, clock = FileLibrary(tmp_path), FakeClock()
    for name, data in ((NAME, b"picture"), (VIDEO, b"0123456789")):
        library.path(name).parent.mkdir(exist_ok=True)
        library.path(name).write_bytes(data)
    (tmp_path / "gallop.db").write_bytes(b"ledger")
    links = MediaLinks(b"secret", "http://set.below", clock)
    server = WebServer(MediaRoutes(library, links).routes(), host="127.0.0.1", port=0)
    await server.open()
    base = f"http://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession() as http:
        yield Served(MediaLinks(b"secret", base + "/", clock), clock, http, base)
    await server.aclose()


@pytest.mark.parametrize(
    ("name", "content_type", "shown_as"),
    [(NAME, "image/png", "picture.png"), (VIDEO, "video/mp4", "video.mp4")],
)
async def test_a_signed_address_serves_its_file_safely(
    served: Served, name: str, content_type: str, shown_as: str
) -> None:
    address = served.links.picture(name) if name == NAME else served.links.video(name)

    async with served.http.get(address) as response:
        data = await response.read()

    assert response.status == 200
    assert data == (b"picture" if name == NAME else b"0123456789")
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Content-Disposition"] == f'inline; filename="{shown_as}"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'"
    assert response.headers["Cache-Control"] == "private"


async def test_a_player_may_ask_for_a_part(served: Served) -> None:
    async with served.http.get(served.links.video(VIDEO), headers={"Range": "bytes=2-4"}) as response:
        data = await response.read()

    assert response.status == 206
    assert data == b"234"


@pytest.mark.parametrize(("days", "status"), [(0.999, 200), (1, 404)])
async def test_a_picture_address_lives_one_day(served: Served, days: float, status: int) -> None:
    address = served.links.picture(NAME)
    served.clock.turn(int(days * 86_400))

    assert await served.status(address) == status


async def test_an_address_does_not_open_anything_else(served: Served) -> None:
    address = served.links.picture(NAME)
    wrong = [
        address.replace("/picture/", "/video/"),
        address.replace("/picture/", "/other/"),
        address.replace(NAME, "1123456789abcdef.png"),
        address.replace("until=", "until=9"),
        address.replace("until=", "until=%C2%B2"),
        address.replace("sig=", "sig=0"),
        address.replace("sig=", "sig=%C3%A9"),
        address.replace("sig=", "sig=%FF%ED%A0%80"),
        address.partition("?")[0],
        MediaLinks(b"another secret", served.base, served.clock).picture(NAME),
    ]

    assert [await served.status(address) for address in wrong] == [404] * len(wrong)


@pytest.mark.parametrize(
    "name", ["../gallop.db", "..%2Fgallop.db", "....png", "a/b.png", "gallop.db", ".png", "x" * 70]
)
async def test_no_name_leads_out_of_the_library_even_when_signed(served: Served, name: str) -> None:
    assert await served.status(served.links.picture(name)) == 404


async def test_a_signed_address_of_a_file_that_is_gone_is_not_found(served: Served) -> None:
    assert await served.status(served.links.picture("ffff.png")) == 404


async def test_the_secret_is_made_once_and_outlives_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path / "gallop.db") as store:
        first = await media_secret(store)
        second = await media_secret(store)
    async with open_store(tmp_path / "gallop.db") as store:
        after_restart = await media_secret(store)

    assert len(first) == 32
    assert first == second == after_restart


async def test_a_port_in_use_is_one_sentence(served: Served) -> None:
    taken = int(served.base.rpartition(":")[2])

    with pytest.raises(StartFailed, match=f"HTTP_PORT={taken} cannot be listened on"):
        await WebServer([], host="127.0.0.1", port=taken).open()
