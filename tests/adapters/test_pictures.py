"""Attachments on their way into the library: fetched, checked, all kept or none."""

import asyncio
from pathlib import Path

import pytest

from bot.adapters.media.library import FileLibrary
from bot.adapters.media.pictures import PictureIntake
from bot.domain.errors import PictureProblem, PictureRejected, StoreFailed
from bot.domain.request import Attachment, Mode, PictureRules
from tests import picture_samples as samples

RULES = PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=10_000_000)


class Shelf:
    """Hands out attachments by name; counts how many are on their way at once."""

    def __init__(self, **files: bytes | OSError) -> None:
        self.files = files
        self.fetched: list[str] = []

    async def fetch(self, attachment: Attachment) -> bytes:
        self.fetched.append(attachment.name)
        content = self.files[attachment.name]
        if isinstance(content, OSError):
            raise content
        return content

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        return tuple(
            Attachment(f"https://cdn.example/{name}", name, 1_000 if isinstance(content, OSError) else len(content))
            for name, content in self.files.items()
        )


def kept_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def take(shelf: Shelf, folder: Path):
    intake = PictureIntake(fetch=shelf.fetch, library=FileLibrary(folder))
    return await intake.take(shelf.attachments, rules=RULES, ratio=None, mode=Mode.REFERENCE)


async def test_pictures_are_kept_in_order(tmp_path: Path):
    shelf = Shelf(
        first=samples.rotated_jpeg(),
        second=samples.transparent_png(),
        third=samples.balloon_webp(),
        wrong=samples.png(),
    )
    images = await take(shelf, tmp_path)
    library = FileLibrary(tmp_path)

    assert [(image.width, image.height) for image in images] == [(900, 1200), (1000, 1000), (1280, 960), (800, 600)]
    for image in images:
        assert len(library.path(image.name).read_bytes()) == image.bytes_count


async def test_a_wrong_name_and_type_do_not_matter(tmp_path: Path):
    shelf = Shelf(**{"holiday.txt": samples.png()})

    (image,) = await take(shelf, tmp_path)

    assert image.content_type == "image/png"


async def test_the_first_bad_picture_is_named_and_nothing_is_kept(tmp_path: Path):
    shelf = Shelf(good=samples.jpeg(), svg=samples.SVG, broken=samples.truncated_jpeg())

    with pytest.raises(PictureRejected) as caught:
        await take(shelf, tmp_path)

    assert (caught.value.position, caught.value.problem) == (2, PictureProblem.NOT_A_PICTURE)
    assert kept_files(tmp_path) == []


async def test_what_discord_does_not_hand_over_is_unreadable(tmp_path: Path):
    shelf = Shelf(good=samples.jpeg(), gone=OSError("404"))

    with pytest.raises(PictureRejected) as caught:
        await take(shelf, tmp_path)

    assert (caught.value.position, caught.value.problem) == (2, PictureProblem.UNREADABLE)


async def test_what_is_said_to_be_too_large_is_not_even_fetched(tmp_path: Path):
    shelf = Shelf(huge=b"")
    intake = PictureIntake(fetch=shelf.fetch, library=FileLibrary(tmp_path))
    attachment = Attachment("https://cdn.example/huge", "huge", 26_000_000)

    with pytest.raises(PictureRejected) as caught:
        await intake.take((attachment,), rules=RULES, ratio=None, mode=Mode.REFERENCE)

    assert (caught.value.problem, caught.value.measured) == (PictureProblem.TOO_LARGE, 26_000_000)
    assert shelf.fetched == []


async def test_nine_pictures_together_fit_one_message(tmp_path: Path):
    noisy = samples.encoded(samples.noise(1900, 1400), "JPEG", quality=95)
    shelf = Shelf(**{f"picture{number}": noisy for number in range(9)})

    images = await take(shelf, tmp_path)

    assert 9 * len(noisy) > 22 * 1024 * 1024
    assert sum(image.bytes_count for image in images) <= 22 * 1024 * 1024


async def test_discarding_one_request_leaves_the_same_picture_of_another(tmp_path: Path):
    shelf = Shelf(picture=samples.jpeg())
    mine, theirs = await take(shelf, tmp_path), await take(shelf, tmp_path)
    library = FileLibrary(tmp_path)
    intake = PictureIntake(fetch=shelf.fetch, library=library)

    await intake.discard(mine)
    await intake.discard(mine)

    assert not library.path(mine[0].name).exists()
    assert library.path(theirs[0].name).exists()


async def test_a_failing_disk_keeps_nothing(tmp_path: Path):
    class FullAfterOne(FileLibrary):
        kept = 0

        async def keep_picture(self, data: bytes, content_type: str) -> str:
            if self.kept:
                raise StoreFailed("full")
            self.kept += 1
            return await super().keep_picture(data, content_type)

    shelf = Shelf(first=samples.jpeg(), second=samples.png())
    intake = PictureIntake(fetch=shelf.fetch, library=FullAfterOne(tmp_path))

    with pytest.raises(StoreFailed):
        await intake.take(shelf.attachments, rules=RULES, ratio=None, mode=Mode.REFERENCE)

    assert kept_files(tmp_path) == []


async def test_only_a_few_raw_pictures_are_in_memory_at_once(tmp_path: Path):
    begun, most, release = 0, 0, asyncio.Event()
    picture = samples.jpeg()

    async def fetch(attachment: Attachment) -> bytes:
        nonlocal begun, most
        begun += 1
        most = max(most, begun)
        if begun == 4:
            release.set()
        await release.wait()
        begun -= 1
        return picture

    intake = PictureIntake(fetch=fetch, library=FileLibrary(tmp_path))
    attachments = tuple(Attachment("https://cdn.example/a", f"{number}", 1_000) for number in range(9))
    images = await intake.take(attachments, rules=RULES, ratio=None, mode=Mode.REFERENCE)

    assert len(images) == 9
    assert most == 4
