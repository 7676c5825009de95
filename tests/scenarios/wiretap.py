"""A wire with a tap: stands between the bot and a far end, and keeps every byte that the bot sends."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

Answer = Callable[[bytes], bytes]
"""Makes the whole answer to a whole request, instead of the far end."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Wiretap:
    """One tapped far end. With `answer` set, requests on new connections get that instead of reaching it."""

    far_port: int
    port: int = 0
    answer: Answer | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: list[bytearray] = field(default_factory=list)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sent(self) -> bytes:
        """Everything the bot sent so far, in clear: the frames of a WebSocket come masked over the wire."""
        return b"\n".join(_in_clear(bytes(sent)) for sent in self._connections)

    async def reply(self, answer: Answer | None) -> None:
        """From now on give this answer (None: let the far end answer); connections that stand are cut."""
        self.answer = answer
        self.answered.clear()
        await self.aclose()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections.append(kept := bytearray())
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await (self._pass_on(reader, writer, kept) if self.answer is None else self._reply(reader, writer, kept))
        writer.transport.abort()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        request = head + await reader.readexactly(int(length[1]) if length else 0)
        kept += request
        assert self.answer is not None
        writer.write(self.answer(request))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        self.answered.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.far_port)
        back = asyncio.create_task(_copy(far_reader, writer))
        self._tasks.add(back)
        try:
            await _copy(reader, far_writer, kept)
            await back
        finally:
            back.cancel()
            far_writer.transport.abort()

    async def aclose(self) -> None:
        """Cut every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None = None) -> None:
    while data := await reader.read(65_536):
        if kept is not None:
            kept += data
        writer.write(data)
        await writer.drain()
    writer.write_eof()


@asynccontextmanager
async def tapped(far_address: str) -> AsyncIterator[Wiretap]:
    """Listen on a port of its own; `far_address` names a port of this machine."""
    tap = Wiretap(int(far_address.rpartition(":")[2].partition("/")[0]))
    listening = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    tap.port = listening.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        listening.close()
        await tap.aclose()


def _in_clear(sent: bytes) -> bytes:
    # The last request of a connection, if any, turns it into a WebSocket.
    turn = sent.find(b"Upgrade: websocket\r\n")
    end = sent.find(b"\r\n\r\n", turn) + 4
    return sent if turn < 0 else b"\n".join([sent[:end], *_frames(sent[end:])])


def _frames(data: bytes) -> list[bytes]:
    """Unmask a client's WebSocket frames (RFC 6455, section 5.2)."""
    frames, place = [], 0
    while place + 6 <= len(data):
        length, place = data[place + 1] & 0x7F, place + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, place = int.from_bytes(data[place : place + size], "big"), place + size
        mask, place = data[place : place + 4], place + 4
        frames.append(bytes(byte ^ mask[n % 4] for n, byte in enumerate(data[place : place + length])))
        place += length
    return frames
