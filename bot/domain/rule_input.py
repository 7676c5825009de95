"""Reads and checks what managers type: limits, lists of names, the ranges of all of a rule's fields, and reasons."""

from collections.abc import Collection, Mapping
from typing import Final

from bot.domain import prompt as prompts
from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import REASON_MAX
from bot.domain.money import amount_from_text
from bot.domain.request import DURATION_MAX_S, DURATION_MIN_S, RATIOS, Resolution
from bot.domain.rules import UNLIMITED, VIDEO_FIELDS, Rule, Scope

VIDEOS_MAX: Final = 10_000
JOBS_MAX: Final = 100
UNLIMITED_WORD: Final = "unlimited"
_RANGES: Final = {
    **dict.fromkeys(VIDEO_FIELDS.values(), (0, VIDEOS_MAX)),
    "jobs_max": (1, JOBS_MAX),
    "duration_max_s": (DURATION_MIN_S, DURATION_MAX_S),
}


def limit_from_text(text: str) -> int:
    """Read an amount as `amount_from_text` does, 0 included, or ``unlimited``.

    Raises:
        AmountRejected: it is neither.
    """
    return UNLIMITED if text.strip().casefold() == UNLIMITED_WORD else amount_from_text(text, zero=True)


def names_from_text(text: str) -> frozenset[str]:
    """Read names with commas between them."""
    return frozenset(name for part in text.split(",") if (name := part.strip().casefold()))


def known_names(gateways: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the names that each set of a rule can have, by its field."""
    return {
        "resolutions": tuple(resolution.value for resolution in Resolution),
        "gateways": tuple(gateways),
        "ratios": RATIOS,
    }


def require_usable(rule: Rule, gateways: Collection[str]) -> None:
    """Refuse a change of a rule that says nothing, or something that no rule can say.

    Raises:
        ChangeRejected: NOTHING_SAID, or BAD_VALUE with the rule's field as its option.
    """
    if rule.is_empty:
        raise ChangeRejected(ChangeProblem.NOTHING_SAID)
    if rule.scope is Scope.CHANNEL and rule.jobs_max is not None:
        raise ChangeRejected(ChangeProblem.BAD_VALUE, str(rule.jobs_max), option="jobs_max")
    for field, (least, most) in _RANGES.items():
        value = getattr(rule, field)
        if value is not None and not least <= value <= most:
            raise ChangeRejected(
                ChangeProblem.BAD_VALUE, f"{value:,}", option=field, allowed=(f"{least:,} to {most:,}",)
            )
    for field, known in known_names(gateways).items():
        names = getattr(rule, field)
        unknown = sorted(names - set(known)) if names is not None else []
        if unknown or names == frozenset():
            raise ChangeRejected(ChangeProblem.BAD_VALUE, ", ".join(unknown), option=field, allowed=known)


def reason_from_text(typed: str) -> str:
    """Return a reason in one line.

    Raises:
        ChangeRejected: nothing can be seen of it, or it is too long.
    """
    reason = " ".join(prompts.clean(typed).split())
    if not prompts.is_visible(reason) or len(reason) > REASON_MAX:
        raise ChangeRejected(
            ChangeProblem.BAD_VALUE, reason, option="reason", allowed=(f"1 to {REASON_MAX} characters",)
        )
    return reason
