"""Videos on their way out: measured, rewrapped where that is enough, re-encoded to fit where it is not."""

import asyncio
import os
import random
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image

from bot.adapters.media import child, worker
from bot.adapters.media.video import KeptProbe, VideoFacts, fit, last_frame, plays_inline, probe
from bot.domain.errors import VideoUnusable

FPS = 12
SIZE = (320, 240)


def made(
    path: Path,
    *,
    seconds: int = 2,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    sound: str | None = "aac",
    noisy: bool = False,
    movflags: str = "+faststart+use_metadata_tags",
    container: str = "mp4",
    tags: dict[str, str] | None = None,
) -> Path:
    """Write a video whose frames go from black to white; the last one is all white."""
    dice = random.Random(7)  # noqa: S311  # the same noise every time
    with av.open(path, "w", format=container, options={"movflags": movflags} if movflags else {}) as output:
        output.metadata.update(tags or {})
        video = output.add_stream(codec, rate=FPS)
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        video.bit_rate = 3_000_000
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "crf": "5"} if noisy else {"preset": "ultrafast"}
        audio = output.add_stream(sound, rate=48_000, layout="stereo") if sound else None
        for number in range(seconds * FPS):
            grey = bytes([255 * number // (seconds * FPS - 1)]) * (size[0] * size[1])
            frame = av.VideoFrame(*size, "gray")
            frame.planes[0].update(dice.randbytes(len(grey)) if noisy else grey)
            frame.pts = number
            output.mux(video.encode(frame))
            if audio is not None:
                silence = av.AudioFrame(format="fltp", layout="stereo", samples=48_000 // FPS)
                for plane in silence.planes:
                    plane.update(bytes(plane.buffer_size))
                silence.sample_rate, silence.pts = 48_000, number * (48_000 // FPS)
                output.mux(audio.encode(silence))  # type: ignore[union-attr]
        output.mux(video.encode())
        if audio is not None:
            output.mux(audio.encode())  # type: ignore[union-attr]
    return path


async def test_a_video_is_measured(tmp_path: Path):
    path = made(tmp_path / "video.mp4")

    facts = await probe(path)

    assert facts == VideoFacts(
        container="mp4",
        video_codec="h264",
        audio_codec="aac",
        pix_fmt="yuv420p",
        width=320,
        height=240,
        fps=12.0,
        duration_s=facts.duration_s,
        fast_start=True,
        bytes_count=path.stat().st_size,
    )
    assert facts.duration_s == pytest.approx(2, abs=0.1)
    assert plays_inline(facts)


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"movflags": ""}, {"fast_start": False}),
        ({"codec": "mpeg4"}, {"video_codec": "mpeg4"}),
        ({"pix_fmt": "yuv444p"}, {"pix_fmt": "yuv444p"}),
        ({"sound": "libmp3lame"}, {"audio_codec": "mp3float"}),
        ({"container": "mov"}, {"container": "mov"}),
    ],
)
async def test_what_does_not_play_inline_is_found_and_mended(tmp_path: Path, options, fact):
    path = made(tmp_path / "video", **options)
    facts = await probe(path)

    assert not plays_inline(facts)
    assert {name: getattr(facts, name) for name in fact} == fact

    fitted = await fit(path, tmp_path / "fitted.mp4", bytes_max=1_000_000)

    assert plays_inline(fitted)
    assert fitted == await probe(tmp_path / "fitted.mp4")
    assert fitted.duration_s == pytest.approx(2, abs=0.15)


async def test_silence_plays_inline_too(tmp_path: Path):
    facts = await probe(made(tmp_path / "video.mp4", sound=None))

    assert facts.audio_codec is None
    assert plays_inline(facts)


async def test_a_late_index_alone_is_mended_without_touching_the_pictures(tmp_path: Path):
    path = made(tmp_path / "video.mp4", movflags="+use_metadata_tags", noisy=True)

    fitted = await fit(path, tmp_path / "fitted.mp4", bytes_max=50_000_000)

    assert fitted.fast_start
    assert first_packets(path) == first_packets(tmp_path / "fitted.mp4")


def first_packets(path: Path) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(video=0)][:5]


@pytest.mark.parametrize("share", [0.5, 0.1])
async def test_a_large_video_is_re_encoded_under_the_limit(tmp_path: Path, share: float):
    path = made(tmp_path / "video.mp4", seconds=4, noisy=True)
    bytes_max = int(path.stat().st_size * share)

    fitted = await fit(path, tmp_path / "fitted.mp4", bytes_max=bytes_max)

    assert (tmp_path / "fitted.mp4").stat().st_size == fitted.bytes_count <= bytes_max
    assert plays_inline(fitted)
    assert fitted.duration_s == pytest.approx(4, abs=0.15)
    assert (fitted.width, fitted.height, fitted.fps) == (320, 240, 12.0)


async def test_where_bytes_are_scarce_the_picture_goes_down_to_720_lines(tmp_path: Path):
    path = made(tmp_path / "video.mp4", seconds=1, size=(1920, 1080), noisy=True)

    fitted = await fit(path, tmp_path / "fitted.mp4", bytes_max=100_000)

    assert (fitted.width, fitted.height) == (1280, 720)


async def test_what_cannot_fit_says_so_and_leaves_nothing(tmp_path: Path):
    path = made(tmp_path / "video.mp4", noisy=True)

    with pytest.raises(VideoUnusable):
        await fit(path, tmp_path / "fitted.mp4", bytes_max=2_000)

    assert os.listdir(tmp_path) == ["video.mp4"]


@pytest.mark.parametrize("bytes_max", [50_000_000, 300_000], ids=["rewrapped", "re-encoded"])
async def test_the_tag_the_law_asks_for_is_kept(tmp_path: Path, bytes_max: int):
    label = '{"Label":"1","ContentProducer":"HappyHorse"}'
    path = made(tmp_path / "video.mp4", noisy=True, tags={"AIGC": label})
    assert path.stat().st_size > 300_000

    await fit(path, tmp_path / "fitted.mp4", bytes_max=bytes_max)

    with av.open(tmp_path / "fitted.mp4") as container:
        assert container.metadata["AIGC"] == label


async def test_the_last_frame_is_the_last(tmp_path: Path):
    picture = Image.open(BytesIO(await last_frame(made(tmp_path / "video.mp4", seconds=3))))

    assert picture.format == "PNG"
    assert picture.size == SIZE
    assert min(picture.convert("L").getextrema()) > 240


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        b"#EXTM3U\n#EXTINF:3,\nfile:///etc/hostname\n",
        b"\0\0\0\x18ftypmp42" + bytes(400),
    ],
    ids=["empty", "html", "playlist", "hollow"],
)
async def test_what_is_no_video_is_unusable(tmp_path: Path, content: bytes):
    path = tmp_path / "video.mp4"
    path.write_bytes(content)

    with pytest.raises(VideoUnusable):
        await probe(path)


async def test_half_a_video_is_unusable_although_its_first_frame_decodes(tmp_path: Path):
    path = made(tmp_path / "video.mp4", noisy=True)
    cut(path)

    with pytest.raises(VideoUnusable):
        await probe(path)


async def test_sound_alone_is_no_video(tmp_path: Path):
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as output:
        audio = output.add_stream("aac", rate=48_000, layout="stereo")
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=4_800)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = 48_000, 0
        output.mux(audio.encode(frame))
        output.mux(audio.encode())

    with pytest.raises(VideoUnusable):
        await probe(path)


async def test_a_child_that_takes_too_long_is_killed_and_reaped(hanging: Path, tmp_path: Path):
    with pytest.raises(VideoUnusable, match="timed out"):
        await child.run("probe", {"path": str(hanging)}, timeout_s=0.5)

    assert no_child_left()


async def test_a_cancelled_caller_kills_and_reaps_the_child(hanging: Path, tmp_path: Path):
    task = asyncio.create_task(child.run("probe", {"path": str(hanging)}, timeout_s=60))
    descriptor = await asyncio.to_thread(os.open, hanging, os.O_WRONLY)  # returns once the child has begun to read
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(descriptor)

    assert no_child_left()


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """A pipe nobody writes to: whoever opens it for reading waits for ever."""
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    return path


def no_child_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


async def test_a_kept_probe_does_one_video_after_the_other_in_one_process(tmp_path: Path):
    path, kept = made(tmp_path / "video.mp4"), KeptProbe()

    first, process = await kept(path), kept._child._process
    assert first == await probe(path)
    assert await kept(path) == first
    assert kept._child._process is process is not None
    await kept.aclose()

    assert no_child_left()


async def test_a_video_that_spoils_the_kept_child_does_not_spoil_the_next(tmp_path: Path):
    path, wreck, kept = made(tmp_path / "video.mp4"), tmp_path / "wreck.mp4", KeptProbe()
    wreck.write_bytes(b"no video")

    with pytest.raises(VideoUnusable, match="ended with 1"):
        await kept(wreck)
    assert no_child_left()
    assert (await kept(path)).video_codec == "h264"
    await kept.aclose()


async def test_a_kept_child_without_work_ends_and_another_takes_over(tmp_path: Path):
    path, kept = made(tmp_path / "video.mp4"), KeptProbe()
    await kept(path)
    process = kept._child._process
    kept._child._dismiss()

    assert process is not None
    assert await process.wait() == 0
    assert (await kept(path)).video_codec == "h264"
    await kept.aclose()


async def test_a_kept_child_that_takes_too_long_is_killed_and_reaped(hanging: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(child, "_KEPT_TIMEOUT_S", 0.5)
    kept = child.KeptChild("probe")

    with pytest.raises(VideoUnusable, match="timed out"):
        await kept.run({"path": str(hanging)}, timeout_s=0.5)

    assert no_child_left()


async def test_the_child_gets_no_secrets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISCORD_TOKEN", "secret")

    assert "secret" not in child._environment().values()


def test_the_worker_is_bounded_and_polite(monkeypatch: pytest.MonkeyPatch):
    limits: list[tuple[int, Sequence[int]]] = []
    monkeypatch.setattr(worker.os, "nice", lambda step: limits.append((step, ())))
    monkeypatch.setattr(worker.resource, "setrlimit", lambda kind, pair: limits.append((kind, pair)))
    monkeypatch.setattr("sys.stdin", BytesIO(b"{}"))
    monkeypatch.setattr("sys.argv", ["worker", "nothing"])

    with pytest.raises(ValueError, match="nothing"):
        worker.main()

    assert limits == [(10, ()), (worker.resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3))]
