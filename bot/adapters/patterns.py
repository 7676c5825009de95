"""Finds blocked words, whatever tricks they are written with, and blocked patterns with RE2, in linear time."""

import logging
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import re2

from bot.domain.guild import BlockedWord

log = logging.getLogger(__name__)

# What one compiled pattern may take, and how many are kept compiled: at most 128 MiB, if every one of them is nasty.
_PATTERN_BYTES_MAX = 512 * 1024
_COMPILED_MAX = 256
# RE2 falls back to its slow, still linear engine when a pattern's tables outgrow their memory: measured at most 5 ms
# for 5,000 characters with programs of this size.
_PROGRAM_MAX = 500

# Nobody sees them, so that they would hide a word: besides format characters (zero width, soft hyphen, direction) the
# fillers and selectors, and marks that compose with no letter (struck-through and stacked ones).
_UNSEEN = "\u115f\u1160\u3164\uffa0\u2800\u180e"
_UNSEEN_RANGES = ((0x0300, 0x036F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
# Scripts written without blanks between words: kana, Chinese, Thai, Lao, Burmese and Khmer.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


class LinearPatterns:
    """The blocklist's engine. What RE2 cannot run in linear time and bounded memory is no valid pattern."""

    def __init__(self) -> None:
        self._compiled = lru_cache(_COMPILED_MAX)(_compile)
        self._folded = lru_cache(_COMPILED_MAX)(_fold)

    def is_valid(self, pattern: str) -> bool:
        return self._compiled(pattern) is not None

    def found(self, words: Sequence[BlockedWord], text: str) -> BlockedWord | None:
        return next(self._found(words, text), None)

    def every_found(self, words: Sequence[BlockedWord], text: str) -> list[BlockedWord]:
        return list(self._found(words, text))

    def _found(self, words: Sequence[BlockedWord], text: str) -> Iterator[BlockedWord]:
        """A pattern is looked for in the text as it was typed, and in its plain form."""
        folded = _fold(text)
        edges = _edges(folded)
        forms = dict.fromkeys((text, _plain(text)))
        for word in words:
            if word.is_pattern:
                compiled = self._compiled(word.text)
                if compiled is not None and any(compiled.search(form) for form in forms):
                    yield word
            elif _holds(folded, self._folded(word.text), edges):
                yield word


def _compile(pattern: str) -> Any:
    """Return the compiled pattern, None where RE2 refuses it; what it refuses is in no blocklist of this version."""
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = _PATTERN_BYTES_MAX
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        # What RE2 says of it repeats the pattern, which is for its managers alone.
        log.info("pattern refused characters=%s", len(pattern))
        return None
    return compiled if compiled.programsize <= _PROGRAM_MAX else None


def _plain(text: str) -> str:
    """Return the text without what nobody sees, and in its ordinary letters: full-width and styled ones are such."""
    seen = "".join(character for character in unicodedata.normalize("NFKC", text) if not _is_unseen(character))
    return unicodedata.normalize("NFKC", seen)


def _is_unseen(character: str) -> bool:
    if character.isascii():
        return False
    return unicodedata.category(character) == "Cf" or character in _UNSEEN or _is_in(_UNSEEN_RANGES, character)


def _fold(text: str) -> str:
    """Return what is the same for every way to write a text: letter case, letter forms, blanks."""
    return " ".join(_plain(_plain(text).casefold()).split())


def _edges(text: str) -> list[int]:
    """Return for each place in a text, its end too, the next one at which a word can begin or end: itself or later."""
    continues = [False, *map(_continues, text), False]
    edges = [len(text)] * (len(text) + 1)
    for at in range(len(text) - 1, -1, -1):
        edges[at] = edges[at + 1] if continues[at] and continues[at + 1] else at
    return edges


def _holds(text: str, word: str, edges: Sequence[int]) -> bool:
    """Say whether a folded text with those edges has the folded word as a whole word."""
    at = text.find(word) if word else -1
    while at >= 0:
        end = at + len(word)
        if edges[at] == at and edges[end] == end:
            return True
        # Not after its end: "a b a" stands at the end of "xa b a b a".
        at = text.find(word, edges[at + 1])
    return False


def _continues(character: str) -> bool:
    """Say whether a character makes one word with a neighbour of its kind."""
    if character.isascii():
        return character == "_" or character.isalnum()
    if _is_in(_UNSPACED, character):
        return False
    return unicodedata.category(character)[0] in "LNM"


def _is_in(ranges: tuple[tuple[int, int], ...], character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in ranges)
