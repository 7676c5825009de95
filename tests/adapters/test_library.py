"""The library: names that cannot lead elsewhere, files that are whole, videos that are really videos."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.adapters.media.library import FileLibrary
from bot.adapters.media.render import render
from bot.adapters.media.video import VideoFacts
from bot.domain.errors import InvariantBroken, StoreFailed, VideoUnusable
from bot.domain.job import Video


@pytest.fixture(scope="module")
def video() -> bytes:
    return asyncio.run(render(prompt="", pictures=[], width=160, height=90, duration_s=1, label=""))


@pytest.fixture
def library(tmp_path: Path) -> FileLibrary:
    return FileLibrary(tmp_path / "data")


@pytest.mark.parametrize(
    "name",
    [
        "../secret.jpg",
        "pictures/a.jpg",
        "/etc/passwd",
        "a.jpg\0",
        "",
        ".jpg",
        "a",
        "a.exe",
        "a.b.jpg",
        "a\n.jpg",
        "ä.jpg",
    ],
)
def test_a_name_cannot_lead_elsewhere(library: FileLibrary, name: str):
    with pytest.raises(InvariantBroken):
        library.path(name)


@pytest.mark.parametrize("job_id", ["../x", "a/b", "", "a.b"])
def test_a_job_id_cannot_lead_elsewhere(library: FileLibrary, job_id: str):
    with pytest.raises(InvariantBroken):
        library.incoming(job_id)


async def test_a_picture_is_kept_whole_under_a_new_name(library: FileLibrary):
    first = await library.keep_picture(b"one", "image/jpeg")
    again = await library.keep_picture(b"one", "image/jpeg")
    other = await library.keep_picture(b"two", "image/png")

    assert len({first, again, other}) == 3
    assert library.path(first).read_bytes() == b"one"
    assert other.endswith(".png")
    assert {file.suffix for file in library.path(first).parent.iterdir()} == {".jpg", ".png"}


async def test_a_disk_that_fails_is_said_in_the_domains_words(tmp_path: Path):
    (tmp_path / "data").write_text("a file where the folder should be")

    with pytest.raises(StoreFailed):
        await FileLibrary(tmp_path / "data").keep_picture(b"one", "image/jpeg")


async def test_an_incoming_video_is_measured_and_kept(library: FileLibrary, video: bytes):
    library.incoming("job1").write_bytes(video)

    kept = await library.keep_video("job1")

    assert kept == Video("job1.mp4", len(video), 1.0, 160, 90)
    assert library.path(kept.name).read_bytes() == video
    assert not library.incoming("job1").exists()


async def test_keeping_twice_gives_the_same_video(library: FileLibrary, video: bytes):
    library.incoming("job1").write_bytes(video)

    assert await library.keep_video("job1") == await library.keep_video("job1")


async def test_a_video_fetched_again_replaces_the_kept_one(library: FileLibrary, video: bytes):
    library.incoming("job1").write_bytes(video)
    await library.keep_video("job1")
    library.incoming("job1").write_bytes(video + b"\0\0\0\x08free")

    assert (await library.keep_video("job1")).bytes_count == len(video) + 8


@pytest.mark.parametrize("content", [None, b"", b"<html>", b"half"])
async def test_what_is_no_video_is_not_kept(library: FileLibrary, video: bytes, content: bytes | None):
    if content is not None:
        library.incoming("job1").write_bytes(video[: len(video) // 2] if content == b"half" else content)

    with pytest.raises(VideoUnusable):
        await library.keep_video("job1")

    assert not library.path("job1.mp4").exists()
    assert not library.incoming("job1").exists()


async def test_a_refetched_wreck_does_not_replace_a_kept_video(library: FileLibrary, video: bytes):
    library.incoming("job1").write_bytes(video)
    await library.keep_video("job1")
    library.incoming("job1").write_bytes(b"<html>")

    with pytest.raises(VideoUnusable):
        await library.keep_video("job1")

    assert library.path("job1.mp4").read_bytes() == video


async def test_what_was_half_written_when_the_bot_was_killed_is_deleted_at_the_next_start(library: FileLibrary):
    kept = library.path(await library.keep_picture(b"picture", "image/png"))
    half = kept.with_name("another.png.0a1b2c3d.part")
    half.write_bytes(b"pic")

    await library.tidy()
    await library.tidy()

    assert (kept.exists(), half.exists()) == (True, False)


async def test_free_space_is_told_before_anything_was_kept(library: FileLibrary):
    assert await library.free_bytes() > 0


async def test_the_way_to_measure_can_be_given(tmp_path: Path):
    async def probe(path: Path) -> VideoFacts:
        return VideoFacts("mp4", "h264", "aac", "yuv420p", 16, 9, 24.0, 5.0, True, 8)

    library = FileLibrary(tmp_path, probe=probe)
    library.incoming("job1").write_bytes(b"anything")

    assert await library.keep_video("job1") == Video("job1.mp4", 8, 5.0, 16, 9)


async def test_only_files_past_their_retention_that_nobody_needs_are_deleted(library: FileLibrary, tmp_path: Path):
    old, needed, new = [await library.keep_picture(b"picture", "image/png") for _ in range(3)]
    database = tmp_path / "data" / "gallop.db"
    database.write_bytes(b"jobs")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    for path in (library.path(old), library.path(needed), database):
        os.utime(path, (long_ago, long_ago))

    count = await library.purge(before=datetime(2026, 2, 1, tzinfo=UTC), keep=frozenset({needed}))

    assert count == 1
    assert [library.path(name).exists() for name in (old, needed, new)] == [False, True, True]
    assert database.exists()
