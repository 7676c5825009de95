"""Draws what the animatic shows: pictures as stages for a camera, landscapes where there are none, and captions."""

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from bot.adapters.media.images import padded, plain_rgb

# How much larger a stage is than the frame: the room the camera has to move in.
ROOM = 1.2
# A picture of another shape is shown whole, on a blurred ground, where filling the frame would cut off more than this.
_CUT_MAX = 0.4
# Looked for by name where the system keeps its fonts; the first that lacks the fewest characters is taken.
_FONTS = (
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
)
_NO_SUCH_CHARACTER = "\U0010fffd"
_BAND = (12, 14, 20, 165)
_INK = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class Patch:
    """Something laid over every frame at (x, y), all measures even."""

    x: int
    y: int
    image: Image.Image


def stage(picture: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """Return the picture in RGB at the size of a stage for that frame."""
    size = stage_size(frame)
    upright = plain_rgb(ImageOps.exif_transpose(picture))
    here, there = upright.width / upright.height, size[0] / size[1]
    if 1 - min(here / there, there / here) > _CUT_MAX:
        return padded(upright, size)
    return ImageOps.fit(upright, size, Image.Resampling.BICUBIC)


def stage_size(frame: tuple[int, int]) -> tuple[int, int]:
    return (_even(frame[0] * ROOM), _even(frame[1] * ROOM))


def landscape(words: str, number: int, frame: tuple[int, int]) -> Image.Image:
    """Draw a landscape at stage size; the same words and number give the same one."""
    chance = random.Random(hashlib.sha256(f"{number} {words}".encode()).digest())  # noqa: S311  # for looks only
    width, height = stage_size(frame)
    hue = chance.random()
    low, high = _colour(hue, 0.45, 0.98), _colour(hue + chance.uniform(0.12, 0.3), 0.7, 0.55)
    ramp = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(Image.new("RGB", ramp.size, low), Image.new("RGB", ramp.size, high), ramp)
    _sun(image, chance, (255, 244, 214))
    draw = ImageDraw.Draw(image)
    for row in range(4):
        ridge = _ridge(image.size, base=0.5 + 0.12 * row, swing=0.09 - 0.012 * row, chance=chance)
        draw.polygon(ridge, fill=_colour(hue + 0.04 * row, 0.4 + 0.12 * row, 0.72 - 0.17 * row))
    return image


def _sun(image: Image.Image, chance: random.Random, colour: tuple[int, int, int]) -> None:
    radius = min(image.size) * chance.uniform(0.08, 0.13)
    x, y = image.width * chance.uniform(0.2, 0.8), image.height * chance.uniform(0.2, 0.42)
    small = Image.new("L", (image.width // 8, image.height // 8))
    halo = ImageDraw.Draw(small)
    halo.ellipse([(x - 2 * radius) / 8, (y - 2 * radius) / 8, (x + 2 * radius) / 8, (y + 2 * radius) / 8], fill=150)
    glow = small.filter(ImageFilter.GaussianBlur(radius / 10)).resize(image.size, Image.Resampling.BICUBIC)
    image.paste(colour, (0, 0, *image.size), glow)
    ImageDraw.Draw(image).ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    sector = (hue % 1.0) * 6
    shares = [max(0.0, min(1.0, abs((sector - shift) % 6 - 3) - 1)) for shift in (0, 2, 4)]
    red, green, blue = (round(255 * value * (1 - saturation * (1 - share))) for share in shares)
    return red, green, blue


def _ridge(size: tuple[int, int], *, base: float, swing: float, chance: random.Random) -> list[tuple[float, float]]:
    width, height = size
    waves = [(chance.uniform(0.6, 3.2), chance.uniform(0, math.tau), chance.uniform(0.3, 1)) for _ in range(3)]
    crest = [
        (float(x), height * (base + swing * sum(a * math.sin(f * math.tau * x / width + p) for f, p, a in waves) / 2))
        for x in range(0, width + 6, 6)
    ]
    return [*crest, (float(width), float(height)), (0.0, float(height))]


def captions(prompt: str, label: str, frame: tuple[int, int]) -> list[Patch]:
    """Draw the prompt at the foot and the label in the upper left corner; an empty text draws nothing."""
    short = min(frame)
    margin = _even(short * 0.04)
    patches = []
    font = _font(label, round(short * 0.032))
    if lines := _wrapped(label, font, frame[0] // 2, lines_max=1):
        patches.append(Patch(margin, margin, _plate(lines, font)))
    font = _font(prompt, round(short * 0.042))
    if lines := _wrapped(prompt, font, frame[0] - 4 * margin, lines_max=3 if frame[0] > frame[1] else 5):
        plate = _plate(lines, font)
        patches.append(Patch(_even((frame[0] - plate.width) / 2), _even(frame[1] - plate.height - margin), plate))
    return patches


def _plate(lines: Sequence[str], font: ImageFont.FreeTypeFont) -> Image.Image:
    """Return the lines, centred, on a dark translucent plate with even sides."""
    step, side = round(font.size * 1.32), round(font.size * 0.7)
    width = _even(max(font.getlength(line) for line in lines) + 2 * side)
    height = _even(step * len(lines) + side)
    plate = Image.new("RGBA", (width, height), (*_BAND[:3], 0))
    draw = ImageDraw.Draw(plate)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=side, fill=_BAND)
    for number, line in enumerate(lines):
        draw.text((width / 2, side / 2 + step * (number + 0.5)), line, font=font, fill=_INK, anchor="mm")
    return plate


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, *, lines_max: int) -> list[str]:
    """Break the text into lines no wider than `width` pixels; what does not fit ends in an ellipsis.

    Characters the font lacks are left out.
    """
    words = _drawable(text, font).split()
    lines: list[str] = []
    while words and len(lines) < lines_max:
        line = words.pop(0)
        if font.getlength(line) > width:
            fits = _fitting(line, font, width)
            words.insert(0, line[fits:])
            line = line[:fits]
        else:
            while words and font.getlength(f"{line} {words[0]}") <= width:
                line = f"{line} {words.pop(0)}"
        lines.append(line)
    if words:
        last = lines[-1]
        while last and font.getlength(f"{last}…") > width:
            last = last[:-1]
        lines[-1] = f"{last}…"
    return lines


def _fitting(word: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """Return how many of its first characters fit, at least one."""
    count = 1
    while count < len(word) and font.getlength(word[: count + 1]) <= width:
        count += 1
    return count


def _drawable(text: str, font: ImageFont.FreeTypeFont) -> str:
    lacking = _lacking(text, font)
    return "".join(character for character in text if character not in lacking)


def _lacking(text: str, font: ImageFont.FreeTypeFont) -> set[str]:
    """Return the characters for which the font draws its sign for "none such"."""
    none_such = bytes(font.getmask(_NO_SUCH_CHARACTER))
    return {one for one in set(text) if not one.isspace() and bytes(font.getmask(one)) == none_such}


def _font(text: str, size_px: int) -> ImageFont.FreeTypeFont:
    best: ImageFont.FreeTypeFont | None = None
    fewest = len(text) + 1
    for name in _FONTS:
        try:
            font = ImageFont.truetype(name, size_px)
        except OSError:
            continue
        lacking = len(_lacking(text, font))
        if lacking < fewest:
            best, fewest = font, lacking
        if fewest == 0:
            break
    if best is not None:
        return best
    built_in = ImageFont.load_default(size_px)
    if not isinstance(built_in, ImageFont.FreeTypeFont):
        raise OSError("Pillow was built without FreeType")
    return built_in


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)
