"""Draws the three pictures the demo's member attaches: a JPEG, a PNG and a WEBP, each easy to recognise."""

import math
from collections.abc import Sequence
from io import BytesIO

from PIL import ExifTags, Image, ImageDraw, ImageFilter

_Colour = tuple[int, int, int]
# Drawn larger and made small at the end, for smooth edges.
_FINE = 2


def rotated_jpeg() -> bytes:
    """Return a 1200 x 900 photo-like JPEG as a phone held upright stores it: turned (EXIF orientation 6), with GPS."""
    buffer = BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Gallop"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    gps[ExifTags.GPS.GPSLongitudeRef] = "E"
    gps[ExifTags.GPS.GPSLongitude] = (13.0, 24.0, 18.0)
    exif[ExifTags.Base.GPSInfo] = gps
    # What is seen upright is 900 x 1200; orientation 6 means "turn clockwise to see it".
    _boat().transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def transparent_png() -> bytes:
    """Return a 1000 x 1000 PNG of a lighthouse on a transparent ground."""
    buffer = BytesIO()
    _lighthouse().save(buffer, "PNG")
    return buffer.getvalue()


def balloon_webp() -> bytes:
    """Return a 1280 x 960 WEBP of a balloon over hills."""
    buffer = BytesIO()
    _balloon().save(buffer, "WEBP", quality=88)
    return buffer.getvalue()


def _sky(size: tuple[int, int], top: _Colour, bottom: _Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


def _ridge(
    size: tuple[int, int], *, base: float, swing: float, waves: float, phase: float
) -> list[tuple[float, float]]:
    """Return the outline of a row of hills down to the lower edge; `base` and `swing` are shares of the height."""
    width, height = size
    crest = [
        (x, height * (base + swing * math.sin(phase + waves * math.tau * x / width) * math.cos(phase + 3 * x / width)))
        for x in range(0, width + 8, 8)
    ]
    return [*crest, (width, height), (0, height)]


def _scaled(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * _FINE, y * _FINE) for x, y in points]


def _boat() -> Image.Image:
    """Draw a paper boat on a lake at dusk, 900 x 1200."""
    size = (900 * _FINE, 1200 * _FINE)
    image = _sky(size, (64, 66, 128), (250, 176, 120))
    draw = ImageDraw.Draw(image)
    draw.ellipse(_scaled([(560, 470), (760, 670)]), fill=(255, 226, 160))
    draw.polygon(_ridge(size, base=0.54, swing=0.05, waves=1.3, phase=0.6), fill=(92, 74, 122))
    draw.polygon(_ridge(size, base=0.58, swing=0.03, waves=2.2, phase=2.4), fill=(66, 56, 102))
    draw.rectangle(_scaled([(0, 740), (900, 1200)]), fill=(58, 84, 134))
    for row in range(14):
        y = 765 + row * row * 2.4
        half = 50 + row * 9
        draw.line(_scaled([(660 - half, y), (660 + half, y)]), fill=(226, 178, 140), width=6 + row)
    draw.polygon(_scaled([(210, 860), (700, 860), (600, 990), (310, 990)]), fill=(238, 240, 246))
    draw.polygon(_scaled([(310, 990), (455, 860), (210, 860)]), fill=(206, 212, 226))
    draw.polygon(_scaled([(455, 600), (330, 860), (580, 860)]), fill=(252, 252, 255))
    draw.polygon(_scaled([(455, 600), (455, 860), (580, 860)]), fill=(214, 220, 234))
    for y in (1012, 1040, 1075):
        draw.line(_scaled([(250, y), (660, y)]), fill=(120, 146, 190), width=10)
    return image.resize((900, 1200), Image.Resampling.LANCZOS)


def _lighthouse() -> Image.Image:
    """Draw a lighthouse on a rock, 1000 x 1000, everything around it transparent."""
    image = Image.new("RGBA", (1000 * _FINE, 1000 * _FINE), (255, 255, 255, 0))
    glow = Image.new("RGBA", image.size, (255, 236, 150, 0))
    ImageDraw.Draw(glow).polygon(_scaled([(500, 235), (980, 90), (980, 380)]), fill=(255, 226, 120, 150))
    ImageDraw.Draw(glow).polygon(_scaled([(500, 235), (20, 90), (20, 380)]), fill=(255, 226, 120, 150))
    image.alpha_composite(glow.filter(ImageFilter.GaussianBlur(18 * _FINE)))
    draw = ImageDraw.Draw(image)
    draw.polygon(_scaled([(120, 960), (230, 830), (400, 790), (620, 785), (800, 850), (890, 960)]), fill=(84, 82, 96))
    draw.polygon(_scaled([(120, 960), (300, 880), (520, 850), (700, 960)]), fill=(108, 106, 120))
    for band in range(6):
        top, bottom = 300 + band * 83, 300 + (band + 1) * 83
        left, right = 80 + band * 11, 80 + (band + 1) * 11
        corners = [(500 - left, top), (500 + left, top), (500 + right, bottom), (500 - right, bottom)]
        draw.polygon(_scaled(corners), fill=(206, 52, 58) if band % 2 == 0 else (248, 246, 242))
    draw.rectangle(_scaled([(395, 282), (605, 302)]), fill=(52, 52, 64))
    draw.rectangle(_scaled([(440, 190), (560, 282)]), fill=(255, 238, 170), outline=(52, 52, 64), width=10 * _FINE)
    draw.polygon(_scaled([(420, 192), (580, 192), (500, 110)]), fill=(206, 52, 58))
    draw.rectangle(_scaled([(472, 700), (528, 798)]), fill=(72, 54, 52))
    return image.resize((1000, 1000), Image.Resampling.LANCZOS)


def _balloon() -> Image.Image:
    """Draw a striped balloon over green hills, 1280 x 960."""
    size = (1280 * _FINE, 960 * _FINE)
    image = _sky(size, (96, 170, 232), (226, 242, 250))
    draw = ImageDraw.Draw(image)
    for x, y, wide in ((180, 190, 220), (900, 140, 280), (1010, 330, 190)):
        for step in range(4):
            puff = wide * (0.34 + 0.08 * (step % 2))
            left = x + step * wide * 0.2
            draw.ellipse(_scaled([(left, y - puff / 2), (left + puff, y + puff / 2)]), fill=(255, 255, 255))
    for base, phase, colour in ((0.74, 0.4, (122, 178, 120)), (0.82, 2.0, (88, 150, 92)), (0.9, 3.7, (58, 118, 74))):
        draw.polygon(_ridge(size, base=base, swing=0.05, waves=1.6, phase=phase), fill=colour)
    stripes = ((226, 70, 60), (250, 196, 72), (226, 70, 60), (250, 196, 72), (226, 70, 60))
    for stripe, colour in enumerate(stripes):
        half = 190 - stripe * 42
        draw.ellipse(_scaled([(600 - half, 130), (600 + half, 510)]), fill=colour)
    draw.polygon(_scaled([(452, 440), (748, 440), (640, 560), (560, 560)]), fill=(226, 70, 60))
    draw.polygon(_scaled([(538, 460), (662, 460), (618, 560), (582, 560)]), fill=(250, 196, 72))
    for x in (562, 638):
        draw.line(_scaled([(x, 560), (600 + (x - 600) * 0.75, 640)]), fill=(90, 70, 60), width=3 * _FINE)
    draw.rounded_rectangle(_scaled([(560, 636), (640, 700)]), radius=12 * _FINE, fill=(140, 96, 62))
    return image.resize((1280, 960), Image.Resampling.LANCZOS)
