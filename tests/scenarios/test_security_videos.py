"""Hostile videos from a gateway: whatever a file names, no other file is opened and nobody is called.

Each attack is shown to work on FFmpeg as it comes; otherwise its failing here would prove nothing.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import pytest

from bot.adapters.media import transcode
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.video import probe
from bot.domain.errors import VideoUnusable

SIZE = (96, 64)
SECRET = "secret.mov"


def video(path: Path, container: str = "mov") -> Path:
    with av.open(path, "w", format=container) as output:
        stream = output.add_stream("libx264", rate=12)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame(*SIZE, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 20]) * plane.buffer_size)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


class Doorbell:
    """A port on this machine that knows whether anybody rang."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/video.ts"

    def rang(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def bell() -> Iterator[Doorbell]:
    made = Doorbell()
    yield made
    made.close()


@dataclass(frozen=True)
class Attack:
    """Writes a file that names `secret` or the doorbell. `careless` is how to open it so that the attack succeeds."""

    content: Callable[[Path, str], bytes]
    careless: dict[str, Any] = field(default_factory=dict)
    calls: bool = False


def playlist(*entries: str) -> bytes:
    lines = "\n".join(f"#EXTINF:3,\n{entry}" for entry in entries)
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n{lines}\n#EXT-X-ENDLIST\n".encode()


def with_external_data(secret: Path, _: str) -> bytes:
    """Return a QuickTime file whose frames lie in the file beside it, by an alias record of the old Mac OS."""
    data = secret.read_bytes()
    place = data.index(b"dref")
    inside = data[place + 12 : place - 4 + int.from_bytes(data[place - 4 : place], "big")]
    alias = _alias(secret.name)
    changed = bytearray(data.replace(inside, alias, 1))
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = changed.index(name)
        size = int.from_bytes(changed[at - 4 : at], "big") + len(alias) - len(inside)
        changed[at - 4 : at] = size.to_bytes(4, "big")
    frames = changed.index(b"mdat")
    end = frames - 4 + int.from_bytes(changed[frames - 4 : frames], "big")
    changed[frames + 4 : end] = bytes(end - frames - 4)
    return bytes(changed)


def _alias(name: str) -> bytes:
    path = f"Disk:folder:{name}".encode()
    path += bytes(len(path) % 2)
    record = bytes(10) + b"\4Disk".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.encode().ljust(63, b"\0")
    record += bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(path)) + path + struct.pack(">hH", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


HLS = {"format": "hls", "options": {"allowed_extensions": "ALL", "extension_picky": "0"}}
CALLING = {"protocol_whitelist": "file,http,tcp", "safe": "0"}
ATTACKS = {
    "a concat script": Attack(lambda secret, _: f"ffconcat version 1.0\nfile {secret.name}\n".encode()),
    "a concat script that calls": Attack(
        lambda _, address: f"ffconcat version 1.0\nfile {address}\n".encode(), {"options": CALLING}, calls=True
    ),
    "a playlist": Attack(lambda secret, _: playlist(secret.name), HLS),
    "a playlist with a whole path": Attack(lambda secret, _: playlist(f"file://{secret}"), HLS),
    "a playlist that calls": Attack(
        lambda _, address: playlist(address), {**HLS, "options": {**HLS["options"], **CALLING}}, calls=True
    ),
    "external data": Attack(with_external_data, {"options": {"enable_drefs": "1"}}),
}


@dataclass(frozen=True)
class Set:
    """The hostile file beside the secret one."""

    hostile: Path
    attack: Attack
    bell: Doorbell


@pytest.fixture(params=ATTACKS.values(), ids=ATTACKS.keys())
def planted(request: pytest.FixtureRequest, tmp_path: Path, bell: Doorbell) -> Set:
    attack: Attack = request.param
    hostile = tmp_path / "k7m2p9q4r8s3t6v1.mp4"
    hostile.write_bytes(attack.content(video(tmp_path / SECRET), bell.address))
    return Set(hostile, attack, bell)


def test_the_attack_works_on_ffmpeg_as_it_comes(planted: Set) -> None:
    seen = None
    try:
        with av.open(planted.hostile, timeout=1.0, **planted.attack.careless) as container:
            seen = next(container.decode(video=0), None)
    except av.FFmpegError:
        assert planted.attack.calls

    assert planted.bell.rang() if planted.attack.calls else seen is not None


def measured(path: Path) -> None:
    transcode.measure(path)


def fitted(path: Path) -> None:
    transcode.fit(path, path.with_name("fitted.mp4"), 1_000_000)


def last_frame(path: Path) -> None:
    transcode.last_frame(path)


@pytest.mark.parametrize("work", [measured, fitted, last_frame])
def test_a_file_that_names_another_is_no_video(planted: Set, work: Callable[[Path], None]) -> None:
    with pytest.raises((av.FFmpegError, transcode.Unusable)):
        work(planted.hostile)

    assert not planted.bell.rang()
    assert not planted.hostile.with_name("fitted.mp4").exists()


async def test_a_hostile_file_does_not_enter_the_library(planted: Set, tmp_path: Path) -> None:
    library = FileLibrary(tmp_path / "data")
    planted.hostile.rename(library.incoming("k7m2p9q4r8s3t6v1"))

    with pytest.raises(VideoUnusable):
        await library.keep_video("k7m2p9q4r8s3t6v1")

    assert not planted.bell.rang()
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("container", ["matroska", "avi", "mpegts", "flv"])
async def test_only_the_container_that_gateways_send_is_read(tmp_path: Path, container: str) -> None:
    """Each further reader of FFmpeg's is one more that a hostile file can choose."""
    with pytest.raises(VideoUnusable):
        await probe(video(tmp_path / "video.mp4", container))


async def test_a_secret_of_its_own_would_be_a_good_video(tmp_path: Path) -> None:
    assert (await probe(video(tmp_path / SECRET))).width == SIZE[0]
