"""The animatic: a renderer that makes real videos, and a gateway around it that behaves like one."""

import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import pytest
from PIL import Image as Picture

from bot.adapters.gateways.animatic import Animatic, Renderer
from bot.adapters.media import scene
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.render import frame_size, render, render_to
from bot.adapters.media.video import plays_inline, probe
from bot.domain.errors import GatewayUnavailable, SubmissionRefused, VideoUnusable
from bot.domain.job import Attempt
from bot.domain.ports import Accepted, Progress, Submission
from bot.domain.request import RATIOS, Image, Mode, Resolution, VideoRequest
from tests import picture_samples as samples


def request(mode: Mode = Mode.TEXT, ratio: str | None = "16:9") -> VideoRequest:
    return VideoRequest(mode, "A paper boat", Resolution.P720, ratio, 3, "animatic", pinned=True, price_microusd=0)


def image(name: str = "a.jpg", width: int = 900, height: int = 1200) -> Image:
    return Image(name, "image/jpeg", width, height, 1_000)


def attempt(body: bytes, key: str = "key1") -> Attempt:
    return Attempt("job1", 1, "animatic", "animatic", body, key, "token", datetime(2026, 11, 20, tzinfo=UTC), 0)


def body_of(gateway: Animatic, *images: Image, mode: Mode = Mode.TEXT, ratio: str | None = "16:9") -> bytes:
    return gateway.body(Submission(request(mode, ratio), images, (), None))


class Studio:
    """A renderer that waits to be let go, counts, and fails as often as told."""

    def __init__(self, *, fails: int = 0) -> None:
        self.fails = fails
        self.asked: list[dict[str, object]] = []
        self.busy = self.busy_most = 0
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(
        self,
        target: Path,
        *,
        prompt: str,
        pictures: Sequence[Path],
        width: int,
        height: int,
        duration_s: int,
        label: str,
    ) -> None:
        self.asked.append({"pictures": list(pictures), "size": (width, height), "prompt": prompt})
        self.busy += 1
        self.busy_most = max(self.busy, self.busy_most)
        self.begun.set()
        try:
            await self.go.wait()
            if len(self.asked) <= self.fails:
                raise VideoUnusable("media", "told to fail")
            await asyncio.to_thread(target.write_bytes, b"a video")
        finally:
            self.busy -= 1


def gateway_in(tmp_path: Path, renderer: Renderer) -> Animatic:
    return Animatic(folder=tmp_path / "animatic", library=FileLibrary(tmp_path), renderer=renderer)


async def ended(gateway: Animatic) -> None:
    await asyncio.gather(*gateway._renders.values())


async def test_a_job_runs_and_finishes_and_is_fetched(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)

    assert await gateway.submit(attempt(body_of(gateway))) == Accepted("key1")
    assert (await gateway.read("key1")).progress is Progress.RUNNING
    studio.go.set()
    await ended(gateway)
    reading = await gateway.read("key1")
    await gateway.fetch(reading.video_address or "", tmp_path / "fetched.mp4")

    assert reading.progress is Progress.FINISHED
    assert (tmp_path / "fetched.mp4").read_bytes() == b"a video"
    await gateway.aclose()


async def test_the_same_submission_again_is_the_same_job(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)
    studio.go.set()
    first = await gateway.submit(attempt(body_of(gateway)))
    second = await gateway.submit(attempt(body_of(gateway)))
    await ended(gateway)
    third = await gateway.submit(attempt(body_of(gateway)))
    await ended(gateway)

    assert first == second == third
    assert len(studio.asked) == 1


async def test_one_renders_at_a_time(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)
    for number in range(4):
        await gateway.submit(attempt(body_of(gateway), f"key{number}"))
    studio.go.set()
    await ended(gateway)

    assert len(studio.asked) == 4
    assert studio.busy_most == 1


async def test_a_restart_begins_an_interrupted_render_again(tmp_path: Path):
    studio = Studio()
    before = gateway_in(tmp_path, studio)
    await before.submit(attempt(body_of(before)))
    await studio.begun.wait()
    await before.aclose()
    assert studio.busy == 0

    studio.go.set()
    after = gateway_in(tmp_path, studio)
    assert (await after.read("key1")).progress is Progress.RUNNING
    await ended(after)

    assert (await after.read("key1")).progress is Progress.FINISHED


async def test_a_closed_gateway_begins_nothing(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)
    await gateway.aclose()
    await gateway.submit(attempt(body_of(gateway)))

    assert (await gateway.read("key1")).progress is Progress.RUNNING
    assert studio.asked == []


@pytest.mark.parametrize(("fails", "progress"), [(1, Progress.FINISHED), (2, Progress.FAILED)])
async def test_a_job_fails_when_its_render_failed_twice(tmp_path: Path, fails: int, progress: Progress):
    studio = Studio(fails=fails)
    gateway = gateway_in(tmp_path, studio)
    studio.go.set()
    await gateway.submit(attempt(body_of(gateway)))
    await ended(gateway)

    assert (await gateway.read("key1")).progress is progress
    assert len(studio.asked) == 2


@pytest.mark.parametrize("gateway_job_id", ["unknown", "../key1", ""])
async def test_an_unknown_job_is_not_known(tmp_path: Path, gateway_job_id: str):
    with pytest.raises(GatewayUnavailable):
        await gateway_in(tmp_path, Studio()).read(gateway_job_id)


@pytest.mark.parametrize("address", ["../secret.mp4", "/etc/passwd", "key1.json", "https://example.com/a.mp4", ""])
async def test_only_its_own_videos_are_fetched(tmp_path: Path, address: str):
    with pytest.raises(VideoUnusable):
        await gateway_in(tmp_path, Studio()).fetch(address, tmp_path / "fetched.mp4")


async def test_a_video_that_is_gone_cannot_be_fetched_now(tmp_path: Path):
    with pytest.raises(GatewayUnavailable):
        await gateway_in(tmp_path, Studio()).fetch("key1.mp4", tmp_path / "fetched.mp4")


@pytest.mark.parametrize(("key", "body"), [("../key", None), ("key1", b"{}"), ("key1", b"no JSON")])
async def test_what_cannot_be_rendered_is_certainly_refused(tmp_path: Path, key: str, body: bytes | None):
    gateway = gateway_in(tmp_path, Studio())

    with pytest.raises(SubmissionRefused):
        await gateway.submit(attempt(body_of(gateway) if body is None else body, key))


async def test_a_full_disk_is_a_certain_refusal(tmp_path: Path):
    gateway = gateway_in(tmp_path, Studio())
    (tmp_path / "animatic").write_text("a file where the folder should be")

    with pytest.raises(SubmissionRefused):
        await gateway.submit(attempt(body_of(gateway)))


async def test_files_older_than_a_day_are_cleared_away(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)
    (tmp_path / "animatic").mkdir()
    for name, age_s in (("old", 90_000), ("new", 80_000)):
        (tmp_path / "animatic" / f"{name}.mp4").write_bytes(b"")
        os.utime(tmp_path / "animatic" / f"{name}.mp4", (time.time() - age_s,) * 2)
    studio.go.set()
    await gateway.submit(attempt(body_of(gateway)))
    await ended(gateway)

    assert set(os.listdir(tmp_path / "animatic")) == {"new.mp4", "key1.json", "key1.mp4"}


async def test_the_body_is_the_same_for_the_same_submission_and_names_the_pictures(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)
    studio.go.set()
    body = body_of(gateway, image("a.jpg"), image("b.png"), mode=Mode.REFERENCE, ratio="9:16")
    await gateway.submit(attempt(body))
    await ended(gateway)

    assert body == body_of(gateway, image("a.jpg"), image("b.png"), mode=Mode.REFERENCE, ratio="9:16")
    folder = tmp_path / "pictures"
    assert studio.asked == [
        {"pictures": [folder / "a.jpg", folder / "b.png"], "size": (720, 1280), "prompt": "A paper boat"}
    ]


async def test_in_image_mode_the_picture_is_the_ratio(tmp_path: Path):
    studio = Studio()
    gateway = gateway_in(tmp_path, studio)
    studio.go.set()
    await gateway.submit(attempt(body_of(gateway, image(), mode=Mode.IMAGE, ratio=None)))
    await ended(gateway)

    assert studio.asked[0]["size"] == (720, 960)


def test_it_is_free_and_capped_and_does_all_modes(tmp_path: Path):
    capabilities = gateway_in(tmp_path, Studio()).capabilities

    assert capabilities.free
    assert capabilities.jobs_per_user_day == 10
    assert not capabilities.fetches_pictures
    assert set(capabilities.modes) == set(Mode)
    assert capabilities.modes[Mode.TEXT].ratios == capabilities.modes[Mode.REFERENCE].ratios == RATIOS
    assert capabilities.price_microusd(resolution=Resolution.P1080, duration_s=15) == 0


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        (Resolution.P720, "16:9", (1280, 720)),
        (Resolution.P720, "9:16", (720, 1280)),
        (Resolution.P720, "1:1", (720, 720)),
        (Resolution.P720, "21:9", (1680, 720)),
        (Resolution.P720, "9:21", (720, 1680)),
        (Resolution.P1080, "16:9", (1920, 1080)),
        (Resolution.P1080, "4:5", (1080, 1350)),
        (Resolution.P720, "1023:767", (960, 720)),
    ],
)
def test_the_resolution_is_the_short_side(resolution: Resolution, ratio: str, size: tuple[int, int]):
    assert frame_size(resolution, ratio) == size


@pytest.mark.parametrize("pictures", [0, 1, 3, 9])
async def test_a_rendered_video_is_real_and_exactly_as_asked(tmp_path: Path, pictures: int):
    path = tmp_path / "video.mp4"
    data = [samples.rotated_jpeg(), samples.transparent_png(), samples.balloon_webp()] * 3
    path.write_bytes(
        await render(prompt="A boat", pictures=data[:pictures], width=426, height=240, duration_s=3, label="Preview")
    )
    facts = await probe(path)

    assert plays_inline(facts)
    assert (facts.width, facts.height, facts.fps, facts.duration_s) == (426, 240, 24.0, 3.0)
    with av.open(path) as container:
        assert sum(1 for _ in container.decode(video=0)) == 72
        assert container.streams.audio[0].layout.name == "stereo"


async def test_the_sound_is_soft_and_fades_in_and_out():
    data = await render(prompt="", pictures=[], width=160, height=90, duration_s=3, label="")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=8_000)
    with av.open(BytesIO(data)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    sound = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)

    def loudest(start_s: float, end_s: float) -> int:
        cut = memoryview(sound[2 * int(8_000 * start_s) : 2 * int(8_000 * end_s)]).cast("h")
        return max(abs(value) for value in cut)

    assert 3_000 < loudest(1, 2) < 20_000
    assert loudest(0, 0.02) < 1_000
    assert loudest(2.9, 3) < 2_000


async def test_every_picture_is_shown():
    colours = [(230, 20, 20), (20, 200, 20), (20, 20, 230)]
    pictures = [samples.encoded(Picture.new("RGB", (640, 360), colour), "PNG") for colour in colours]
    data = await render(prompt="", pictures=pictures, width=320, height=180, duration_s=3, label="")
    with av.open(BytesIO(data)) as container:
        shown = [frame.to_image().getpixel((160, 90)) for frame in container.decode(video=0)]

    strongest = [max(range(3), key=lambda channel: colour[channel]) for colour in shown]  # type: ignore[index]
    changes = [now for now, following in pairwise(strongest) if now != following]
    assert [*changes, strongest[-1]] == [0, 1, 2]
    assert shown[0] == pytest.approx(colours[0], abs=12)


@pytest.mark.parametrize(
    "prompt",
    [
        "x" * 5_000,
        "漢字" * 1_250,
        "שלום עולם مرحبا بالعالم",
        "🐎👩‍👩‍👧 family \u200d\ufe0f",
        "line\nbreak\ttab",
        "\U0010fffd\u202e%s {0} \\N",
    ],
    ids=["long", "chinese", "right-to-left", "emoji", "breaks", "odd"],
)
@pytest.mark.parametrize("frame", [(720, 1280), (1680, 720), (720, 1680), (64, 64)])
def test_no_prompt_is_clipped_or_fatal(prompt: str, frame: tuple[int, int]):
    for patch in scene.captions(prompt, "Animatic preview", frame):
        assert patch.x >= 0
        assert patch.y >= 0
        assert patch.x + patch.image.width <= frame[0]
        assert patch.y + patch.image.height <= frame[1]


def test_without_any_system_font_the_built_in_one_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scene, "_FONTS", ("no such font.ttf",))

    patches = scene.captions("A paper boat 🐎", "Preview", (1280, 720))

    assert len(patches) == 2
    assert all(patch.image.getextrema()[0][1] == 255 for patch in patches)  # type: ignore[index]


async def test_what_cannot_be_rendered_leaves_nothing(tmp_path: Path):
    with pytest.raises(VideoUnusable):
        await render_to(
            tmp_path / "video.mp4",
            prompt="",
            pictures=[tmp_path / "gone.jpg"],
            width=64,
            height=64,
            duration_s=1,
            label="",
        )

    assert os.listdir(tmp_path) == []
