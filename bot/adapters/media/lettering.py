"""Makes words fit for a picture: only signs that its font has, in one line, no wider than there is room."""

import unicodedata
from collections.abc import Sequence

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties, findfont, get_font

ELLIPSIS = "…"
# Signs that stack on one another above a letter reach into the line above.
_MARKS_MAX = 1
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


class Lettering:
    """Measures and cuts words of one font as one renderer draws them."""

    def __init__(self, renderer: RendererAgg, family: str) -> None:
        self._renderer = renderer
        self._family = family
        self._known = frozenset(get_font(findfont(FontProperties(family=family))).get_charmap())

    def font(self, size_px: float, *, bold: bool = False) -> FontProperties:
        return FontProperties(family=self._family, size=size_px * 0.72, weight="bold" if bold else "normal")

    def width_px(self, text: str, font: FontProperties) -> float:
        width, _, _ = self._renderer.get_text_width_height_descent(text, font, False)  # type: ignore[no-untyped-call]
        return float(width)

    def best(self, names: Sequence[str]) -> str:
        """Return the first name of which enough can be drawn to know it by, "…" where there is none."""
        for name in names:
            drawn = self.plain(name)
            if drawn and 2 * _letters(drawn) >= _letters(name):
                return drawn
        return ELLIPSIS

    def plain(self, text: str) -> str:
        """Return what can be drawn of a text, in one line."""
        kept, marks = [], 0
        for character in unicodedata.normalize("NFC", " ".join(text.split())):
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks <= _MARKS_MAX and unicodedata.category(character) not in _UNSEEN and ord(character) in self._known:
                kept.append(character)
        return " ".join("".join(kept).split())

    def cut(self, text: str, font: FontProperties, width_max_px: float) -> str:
        """Return the text, or as much of its beginning with "…" as is no wider than that."""
        if self.width_px(text, font) <= width_max_px:
            return text
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self.width_px(text[:middle].rstrip() + ELLIPSIS, font) <= width_max_px:
                fits = middle
            else:
                too_long = middle
        return text[:fits].rstrip() + ELLIPSIS


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)
