"""Makes text typed by people harmless inside a Discord message: short, without formatting, pings or reordering."""

import re
import unicodedata

# Discord takes "\" before any sign but a letter, a digit or a blank as "show it". "/" is among these so that no address
# or invite becomes a link, ":" where it begins an address or a ":name:" that would be an emoji.
_SIGNS = re.compile(r"([\\*_~`|>#\[\]()<>/]|:(?=/|\w+:))")
_LISTS = re.compile(r"^([ \t]*\d*)([.+-])", re.MULTILINE)
_AT = "@\u200b"

# Isolates opened or closed inside a text would end the isolate around it, so they go; embeddings and overrides are
# closed by the end of the isolate (UAX #9, X6a).
_ISOLATES = dict.fromkeys((0x2066, 0x2067, 0x2068, 0x2069))
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "PDF"})

_WORD_BREAK_WITHIN = 30
ELLIPSIS = "…"


def excerpt(text: str, *, lines_max: int, characters_max: int) -> str:
    """Return the first lines of a text; blank lines are left out, and "…" stands where something was cut."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = "\n".join(lines[:lines_max])
    if len(kept) <= characters_max and len(lines) <= lines_max:
        return kept
    return f"{_cut(kept, characters_max)} {ELLIPSIS}"


def _cut(text: str, characters_max: int) -> str:
    if len(text) <= characters_max:
        return text
    cut = text[:characters_max]
    last_word = cut.rfind(" ", characters_max - _WORD_BREAK_WITHIN)
    return (cut[:last_word] if last_word > 0 else cut).rstrip()


def harmless(text: str) -> str:
    """Return the text so that Discord shows it as it was typed.

    Nothing in it formats, links, pings, or becomes a stamp or an emoji, and no line reorders what stands beside it.
    """
    escaped = _LISTS.sub(r"\1\\\2", _SIGNS.sub(r"\\\1", text)).replace("@", _AT)
    return "\n".join(_isolated(line) for line in escaped.split("\n"))


def _isolated(line: str) -> str:
    line = line.translate(_ISOLATES)
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in line):
        return f"{_FIRST_STRONG_ISOLATE}{line}{_POP_ISOLATE}"
    return line


def shown(text: str, *, lines_max: int = 3, characters_max: int = 300) -> str:
    """Return a harmless excerpt."""
    return harmless(excerpt(text, lines_max=lines_max, characters_max=characters_max))


def label(text: str, *, characters_max: int) -> str:
    """Return a one-line excerpt for places without Markdown, such as an autocomplete choice."""
    return _isolated(excerpt(" ".join(text.split()), lines_max=1, characters_max=characters_max))
