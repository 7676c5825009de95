"""The archive of one's data: never larger than allowed, and no name in it that is not ours."""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.job import Job, Video
from bot.domain.privacy import PersonalData
from bot.domain.request import Image
from cogs.archive import make_archive
from tests.presentation.views import JOB, NOW

OURS = re.compile(r"data\.json|(pictures|videos)/[0-9a-z]{16}(-[1-9])?\.(jpg|png|mp4)")


def job(folder: Path, number: int, *, picture_bytes: int = 0, video_bytes: int = 0) -> Job:
    """Return a job with one picture and a video of that size, if any. An archive stores them as they are."""
    job_id = f"{number:016d}"
    images: tuple[Image, ...] = ()
    video = None
    if picture_bytes:
        images = (Image(f"p{number}.jpg", "image/jpeg", 8, 8, picture_bytes),)
        (folder / images[0].name).write_bytes(bytes(picture_bytes))
    if video_bytes:
        video = Video(f"v{number}.mp4", video_bytes, 5.0, 1280, 720)
        (folder / video.name).write_bytes(bytes(video_bytes))
    return replace(JOB, job_id=job_id, images=images, video=video)


def packed(folder: Path, jobs: list[Job], bytes_max: int) -> tuple[list[str], int]:
    """Return the names in the archive and its size."""
    archive = make_archive(PersonalData(11, tuple(jobs), ()), folder.joinpath, bytes_max=bytes_max, made_at=NOW)
    with archive.file, zipfile.ZipFile(archive.file) as content:
        assert content.testzip() is None
        left_out = json.loads(content.read("data.json"))["left_out"]
        assert len(left_out) == archive.no_room
        return content.namelist(), archive.bytes_count


@pytest.mark.parametrize("bytes_max", [8_000, 30_000, 60_000, 100_000, 200_000, 10**6])
def test_an_archive_with_files_is_never_larger_than_allowed(tmp_path: Path, bytes_max: int) -> None:
    jobs = [job(tmp_path, n, picture_bytes=n * 1_000, video_bytes=n * 3_000) for n in range(1, 11)]

    names, bytes_count = packed(tmp_path, jobs, bytes_max)

    assert bytes_count <= bytes_max
    assert all(OURS.fullmatch(name) for name in names)


def test_pictures_come_first_then_the_newest_videos(tmp_path: Path) -> None:
    jobs = [job(tmp_path, n, picture_bytes=10_000, video_bytes=40_000) for n in (3, 2, 1)]

    names, _ = packed(tmp_path, jobs, 80_000)

    assert names == [
        "pictures/0000000000000003-1.jpg",
        "pictures/0000000000000002-1.jpg",
        "pictures/0000000000000001-1.jpg",
        "videos/0000000000000003.mp4",
        "data.json",
    ]


def test_a_smaller_video_comes_along_where_a_newer_one_is_too_large(tmp_path: Path) -> None:
    jobs = [job(tmp_path, 2, video_bytes=90_000), job(tmp_path, 1, video_bytes=9_000)]

    names, _ = packed(tmp_path, jobs, 30_000)

    assert names == ["videos/0000000000000001.mp4", "data.json"]


def test_the_document_alone_may_be_too_large_and_says_how_large(tmp_path: Path) -> None:
    names, bytes_count = packed(tmp_path, [job(tmp_path, 1, picture_bytes=100)], 500)

    assert names == ["data.json"]
    assert bytes_count > 500


def test_a_failing_disk_leaves_no_open_file(tmp_path: Path) -> None:
    one = job(tmp_path, 1, picture_bytes=100)

    def broken(_: str) -> Path:
        raise PermissionError

    with pytest.raises(PermissionError):
        make_archive(PersonalData(11, (one,), ()), broken, bytes_max=10**6, made_at=NOW)
