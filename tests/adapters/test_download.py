"""The one download: what it asks, what it refuses, and what it leaves behind."""

import asyncio
import gzip
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.gateways.download import download, is_public
from bot.domain.errors import GatewayError, GatewayUnavailable, VideoUnusable

MP4 = b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 2_000
HOSTS = ("*.shortapi.ai", "*.aliyuncs.com")
ADDRESS = "https://file.shortapi.ai/tmp/v.mp4?sig=tell-tale"
PUBLIC = "93.184.216.34"

Handler = Callable[[httpx.Request], httpx.Response]


def resolving(*addresses: str) -> Any:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def run(handler: Handler, target: Path, *, address: str = ADDRESS, **options: Any) -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler), trust_env=False)
    settings: dict[str, Any] = {
        "hosts": HOSTS,
        "bytes_max": 10_000,
        "timeout_s": 5,
        "resolve": resolving(PUBLIC),
    } | options
    async with client:
        await download(address, target, gateway="shortapi", client=client, **settings)


def lying(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def failure(handler: Handler, folder: Path, **options: Any) -> GatewayError:
    """The error, after a look that nothing lies about and that it tells nobody the address."""
    with pytest.raises(GatewayError) as caught:
        await run(handler, folder / "v.mp4", **options)
    assert lying(folder) == []
    assert "tell-tale" not in f"{caught.value} {caught.value!r}"
    return caught.value


def mp4(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=MP4)


def never(_: httpx.Request) -> httpx.Response:
    pytest.fail("it must not be asked")


async def test_a_video_is_written_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "v.mp4"
    target.write_bytes(b"old")

    await run(mp4, target)

    assert target.read_bytes() == MP4
    assert lying(tmp_path) == ["v.mp4"]


async def test_it_connects_to_the_address_it_checked_under_the_name_it_was_given(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return mp4(request)

    await run(handler, tmp_path / "v.mp4")

    assert seen[0].url.host == PUBLIC
    assert seen[0].headers["Host"] == "file.shortapi.ai"
    assert seen[0].extensions["sni_hostname"] == "file.shortapi.ai"
    assert seen[0].url.query == b"sig=tell-tale"
    assert seen[0].headers["Accept-Encoding"] == "identity"


async def test_the_next_address_of_a_name_is_asked_when_one_cannot_be_connected(tmp_path: Path) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == PUBLIC:
            raise httpx.ConnectError("unreachable")
        return mp4(request)

    await run(handler, tmp_path / "v.mp4", resolve=resolving(PUBLIC, "2606:2800:220:1::1"))

    assert (tmp_path / "v.mp4").read_bytes() == MP4


@pytest.mark.parametrize(
    "address",
    [
        "http://file.shortapi.ai/v.mp4",
        "ftp://file.shortapi.ai/v.mp4",
        "file:///etc/passwd",
        "//file.shortapi.ai/v.mp4",
        "https://evil.example/v.mp4",
        "https://shortapi.ai.evil.example/v.mp4",
        "https://evilshortapi.ai/v.mp4",
        "https://user:word@file.shortapi.ai/v.mp4",
        "https://file.shortapi.ai@evil.example/v.mp4",
        "https://127.0.0.1/v.mp4",
        "https://[::1]/v.mp4",
        "https://[::ffff:127.0.0.1]/v.mp4",
        "https://[64:ff9b::7f00:1]/v.mp4",
        "https://2130706433/v.mp4",
        "https://0x7f000001/v.mp4",
        "https://0x7f.1/v.mp4",
        "https://0177.0.0.1/v.mp4",
        "https://017700000001/v.mp4",
        "https://127.1/v.mp4",
        "https://0/v.mp4",
        "https://localhost/v.mp4",
        "https://169.254.169.254/latest/meta-data/",
        "data:video/mp4;base64,AAAAGGZ0eXBtcDQy",
        "gopher://file.shortapi.ai/v.mp4",
        "javascript:alert(1)",
        "https:file.shortapi.ai/v.mp4",
        "https:/file.shortapi.ai/v.mp4",
        " https://file.shortapi.ai/v.mp4",
        "https://file.shortapi.ai:0/v.mp4",
        "https://file.shortapi.ai:80/v.mp4",
        "https://file.shortapi.ai:-1/v.mp4",
        "https://evil.example\\@file.shortapi.ai/v.mp4",
        "https://evil.example\\.shortapi.ai/v.mp4",
        "https://evil.example%2f.shortapi.ai/v.mp4",
        "https://evil.example%00.shortapi.ai/v.mp4",
        "https://evil.example .shortapi.ai/v.mp4",
        "https://evil.example\u3002/v.mp4",
        "https://.shortapi.ai/v.mp4",
        "https://a..shortapi.ai/v.mp4",
        f"https://{'a' * 64}.shortapi.ai/v.mp4",
        f"https://{'a.' * 130}shortapi.ai/v.mp4",
        f"https://file.shortapi.ai/{'a' * 100_000}",
        "https://file.shortapi.ai/\ud800",
        "https://file.shortapi.ai\r\nHost: evil.example/v.mp4",
        "https://file.shortapi.ai/v.mp4\r\nX-Planted: yes",
        "https:///v.mp4",
        "https://file.shortapi.ai:8443/v.mp4",
        "https://file.shortapi.ai:99999/v.mp4",
        "",
        "nonsense",
        "https://\x00/",
    ],
)
async def test_an_address_that_is_not_allowed_is_never_asked(address: str, tmp_path: Path) -> None:
    assert isinstance(await failure(never, tmp_path, address=address), VideoUnusable)


@pytest.mark.parametrize("host", ["shortapi.ai", "FILE.ShortAPI.ai", "a.b.shortapi.ai", "file.shortapi.ai."])
async def test_a_domain_pattern_covers_the_domain_and_all_below_it(host: str, tmp_path: Path) -> None:
    await run(mp4, tmp_path / "v.mp4", address=f"https://{host}/v.mp4")

    assert (tmp_path / "v.mp4").exists()


async def test_an_exact_host_covers_nothing_else(tmp_path: Path) -> None:
    hosts = ("cdn.discordapp.com",)

    await run(mp4, tmp_path / "a", address="https://cdn.discordapp.com/v", hosts=hosts)
    (tmp_path / "a").unlink()
    found = await failure(never, tmp_path, address="https://x.cdn.discordapp.com/v", hosts=hosts)

    assert isinstance(found, VideoUnusable)


@given(address=st.text() | st.text().map("https://file.shortapi.ai".__add__) | st.text().map("https://".__add__))
def test_no_address_whatever_breaks_anything_but_itself(address: str) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(GatewayError):
        asyncio.run(run(redirecting(address), Path(folder) / "v.mp4"))
    with tempfile.TemporaryDirectory() as folder, suppress(GatewayError):
        asyncio.run(run(mp4, Path(folder) / "v.mp4", address=address))


NOT_PUBLIC = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 (nothing is bound to it)
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "192.0.0.192",  # a cloud's metadata service
    "192.88.99.1",
    "198.18.0.1",
    "0.1.2.3",
    "100.100.100.200",  # another one's
    "::1",
    "::",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:db8::1",
    "2001:0:808:808::80ff:fffe",  # Teredo for 127.0.0.1
    "3fff::1",
    "100::1",
    "fd00:ec2::254",  # a metadata service's
    "fe80::1%eth0",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_that_resolves_to_a_private_address_is_never_asked(address: str, tmp_path: Path) -> None:
    assert isinstance(await failure(never, tmp_path, resolve=resolving(address)), VideoUnusable)
    assert isinstance(await failure(never, tmp_path, resolve=resolving(PUBLIC, address)), VideoUnusable)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


async def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_connected(tmp_path: Path) -> None:
    """DNS rebinding: the second answer would be private."""
    answers = [[PUBLIC], ["127.0.0.1"]]
    connected = []

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    def handler(request: httpx.Request) -> httpx.Response:
        connected.append(request.url.host)
        return mp4(request)

    await run(handler, tmp_path / "v.mp4", resolve=resolve)

    assert connected == [PUBLIC]
    assert answers == [["127.0.0.1"]]


async def test_a_redirect_to_the_same_name_is_looked_up_and_checked_again(tmp_path: Path) -> None:
    answers = [[PUBLIC], ["127.0.0.1"]]

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    assert isinstance(await failure(redirecting("/again"), tmp_path, resolve=resolve), VideoUnusable)
    assert answers == []


async def test_a_name_that_does_not_resolve_is_only_unavailable(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name tell-tale")

    assert isinstance(await failure(never, tmp_path, resolve=resolve), GatewayUnavailable)
    assert isinstance(await failure(never, tmp_path, resolve=resolving()), GatewayUnavailable)


def redirecting(*locations: str) -> Handler:
    left = list(locations)

    def handler(request: httpx.Request) -> httpx.Response:
        if not left:
            return mp4(request)
        return httpx.Response(302, headers=[(b"Location", left.pop(0).encode(errors="surrogatepass"))])

    return handler


async def test_three_redirects_are_followed(tmp_path: Path) -> None:
    handler = redirecting("/b", "https://oss.aliyuncs.com/c", "//file.shortapi.ai/d")

    await run(handler, tmp_path / "v.mp4")

    assert (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize(
    "locations",
    [
        ("/1", "/2", "/3", "/4"),
        ("http://file.shortapi.ai/v.mp4",),
        ("https://evil.example/",),
        ("http://169.254.169.254/latest",),
        ("https://169.254.169.254/latest",),
        ("https://2130706433/",),
        ("https://[::1]/",),
        ("https://user:word@file.shortapi.ai/",),
        ("https://file.shortapi.ai:8443/",),
        ("//evil.example/v.mp4",),
        ("\\\\evil.example/v.mp4", "", "", ""),
        ("", "", "", ""),
        ("/ok", "file:///etc/passwd"),
        ("/ok", "/ok", "gopher://file.shortapi.ai/"),
    ],
)
async def test_every_step_of_a_redirect_is_checked(locations: tuple[str, ...], tmp_path: Path) -> None:
    assert isinstance(await failure(redirecting(*locations), tmp_path), VideoUnusable)


@pytest.mark.parametrize(
    "location", ["https://\u2488.shortapi.ai/", "http://[::1", "data:video/mp4,ftyp", "\x00", "https://\ud800/", "///"]
)
async def test_a_redirect_that_cannot_be_read_ends_the_download(location: str, tmp_path: Path) -> None:
    await failure(redirecting("/ok", location, "/", "/"), tmp_path)


async def test_a_redirect_to_a_name_with_a_private_address_is_refused(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1"] if host == "inside.aliyuncs.com" else [PUBLIC]

    handler = redirecting("https://inside.aliyuncs.com/v.mp4")

    assert isinstance(await failure(handler, tmp_path, resolve=resolve), VideoUnusable)


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 429, 500, 503])
async def test_another_status_than_200_is_only_unavailable(status: int, tmp_path: Path) -> None:
    found = await failure(lambda _: httpx.Response(status, content=MP4), tmp_path)

    assert isinstance(found, GatewayUnavailable)


@pytest.mark.parametrize(
    "content", [b"", b"<html>Just a moment</html>", b"\x00\x00\x00\x18", b"ftypmp42" * 100, b'{"error": "expired"}']
)
async def test_what_is_no_mp4_is_unusable(content: bytes, tmp_path: Path) -> None:
    assert isinstance(await failure(lambda _: httpx.Response(200, content=content), tmp_path), VideoUnusable)


async def test_other_files_are_taken_when_no_video_is_asked_for_but_never_empty_ones(tmp_path: Path) -> None:
    await run(lambda _: httpx.Response(200, content=b"\x89PNG"), tmp_path / "p.png", video=False)
    assert (tmp_path / "p.png").read_bytes() == b"\x89PNG"
    (tmp_path / "p.png").unlink()

    assert isinstance(await failure(lambda _: httpx.Response(200, content=b""), tmp_path, video=False), VideoUnusable)


async def test_a_file_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(tmp_path: Path) -> None:
    await run(mp4, tmp_path / "v.mp4", bytes_max=len(MP4))
    (tmp_path / "v.mp4").unlink()

    assert isinstance(await failure(mp4, tmp_path, bytes_max=len(MP4) - 1), VideoUnusable)


async def test_an_endless_body_is_cut_at_the_limit(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield MP4
        while True:
            sent += 1
            yield bytes(65_536)

    found = await failure(lambda _: httpx.Response(200, content=endless()), tmp_path, bytes_max=1_000_000)

    assert isinstance(found, VideoUnusable)
    assert sent < 40


@pytest.mark.parametrize(
    "packing", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, br", "unheard-of", ""]
)
async def test_a_packed_body_is_refused_unread(packing: str, tmp_path: Path) -> None:
    read = []

    async def bomb() -> AsyncIterator[bytes]:
        read.append(True)
        yield gzip.compress(MP4)

    answer = httpx.Response(200, headers={"Content-Encoding": packing}, content=bomb())

    assert isinstance(await failure(lambda _: answer, tmp_path), VideoUnusable)
    assert read == []


@pytest.mark.parametrize("said", ["text/html", "application/json", "image/svg+xml", "\u00ff", ""])
async def test_what_a_server_says_the_file_is_plays_no_part(said: str, tmp_path: Path) -> None:
    headers = {"Content-Type": said.encode("latin-1"), "Content-Disposition": b'attachment; filename="../../v.sh"'}

    await run(lambda _: httpx.Response(200, headers=headers, content=MP4), tmp_path / "v.mp4")
    (tmp_path / "v.mp4").unlink()
    page = httpx.Response(200, headers={"Content-Type": "video/mp4"}, content=b"<html>Just a moment</html>")

    assert isinstance(await failure(lambda _: page, tmp_path), VideoUnusable)


async def test_two_at_once_onto_one_target_leave_one_of_them_whole(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def slow(content: bytes) -> AsyncIterator[bytes]:
        yield content[:4_000]
        await both.wait()
        yield content[4_000:]

    def of(letter: bytes) -> Handler:
        return lambda _: httpx.Response(200, content=slow(MP4 + letter * 5_000))

    await asyncio.gather(run(of(b"a"), tmp_path / "v.mp4"), run(of(b"b"), tmp_path / "v.mp4"))

    assert (tmp_path / "v.mp4").read_bytes() in {MP4 + b"a" * 5_000, MP4 + b"b" * 5_000}
    assert lying(tmp_path) == ["v.mp4"]


async def test_a_link_in_the_targets_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "v.mp4").symlink_to(tmp_path / "precious")

    await run(mp4, tmp_path / "v.mp4")

    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "v.mp4").read_bytes() == MP4


async def test_a_failure_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"old")

    with pytest.raises(VideoUnusable):
        await run(lambda _: httpx.Response(200, content=b"<html>"), tmp_path / "v.mp4")

    assert (tmp_path / "v.mp4").read_bytes() == b"old"
    assert lying(tmp_path) == ["v.mp4"]


async def test_a_folder_in_the_targets_place_is_only_unavailable(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").mkdir()

    with pytest.raises(GatewayUnavailable):
        await run(mp4, tmp_path / "v.mp4")

    assert lying(tmp_path) == ["v.mp4"]


async def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield MP4 + bytes(300_000)
        raise httpx.RemoteProtocolError("short tell-tale")

    found = await failure(lambda _: httpx.Response(200, content=broken()), tmp_path, bytes_max=1_000_000)

    assert isinstance(found, GatewayUnavailable)


async def test_a_slow_body_ends_at_the_time_limit(tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield MP4
        await asyncio.Event().wait()

    found = await failure(lambda _: httpx.Response(200, content=slow()), tmp_path, timeout_s=0.05)

    assert isinstance(found, GatewayUnavailable)


async def test_a_cancelled_download_leaves_nothing(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield MP4 + bytes(300_000)
        started.set()
        await asyncio.Event().wait()

    handler = lambda _: httpx.Response(200, content=slow())  # noqa: E731 (a handler is a function of a request)
    task = asyncio.create_task(run(handler, tmp_path / "v.mp4", bytes_max=1_000_000))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert lying(tmp_path) == []


async def test_a_disk_that_cannot_be_written_is_only_unavailable(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnavailable):
        await run(mp4, tmp_path / "missing" / "v.mp4")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_gateway_on_this_machine_may_use_http_and_its_own_host(scheme: str, tmp_path: Path) -> None:
    options = {"own_host": "127.0.0.1", "resolve": resolving("127.0.0.1")}

    await run(mp4, tmp_path / "v.mp4", address=f"{scheme}://127.0.0.1:8080/v.mp4", **options)

    assert (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize(
    ("address", "resolved"),
    [
        ("http://127.0.0.2:8080/v.mp4", "127.0.0.2"),
        ("http://127.0.0.1:99999/v.mp4", "127.0.0.1"),
        ("http://localhost:8080/v.mp4", "127.0.0.1"),
        ("http://2130706433:8080/v.mp4", "127.0.0.1"),
        ("http://0x7f000001:8080/v.mp4", "127.0.0.1"),
        ("http://127.1:8080/v.mp4", "127.0.0.1"),
        ("http://[::ffff:127.0.0.1]:8080/v.mp4", "127.0.0.1"),
        ("http://user:word@127.0.0.1:8080/v.mp4", "127.0.0.1"),
        ("ftp://127.0.0.1:8080/v.mp4", "127.0.0.1"),
        ("http://127.0.0.1:8080/v.mp4", "169.254.169.254"),
        ("http://127.0.0.1:8080/v.mp4", PUBLIC),
        ("http://127.0.0.1:8080/v.mp4", "10.0.0.1"),
        ("http://file.shortapi.ai/v.mp4", "127.0.0.1"),
        ("https://file.shortapi.ai/v.mp4", "127.0.0.1"),
    ],
)
async def test_being_on_this_machine_opens_nothing_else_private(address: str, resolved: str, tmp_path: Path) -> None:
    options = {"own_host": "127.0.0.1", "resolve": resolving(resolved)}

    assert isinstance(await failure(never, tmp_path, address=address, **options), VideoUnusable)
