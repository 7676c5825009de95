"""The prompt: cleaned, weighed as the gateways weigh it, and its references to pictures understood."""

import re
import unicodedata

from bot.domain.errors import PromptProblem, PromptRejected

# 5,000 non-Chinese or 2,500 Chinese characters (the gateways' own pages): a Chinese character weighs two.
WEIGHT_MAX = 5_000

# What people type for a picture. The first two forms can mean nothing else, so a number nobody attached is an error
# there; the loose ones ("image2", "@2") may be ordinary text and count only when such a picture exists.
_STRICT = re.compile(
    r"\[\s*(?:image|img|picture|pic)\s*#?\s*(\d{1,3})\s*\]|(?<![\w@])character(\d{1,3})(?!\w)", re.IGNORECASE
)
_LOOSE = re.compile(r"(?<![\w@\[])(?:@\s?(?:image|img|picture|pic)?|(?:image|img))(\d{1,2})(?![\w\]])", re.IGNORECASE)
_CANONICAL = re.compile(r"\[Image (\d+)\]")

_CHINESE = (
    (0x2E80, 0x2FDF),
    (0x3000, 0x303F),
    (0x31C0, 0x31EF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFF60),
    (0x20000, 0x3FFFF),
)


def clean(prompt: str) -> str:
    """Remove NULs and other control characters (line breaks and tabs stay), lone surrogates, and outer white space."""
    kept = (
        character
        for character in prompt.replace("\r\n", "\n").replace("\r", "\n")
        if character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs"}
    )
    return "".join(kept).strip()


def weight(prompt: str) -> int:
    """Count a prompt as the gateways do: a Chinese character or full-width sign weighs two, any other character one."""
    return sum(2 if _is_chinese(ord(character)) else 1 for character in prompt)


def _is_chinese(code: int) -> bool:
    return code >= _CHINESE[0][0] and any(first <= code <= last for first, last in _CHINESE)


def is_visible(prompt: str) -> bool:
    """Say whether anything can be seen of it: white space, format and unassigned characters alone are nothing."""
    return any(
        unicodedata.category(character)[0] not in "CZ" and character not in _BLANKS and not _is_selector(character)
        for character in prompt
    )


# Letters that draw nothing, though Unicode calls them letters or symbols: Hangul fillers and the blank Braille pattern.
_BLANKS = "\u115f\u1160\u3164\uffa0\u2800\u034f"


def _is_selector(character: str) -> bool:
    return 0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF


def with_references(prompt: str, *, pictures: int) -> str:
    """Write every reference to a picture in the neutral form ``[Image 1]``.

    Raises:
        PromptRejected: it names a picture that nobody attached.
    """

    def strict(match: re.Match[str]) -> str:
        number = int(match[1] or match[2])
        if match[2] is not None and pictures == 0:
            return match[0]
        if not 1 <= number <= pictures:
            raise PromptRejected(PromptProblem.UNKNOWN_PICTURE, measured=number, limit=pictures)
        return f"[Image {number}]"

    def loose(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"[Image {number}]" if 1 <= number <= pictures else match[0]

    return _LOOSE.sub(loose, _STRICT.sub(strict, prompt))


def referenced(prompt: str) -> frozenset[int]:
    """Return the numbers of the pictures a neutral prompt mentions."""
    return frozenset(int(match[1]) for match in _CANONICAL.finditer(prompt))


def render_tokens(prompt: str, token: str) -> str:
    """Write the neutral references in a gateway's own form; `token` is a format such as ``character{n}``."""
    return _CANONICAL.sub(lambda match: token.format(n=match[1]), prompt)


def check(prompt: str, *, pictures: int) -> str:
    """Return the prompt cleaned and in the neutral form.

    Raises:
        PromptRejected: it is blank, too long, or names a picture that nobody attached.
    """
    neutral = with_references(clean(prompt), pictures=pictures)
    if not is_visible(neutral):
        raise PromptRejected(PromptProblem.BLANK)
    check_weight(neutral)
    return neutral


def check_weight(prompt: str) -> None:
    """Refuse what a gateway would cut silently and still bill.

    Raises:
        PromptRejected: it weighs more than WEIGHT_MAX.
    """
    measured = weight(prompt)
    if measured > WEIGHT_MAX:
        raise PromptRejected(PromptProblem.TOO_LONG, measured=measured, limit=WEIGHT_MAX)
