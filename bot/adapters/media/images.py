"""Checks one picture and repairs it into what the gateways take: bytes in, clean bytes out, nothing else touched."""

import math
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import cast

import pi_heif  # type: ignore[import-untyped]  # ships no types
from PIL import ExifTags, Image, ImageCms, ImageFilter, ImageOps

from bot.domain.errors import PictureProblem, PictureRejected
from bot.domain.request import ATTACHMENT_BYTES_MAX, PIXELS_MAX, Mode, PictureRules

# More than any gateway shows of a picture; smaller files travel faster.
LONG_SIDE_MAX_PX = 2560
CROP_LOSS_MAX = 0.20
RATIO_TOLERANCE = 0.01

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
_QUALITIES = (92, 86, 78, 68)
_SHRINK = 0.8
_FLAT_COLOURS_MAX = 64
# Everything Pillow and its decoders were seen to raise on broken files.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, RuntimeError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture ready for the gateways. `note` says in a short phrase what was visibly changed, else empty."""

    data: bytes
    content_type: str
    width: int
    height: int
    note: str


def prepare(
    data: bytes, *, position: int, rules: PictureRules, ratio: str | None, mode: Mode, bytes_max: int
) -> Prepared:
    """Return the picture upright, in sRGB, without metadata, inside the rules and `bytes_max` (1 MB or more).

    `ratio` shapes the picture in image mode only. The type is found by content; name and declared type play no part.

    Raises:
        PictureRejected: it cannot be used or repaired.
    """

    def rejected(problem: PictureProblem, **facts: int) -> PictureRejected:
        return PictureRejected(position, problem, mode, **facts)

    if not data:
        raise rejected(PictureProblem.EMPTY)
    if len(data) > ATTACHMENT_BYTES_MAX:
        raise rejected(PictureProblem.TOO_LARGE, measured=len(data), limit=ATTACHMENT_BYTES_MAX)
    try:
        source = _open(data)
    except _BROKEN as error:
        known = _begins_like_a_picture(data)
        raise rejected(PictureProblem.DAMAGED if known else PictureProblem.NOT_A_PICTURE) from error
    with source:
        pixels = source.width * source.height
        if pixels > PIXELS_MAX:
            raise rejected(PictureProblem.TOO_MANY_PIXELS, measured=pixels, limit=PIXELS_MAX)
        try:
            width, height = _upright_size(source)
            if min(width, height) >= rules.short_side_min_px:
                image = _upright_rgb(source)
        except _BROKEN as error:
            raise rejected(PictureProblem.DAMAGED) from error
    if min(width, height) < rules.short_side_min_px:
        raise rejected(PictureProblem.TOO_SMALL, width=width, height=height, limit=rules.short_side_min_px)
    shaped, note = _shape(image, rules, ratio if mode is Mode.IMAGE else None)
    return _encode(shaped, note, bytes_max=bytes_max, short_side_min_px=rules.short_side_min_px)


def padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the RGB picture, whole and centred, on a blurred enlargement of itself of exactly `size` pixels."""
    # Blurred at an eighth of the size: the same to the eye, and 50 times quicker.
    small = (max(1, size[0] // 8), max(1, size[1] // 8))
    backdrop = ImageOps.fit(image, small, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(6))
    canvas = backdrop.resize(size, Image.Resampling.BICUBIC)
    inner = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
    canvas.paste(inner, ((size[0] - inner.width) // 2, (size[1] - inner.height) // 2))
    return canvas


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    pi_heif.register_heif_opener()
    # The caller's own check of the header is stricter than Pillow's, which for up to 179 megapixels only warns (and
    # warnings cannot be made errors in one thread alone).
    Image.MAX_IMAGE_PIXELS = None
    return Image.open(BytesIO(data), formats=_FORMATS)


def _begins_like_a_picture(data: bytes) -> bool:
    starts = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
    brands = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
    return (
        data.startswith(starts)
        or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        or (data[4:8] == b"ftyp" and data[8:12] in brands)
    )


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height as they will be seen, before anything is decoded."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN:
        orientation = None
    # Pillow states a TIFF's size upright already.
    turned = orientation in {5, 6, 7, 8} and image.format != "TIFF"
    return (image.height, image.width) if turned else image.size


def _upright_rgb(source: Image.Image) -> Image.Image:
    # A JPEG far over the final size is decoded at a half or a quarter of it, several times quicker.
    source.draft(source.mode, (LONG_SIDE_MAX_PX, LONG_SIDE_MAX_PX))
    source.load()
    try:
        upright = ImageOps.exif_transpose(source)
    except _BROKEN:
        upright = source  # broken metadata does not spoil a picture
    return plain_rgb(upright)


def plain_rgb(source: Image.Image) -> Image.Image:
    """Return 8-bit sRGB, transparency flattened onto white, in a new picture that carries no metadata."""
    image = _eight_bit(source)
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in {"RGB", "CMYK", "L"}:
        image = image.convert("RGB")
    image = _srgb(image, source.info.get("icc_profile"))
    clean = Image.new("RGB", image.size, "white")
    clean.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    return clean


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode not in {"I", "F"} and not image.mode.startswith("I;16"):
        return image
    # Pillow's own conversion cuts everything over 255 to white.
    wide = image.convert("F")
    peak = 65535.0
    if image.mode == "F":  # of no fixed scale: fractions, bytes or 16-bit values
        _, highest = cast("tuple[float, float]", wide.getextrema())
        peak = next((peak for peak in (1.0, 255.0, 65535.0) if highest <= peak), highest)
    return wide.point(lambda value: value * (255 / peak)).convert("L")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=target
            )
        except (ImageCms.PyCMSError, *_BROKEN):
            converted = None  # a profile that does not fit the picture is as good as none
        if converted is not None:
            return converted
    return image.convert(target)


def _shape(image: Image.Image, rules: PictureRules, ratio: str | None) -> tuple[Image.Image, str]:
    """Bring the picture to the ratio (or inside the greatest elongation) and to its final size."""
    width, height = image.size
    note = ""
    canvas = (width, height)
    if ratio is not None:
        wide, high = (int(part) for part in ratio.split(":"))
        goal, now = wide / high, width / height
        kept = min(goal / now, now / goal)
        if kept < 1 - CROP_LOSS_MAX:
            canvas, note = _around(width, height, goal), f"padded to {ratio}"
        elif kept < 1 - RATIO_TOLERANCE:
            canvas, note = _inside(width, height, goal), f"cropped to {ratio}"
    if not note and max(width, height) > min(width, height) * rules.elongation_max:
        most = rules.elongation_max
        canvas = _around(width, height, most if width > height else 1 / most)
        note = f"padded to {most:g}:1" if width > height else f"padded to 1:{most:g}"
    size = _final_size(*canvas, rules)
    if note.startswith("padded"):
        return padded(image, size), note
    if note:
        return ImageOps.fit(image, size, Image.Resampling.LANCZOS), note
    return (image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)), note


def _around(width: int, height: int, goal: float) -> tuple[int, int]:
    return (width, math.ceil(width / goal)) if width / height > goal else (math.ceil(height * goal), height)


def _inside(width: int, height: int, goal: float) -> tuple[int, int]:
    return (round(height * goal), height) if width / height > goal else (width, round(width / goal))


def _final_size(width: int, height: int, rules: PictureRules) -> tuple[int, int]:
    """Scale so that the long side is within its bound and the short side never under the gateway's least."""
    short, long = min(width, height), max(width, height)
    factor = max(min(1.0, LONG_SIDE_MAX_PX / long), rules.short_side_min_px / short)
    long = round(long * factor)
    # Rounded up where rounding down would make it more elongated than allowed.
    short = max(round(short * factor), rules.short_side_min_px, math.ceil(long / rules.elongation_max))
    return (long, short) if width >= height else (short, long)


def _encode(image: Image.Image, note: str, *, bytes_max: int, short_side_min_px: int) -> Prepared:
    while True:
        for quality in _QUALITIES:
            data, content_type = _jpeg(image, quality), "image/jpeg"
            if quality == _QUALITIES[0]:
                data, content_type = _smaller_png(image, data) or (data, content_type)
            if len(data) <= bytes_max:
                return Prepared(data, content_type, image.width, image.height, note)
        factor = max(_SHRINK, short_side_min_px / min(image.size))
        if factor >= 1:
            return Prepared(data, content_type, image.width, image.height, note)
        size = (math.ceil(image.width * factor), math.ceil(image.height * factor))
        image = image.resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _smaller_png(image: Image.Image, jpeg: bytes) -> tuple[bytes, str] | None:
    """Return a PNG where it is exact and no larger: flat drawings with few colours."""
    if image.getcolors(_FLAT_COLOURS_MAX) is None:
        return None
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return (buffer.getvalue(), "image/png") if buffer.tell() <= len(jpeg) else None
