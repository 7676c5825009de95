"""What conftest.py promises every test: no network beyond this machine, no setting from outside."""

import asyncio
import os
import socket

import aiohttp
import pytest

from bot.config import Settings

# The class itself would be another one here: conftest.py is imported under a name of pytest's choice.
REFUSAL = r"a test may not (reach|look up) (192\.0\.2\.1|example\.org)"


def test_a_socket_does_not_leave_this_machine() -> None:
    with socket.socket() as plain, pytest.raises(RuntimeError, match=REFUSAL):
        plain.connect(("192.0.2.1", 80))
    with socket.socket(type=socket.SOCK_DGRAM) as plain, pytest.raises(RuntimeError, match=REFUSAL):
        plain.sendto(b"", ("192.0.2.1", 53))


def test_no_name_is_looked_up() -> None:
    with pytest.raises(RuntimeError, match=REFUSAL):
        socket.getaddrinfo("example.org", 80)


async def test_no_client_leaves_this_machine() -> None:
    with pytest.raises(RuntimeError, match=REFUSAL):
        await asyncio.open_connection("192.0.2.1", 80)
    async with aiohttp.ClientSession() as session:
        for address in ("http://example.org", "http://192.0.2.1"):
            with pytest.raises(RuntimeError, match=REFUSAL):
                await session.get(address)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_a_setting_of_one_test_is_set_here() -> None:
    os.environ["HTTP_PORT"] = "1"


def test_and_is_gone_in_the_next_one() -> None:
    assert not [name for name in os.environ if name.lower() in Settings.model_fields]
