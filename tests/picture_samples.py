"""Makes every kind of picture that people attach, good and bad, as bytes."""

import zlib
from io import BytesIO
from typing import Any

import av
from PIL import ExifTags, Image, ImageCms, ImageDraw, PngImagePlugin

from bot.sandbox.samples import balloon_webp, rotated_jpeg, transparent_png

__all__ = ["balloon_webp", "rotated_jpeg", "transparent_png"]


def drawn(width: int = 800, height: int = 600) -> Image.Image:
    """Draw a picture whose corners tell how it is turned: red upper left, blue lower right, green elsewhere."""
    image = Image.new("RGB", (width, height), (40, 160, 70))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 3, height // 3), fill=(220, 30, 30))
    draw.rectangle((width - width // 3, height - height // 3, width, height), fill=(30, 40, 210))
    return image


def noise(width: int, height: int) -> Image.Image:
    return Image.merge("RGB", [Image.effect_noise((width, height), 90) for _ in range(3)])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(width: int = 800, height: int = 600) -> bytes:
    return encoded(drawn(width, height), "JPEG", quality=90)


def png(width: int = 800, height: int = 600) -> bytes:
    return encoded(drawn(width, height), "PNG")


def animated_gif() -> bytes:
    second = Image.new("RGB", (800, 600), "black")
    return encoded(drawn(), "GIF", save_all=True, append_images=[second], duration=100, loop=0)


def cmyk_jpeg() -> bytes:
    return encoded(drawn().convert("CMYK"), "JPEG", quality=95)


def sixteen_bit_png() -> bytes:
    """Return a 16-bit grey ramp, dark at the top; naive conversions make nearly all of it white."""
    ramp = Image.linear_gradient("L").resize((800, 600)).convert("I").point(lambda value: value * 257)
    return encoded(ramp.convert("I;16"), "PNG")


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """Return `drawn()` stored as a camera held otherwise stores it: upright only with its EXIF orientation applied."""
    store = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = drawn().transpose(store[orientation]) if orientation in store else drawn()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(image, kind, exif=exif)


def talkative_png() -> bytes:
    """Return a PNG that carries EXIF with GPS, XMP, a colour profile and a text chunk."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "SECRET"
    exif[ExifTags.Base.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (52.0, 31.0, 12.0)}
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "SECRET")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET</x:xmpmeta>")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(noise(500, 500), "PNG", exif=exif, pnginfo=texts, icc_profile=profile)


def bomb_png(width: int = 12_000, height: int = 10_000) -> bytes:
    """Return a whole, valid PNG of one black area: few bytes, many pixels."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )


def truncated_jpeg() -> bytes:
    whole = encoded(noise(800, 600), "JPEG")
    return whole[: len(whole) // 2]


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="800" height="600"><rect/></svg>'
HTML = b"<!doctype html><html><body>404</body></html>"


def heic(width: int = 640, height: int = 480) -> bytes:
    """Return a HEIC: one HEVC picture, taken out of an MP4, in the boxes of ISO/IEC 23008-12."""
    configuration, picture = _hevc(drawn(width, height))
    item = _full("infe", b"\0\1\0\0hvc1\0", version=2)
    properties = _box("hvcC", configuration) + _full("ispe", width.to_bytes(4, "big") + height.to_bytes(4, "big"))
    # One item of two properties; the first, the decoder's configuration, is essential.
    association = _full("ipma", (1).to_bytes(4, "big") + b"\0\1\2\x81\2")
    kind = _box("ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(offset: int) -> bytes:
        place = b"\x44\0\0\1" + b"\0\1\0\0\0\1" + offset.to_bytes(4, "big") + len(picture).to_bytes(4, "big")
        return _full(
            "meta",
            _full("hdlr", bytes(4) + b"pict" + bytes(13))
            + _full("pitm", b"\0\1")
            + _full("iloc", place)
            + _full("iinf", b"\0\1" + item)
            + _box("iprp", _box("ipco", properties) + association),
        )

    offset = len(kind) + len(meta(0)) + 8
    return kind + meta(offset) + _box("mdat", picture)


def _hevc(image: Image.Image) -> tuple[bytes, bytes]:
    """Return the decoder's configuration (the content of ``hvcC``) and the picture, as MP4 keeps both."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx265", rate=1)
        stream.width, stream.height = image.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.codec_tag = "hvc1"
        stream.options = {"x265-params": "log-level=none:keyint=1"}
        output.mux(stream.encode(av.VideoFrame.from_bytes(image.convert("RGBA").tobytes(), *image.size)))
        output.mux(stream.encode())
    data = buffer.getvalue()
    place = data.index(b"hvcC")
    configuration = data[place + 4 : place - 4 + int.from_bytes(data[place - 4 : place], "big")]
    with av.open(BytesIO(data)) as source:
        packet = next(source.demux(video=0))
        return configuration, bytes(packet)


def _box(kind: str, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind.encode() + content


def _full(kind: str, content: bytes, *, version: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]) + content)
