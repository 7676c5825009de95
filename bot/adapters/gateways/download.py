"""THE download: the only function that fetches a file from an address somebody else wrote."""

import asyncio
import ipaddress
import re
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import httpx

from bot.domain.errors import GatewayUnavailable, VideoUnusable

REDIRECTS_MAX = 3
CHUNK_BYTES = 1 << 18
_PORT_MAX = 65_535
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A name of letters, digits, hyphens and underscores, as DNS carries it; the resolver breaks on some others.
_DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
# 64:ff9b::/96 carries an IPv4 address in its last four bytes (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Of IANA's special-purpose registries (read 2026-11-20), what not every Python 3.11 knows. A cloud's metadata service
# lies in the first: 192.0.0.192.
_SPECIAL = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20")
)

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def addresses_of(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host name, in the system's order of preference.

    Raises:
        OSError: the name does not resolve.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def download(
    address: str,
    target: Path,
    *,
    gateway: str,
    client: httpx.AsyncClient,
    hosts: tuple[str, ...],
    bytes_max: int,
    timeout_s: float,
    own_host: str | None = None,
    video: bool = True,
    resolve: Resolve = addresses_of,
) -> None:
    """Write what lies at `address` to `target`, whole or not at all. An existing target is replaced.

    `hosts` lists exact names, or ``*.name`` for a domain with all below it. `own_host` may also be asked, over http,
    as long as it is this machine. `client` must keep no connection alive: it is led to the addresses checked here.
    `video` asks for the first box of an MP4. `gateway` names the source in errors; no error holds an address.

    Raises:
        GatewayUnavailable: it could not be fetched now.
        VideoUnusable: the address is not allowed, or what lies there is empty, too large or no video.
    """
    guard = _Guard(gateway=gateway, hosts=hosts, own_host=own_host, resolve=resolve)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        async with asyncio.timeout(timeout_s), _open(address, client, guard) as response:
            # Written on the loop: a chunk costs no more than a thread's hop, and a cancelled hop would leave the file.
            with _create(part) as file:
                await _write(response, file, gateway=gateway, bytes_max=bytes_max, video=video)
            part.replace(target)
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict, OSError) as error:
        raise GatewayUnavailable(gateway, f"download: {type(error).__name__}") from error
    finally:
        _remove(part)


def _create(part: Path) -> BinaryIO:
    return part.open("wb")


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)


async def _write(response: httpx.Response, file: BinaryIO, *, gateway: str, bytes_max: int, video: bool) -> None:
    written = 0
    async for chunk in response.aiter_bytes(CHUNK_BYTES):
        if video and written == 0 and chunk[4:8] != b"ftyp":
            raise VideoUnusable(gateway, "no MP4 video")
        written += len(chunk)
        if written > bytes_max:
            raise VideoUnusable(gateway, f"over {bytes_max} bytes")
        file.write(chunk)
    if written == 0:
        raise VideoUnusable(gateway, "an empty file")


@asynccontextmanager
async def _open(address: str, client: httpx.AsyncClient, guard: "_Guard") -> AsyncIterator[httpx.Response]:
    """Follow at most REDIRECTS_MAX redirects, every step checked, to an answer whose body may be read as it comes."""
    url = guard.allowed(address)
    for _ in range(REDIRECTS_MAX + 1):
        response = await _connect(url, client, await guard.addresses(url))
        try:
            if response.status_code not in _REDIRECTS:
                guard.check_answer(response)
                yield response
                return
            url = guard.allowed(response.headers.get("Location", ""), base=url)
        finally:
            await response.aclose()
    raise VideoUnusable(guard.gateway, f"more than {REDIRECTS_MAX} redirects")


async def _connect(url: httpx.URL, client: httpx.AsyncClient, addresses: list[str]) -> httpx.Response:
    """Ask the first of the checked addresses that can be connected; name and certificate stay those of the URL."""
    for position, address in enumerate(addresses, start=1):
        request = client.build_request(
            "GET",
            url.copy_with(host=address),
            headers={"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", "Connection": "close"},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        try:
            return await client.send(request, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if position == len(addresses):
                raise
    raise OSError("the name has no address")


class _Guard:
    """Which addresses may be asked, and which answers are read."""

    def __init__(self, *, gateway: str, hosts: tuple[str, ...], own_host: str | None, resolve: Resolve) -> None:
        self.gateway = gateway
        self._hosts = hosts
        self._own_host = own_host
        self._resolve = resolve

    def allowed(self, address: str, *, base: httpx.URL | None = None) -> httpx.URL:
        try:
            url = httpx.URL(address) if base is None else base.join(address)
        except (httpx.InvalidURL, ValueError) as error:
            raise VideoUnusable(self.gateway, "unreadable address") from error
        own = self._is_own(url)
        if url.userinfo or not (url.scheme == "https" or (own and url.scheme == "http")):
            raise VideoUnusable(self.gateway, "an address of a kind that is not allowed")
        if (url.port or 443) > _PORT_MAX or not (own or url.port in {None, 443}):
            raise VideoUnusable(self.gateway, "a port that is not allowed")
        if not own and not any(_matches(_name(url), pattern) for pattern in self._hosts):
            raise VideoUnusable(self.gateway, "a host that is not allowed")
        return url

    async def addresses(self, url: httpx.URL) -> list[str]:
        found = await self._resolve(_name(url), url.port or (443 if url.scheme == "https" else 80))
        right = _is_loopback if self._is_own(url) else is_public
        if not all(right(address) for address in found):
            raise VideoUnusable(self.gateway, "a host with an address that is not allowed")
        return found

    def check_answer(self, response: httpx.Response) -> None:
        if response.status_code != httpx.codes.OK:
            raise GatewayUnavailable(self.gateway, f"download: status {response.status_code}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise VideoUnusable(self.gateway, "a packed body, which was not asked for")

    def _is_own(self, url: httpx.URL) -> bool:
        return self._own_host is not None and _name(url) == self._own_host.lower()


def _name(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower().rstrip(".").strip("[]")


def _matches(host: str, pattern: str) -> bool:
    if not pattern.startswith("*."):
        return host == pattern
    return _DNS_NAME.fullmatch(host) is not None and (host == pattern[2:] or host.endswith(pattern[1:]))


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def is_public(address: str) -> bool:
    """Say whether an IP address is on the open internet, looking into addresses that carry another one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(ip.packed[12:])
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_unspecified)
