"""What holds in every test: no network beyond this machine, and no setting from outside."""

import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import discord
import pytest
from aiohttp.resolver import AsyncResolver

from bot.config import Settings


class NetworkForbidden(RuntimeError):
    """A test reached beyond loopback. Not an OSError, so that no handler for failed connections hides it."""


def _refuse_beyond_loopback(host: object) -> None:
    text = host.decode() if isinstance(host, bytes) else host
    if text in {None, "", "localhost"}:
        return
    try:
        allowed = ipaddress.ip_address(str(text)).is_loopback
    except ValueError:
        allowed = False
    if not allowed:
        raise NetworkForbidden(f"a test may not reach {text}")


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _refuse_beyond_loopback(arguments[-1][0])
        return connect(self, *arguments)

    return guarded


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    look_up = socket.getaddrinfo

    def guarded_look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        _refuse_beyond_loopback(host)
        return look_up(host, *arguments, **options)

    async def guarded_resolve(self: AsyncResolver, host: str, *_: Any, **__: Any) -> Any:
        # aiohttp's resolver opens its sockets in C, where the guard of socket.socket cannot see them.
        raise NetworkForbidden(f"a test may not look up {host}")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        patch.setattr(AsyncResolver, "resolve", guarded_resolve)
        yield


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    """Hide a developer's own settings, and undo what a test sets."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_heart_beats_on() -> None:
    """discord.py leaves the thread of a socket that was given up before it was ready, which later misses its loop."""
    for thread in threading.enumerate():
        if isinstance(thread, discord.gateway.KeepAliveHandler) and thread.ws.loop.is_closed():
            thread.stop()
