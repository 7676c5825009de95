"""Hostile pictures from a member: refused or made harmless, in bounded memory and time, whatever they are called."""

import asyncio
import os
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from bot.adapters.media import checking
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.pictures import PictureIntake
from bot.domain.errors import PictureProblem, PictureRejected, StoreFailed, VideoUnusable
from bot.domain.request import ATTACHMENT_BYTES_MAX, Attachment, Mode, PictureRules
from tests import picture_samples as samples

RULES = PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=10_000_000)
MIB = 2**20
SECRET = b"SECRET-that-must-not-pass"


def lying(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def no_child_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


async def taken(data: bytes, folder: Path, *, name: str = "picture.png") -> bytes:
    """Have one attachment taken in; return the bytes that were kept."""

    async def fetch(_: Attachment) -> bytes:
        return data

    library = FileLibrary(folder)
    intake = PictureIntake(fetch=fetch, library=library)
    attachment = Attachment("https://cdn.discordapp.com/a", name, len(data))
    (image,) = await intake.take((attachment,), rules=RULES, ratio=None, mode=Mode.REFERENCE)
    return library.path(image.name).read_bytes()


async def rejected(data: bytes, folder: Path) -> PictureProblem:
    with pytest.raises(PictureRejected) as caught:
        await taken(data, folder)
    assert lying(folder) == []
    return caught.value.problem


def packed_zeros(mebibytes: int) -> bytes:
    """Return a zlib stream of so many zeros, made of one block again and again: quick to make, slow to be hit by."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + again * (mebibytes - 1) + packer.flush()


def tiff(*entries: tuple[int, int], data: bytes) -> bytes:
    """Return a little TIFF with these tags (all 32-bit) and the data at byte 8."""
    tags = sorted([(258, 8), (259, 8), (262, 1), (277, 1), *entries])
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + directory + bytes(4)


def tiff_of_one_huge_tile(side: int) -> bytes:
    """Return 800 x 600 pixels cut out of one tile of side x side, which is unpacked whole."""
    data = packed_zeros(side * side // MIB)
    return tiff((256, 800), (257, 600), (322, side), (323, side), (324, 8), (325, len(data)), data=data)


def webp_canvas(width: int, height: int) -> bytes:
    """Return an animation whose canvas is far larger than its only picture."""
    picture = samples.encoded(samples.drawn(400, 400), "WEBP")[12:]
    frame = bytes(6) + 2 * (399).to_bytes(3, "little") + (100).to_bytes(3, "little") + b"\0" + picture
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [(b"VP8X", bytes([2, 0, 0, 0]) + size), (b"ANIM", bytes(6)), (b"ANMF", frame)]
    body = b"WEBP" + b"".join(name + len(data).to_bytes(4, "little") + data for name, data in chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def gif_canvas(width: int, height: int) -> bytes:
    data = bytearray(samples.animated_gif())
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp(width: int, height: int) -> bytes:
    data = bytearray(samples.encoded(samples.drawn(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def said_to_be(data: bytes, width: int, height: int) -> bytes:
    """Change the size in the header of a HEIC or AVIF; the coded picture stays what it is."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def avif(side: int) -> bytes:
    return samples.encoded(Image.new("RGB", (side, side)), "AVIF", speed=10)


def endless_jpeg(scans: int) -> bytes:
    """Return a progressive JPEG whose last refinement is repeated: each scan touches every pixel again."""
    data = samples.encoded(Image.new("L", (6_000, 6_000)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * scans + data[-2:]


BOMBS: dict[str, tuple[Callable[[], bytes], PictureProblem]] = {
    "PNG": (samples.bomb_png, PictureProblem.TOO_MANY_PIXELS),
    "GIF": (lambda: gif_canvas(65_535, 65_535), PictureProblem.TOO_MANY_PIXELS),
    "WEBP": (lambda: webp_canvas(12_000, 12_000), PictureProblem.TOO_MANY_PIXELS),
    "WEBP of 17 GB": (lambda: webp_canvas(65_535, 65_535), PictureProblem.DAMAGED),
    "AVIF": (lambda: said_to_be(avif(800), 12_000, 12_000), PictureProblem.TOO_MANY_PIXELS),
    "HEIC": (lambda: said_to_be(samples.heic(), 20_000, 20_000), PictureProblem.TOO_MANY_PIXELS),
    "larger than it says": (lambda: said_to_be(samples.heic(2_048, 2_048), 500, 500), PictureProblem.DAMAGED),
    "BMP": (lambda: bmp(60_000, -60_000), PictureProblem.TOO_MANY_PIXELS),
    "TIFF": (lambda: tiff_of_one_huge_tile(60_000), PictureProblem.DAMAGED),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux alone")
@pytest.mark.parametrize("kind", BOMBS)
async def test_a_small_file_that_unpacks_to_much_is_refused(kind: str, tmp_path: Path) -> None:
    make, problem = BOMBS[kind]
    data = make()

    assert len(data) < ATTACHMENT_BYTES_MAX / 4
    assert await rejected(data, tmp_path) is problem


AT_THE_LIMIT: dict[str, Callable[[], bytes]] = {
    "WEBP": lambda: webp_canvas(7_000, 7_000),
    "AVIF that is larger than it says": lambda: said_to_be(avif(4_000), 800, 800),
    "PNG": lambda: samples.bomb_png(10_000, 5_000),
}


@pytest.mark.parametrize("kind", AT_THE_LIMIT)
async def test_a_picture_at_the_limit_becomes_a_small_one(kind: str, tmp_path: Path) -> None:
    kept = Image.open(BytesIO(await taken(AT_THE_LIMIT[kind](), tmp_path)))

    assert max(kept.size) <= 2_560


async def test_a_picture_that_keeps_the_processor_busy_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_TIMEOUT_S", 1.0)
    data = endless_jpeg(20_000)
    started = time.monotonic()

    assert len(data) < ATTACHMENT_BYTES_MAX
    assert await rejected(data, tmp_path) is PictureProblem.DAMAGED
    assert time.monotonic() - started < 10
    assert no_child_left()


async def test_nine_bad_pictures_take_no_longer_than_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []

    async def slow(work: str, request: Mapping[str, object], *, timeout_s: float) -> dict[str, Any]:
        begun.append(request["position"])
        if request["position"] != 1:
            await asyncio.Event().wait()
        raise VideoUnusable("media", "timed out")

    async def fetch(_: Attachment) -> bytes:
        return samples.png()

    monkeypatch.setattr("bot.adapters.media.child.run", slow)
    intake = PictureIntake(fetch=fetch, library=FileLibrary(tmp_path))
    with pytest.raises(PictureRejected):
        await intake.take((Attachment("https://a", "a", 1),) * 9, rules=RULES, ratio=None, mode=Mode.REFERENCE)

    assert len(begun) <= 3


async def test_a_full_disk_is_no_fault_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))

    with pytest.raises(StoreFailed):
        await taken(samples.png(), tmp_path)


SCRIPT = b"<html><script>alert(1)</script></html>"
ZIPPED = b"PK\3\4" + SECRET + b"PK\5\6" + bytes(18)


def with_comment(data: bytes, text: bytes) -> bytes:
    return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]


POLYGLOTS = {
    "HTML before a JPEG's picture": with_comment(samples.jpeg(), SCRIPT),
    "HTML after a JPEG": samples.jpeg() + SCRIPT,
    "HTML after a PNG": samples.png() + SCRIPT,
    "HTML after a GIF": samples.animated_gif() + SCRIPT,
    "a ZIP after a JPEG": samples.jpeg() + ZIPPED,
    "a PDF in a JPEG": with_comment(samples.jpeg(), b"%PDF-1.7 " + SECRET),
}


@pytest.mark.parametrize("kind", POLYGLOTS)
async def test_a_picture_that_is_something_else_as_well_comes_out_as_a_picture_alone(kind: str, tmp_path: Path) -> None:
    kept = await taken(POLYGLOTS[kind], tmp_path)

    for trace in (b"<script", b"<html", b"%PDF", b"PK\3\4", SECRET):
        assert trace not in kept
    assert kept.endswith((b"\xff\xd9", b"IEND\xaeB`\x82"))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="600">%s</svg>'
NO_PICTURES = {
    "SVG": samples.SVG,
    "SVG with a script": SVG % b"<script>alert(1)</script>",
    "SVG that names a file": SVG % b'<image href="file:///etc/passwd"/>',
    "XML that names a file": b'<!DOCTYPE s [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + SVG % b"&e;",
    "HTML": samples.HTML,
    "PDF": b"%PDF-1.7\n" + bytes(400),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 800 600\n%%EndComments\n(/etc/passwd) (r) file\n",
    "a playlist": b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n",
    "MVG": b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x'\npop graphic-context",
    "a program": b"\x7fELF" + bytes(400),
    "a pickle": b"\x80\x04cposix\nsystem\n(S'true'\ntR.",
}


@pytest.mark.parametrize("kind", NO_PICTURES)
async def test_what_a_browser_or_a_converter_would_run_is_no_picture(kind: str, tmp_path: Path) -> None:
    assert await rejected(NO_PICTURES[kind], tmp_path) is PictureProblem.NOT_A_PICTURE


@pytest.mark.parametrize("kind", ["DDS", "DIB", "EPS", "ICNS", "ICO", "PCX", "PDF", "PPM", "SGI", "TGA", "XBM"])
async def test_kinds_that_nobody_sends_are_not_even_looked_into(kind: str, tmp_path: Path) -> None:
    image = samples.drawn().convert("1") if kind == "XBM" else samples.drawn()

    assert await rejected(samples.encoded(image, kind), tmp_path) is PictureProblem.NOT_A_PICTURE


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", PictureProblem.EMPTY), (b"\0", PictureProblem.NOT_A_PICTURE)], ids=["0 bytes", "1 byte"]
)
async def test_next_to_nothing_is_refused(data: bytes, problem: PictureProblem, tmp_path: Path) -> None:
    assert await rejected(data, tmp_path) is problem


def talkative(kind: str) -> bytes:
    """Return a picture that carries a place, a camera, XMP and a comment, as far as its kind can."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = SECRET.decode()
    if kind != "TIFF":  # there Pillow writes no place
        exif[ExifTags.Base.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (52.0, 31.0, 12.0)}
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
    options: dict[str, Any] = {"exif": exif, "xmp": xmp, "comment": SECRET}
    if kind == "PNG":
        options["pnginfo"] = texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", SECRET.decode())
    return samples.encoded(samples.drawn(), kind, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
async def test_where_and_with_what_a_picture_was_taken_is_removed(kind: str, tmp_path: Path) -> None:
    data = talkative(kind)
    assert SECRET in data

    kept = await taken(data, tmp_path)

    for trace in (SECRET, b"Exif", b"GPS", b"xmpmeta", b"ICC_PROFILE", b"iCCP", b"tEXt", b"iTXt", b"eXIf"):
        assert trace not in kept
    assert not dict(Image.open(BytesIO(kept)).getexif())


TRICKS = {
    "up and away": "../../../../etc/cron.d/gallop.png",
    "from the root": "/etc/passwd",
    "Windows": "C:\\Windows\\system32\\drivers.png",
    "NUL": "picture.png\0.exe",
    "right to left": "holiday\u202egnp.exe",
    "line break": "a\r\nContent-Type: text/html\r\n\r\n.png",
    "long": "x" * 5_000 + ".png",
    "a device": "CON.png",
    "nothing": "",
    "hidden": ".htaccess",
    "the database": "gallop.db",
}


@pytest.mark.parametrize("trick", TRICKS)
async def test_the_name_of_an_attachment_names_no_file(trick: str, tmp_path: Path) -> None:
    await taken(samples.png(), tmp_path / "data", name=TRICKS[trick])

    (kept,) = lying(tmp_path)
    assert re.fullmatch(r"data/pictures/[0-9a-f]{32}\.(png|jpg)", kept)
