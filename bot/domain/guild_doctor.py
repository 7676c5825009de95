"""What the database and the gateways say about whether anybody can make videos in a guild."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.domain.guild import GuildSettings
from bot.domain.guild_store import GuildStore
from bot.domain.offers import Offer
from bot.domain.request import Ask
from bot.domain.rules import MONEY_FIELDS, VIDEO_FIELDS, Rule, Scope, allowed_by
from bot.domain.store import Store
from bot.domain.video_service import VideoService

_LIMITS = (*MONEY_FIELDS.values(), *VIDEO_FIELDS.values())
_SETS = ("resolutions", "gateways", "ratios")


@dataclass(frozen=True, slots=True)
class DeadEnd:
    """Whom these rules are for makes no paid videos: a limit of 0 in `field`, or no value of it that all allow."""

    field: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is set, what stands in the way of it, and what the gateways offer here for the built-in options.

    `gateways` are the ones that the rules for everyone let people pay, None all.
    """

    settings: GuildSettings
    rules: tuple[Rule, ...]
    dead_ends: tuple[DeadEnd, ...]
    offers: tuple[Offer, ...]
    gateways: frozenset[str] | None
    paused_by_operator: bool


class GuildDoctor:
    """Looks, and changes nothing."""

    def __init__(self, *, store: Store, guild_store: GuildStore, videos: VideoService) -> None:
        self._store = store
        self._guild_store = guild_store
        self._videos = videos

    async def look(self, guild_id: int, ask: Ask) -> Diagnosis:
        """`ask` is a request as somebody there would make it."""
        rules = tuple(await self._guild_store.rules(guild_id))
        return Diagnosis(
            settings=await self._guild_store.guild(guild_id),
            rules=rules,
            dead_ends=tuple(dead_ends(rules)),
            offers=tuple(self._videos.offers(ask)),
            gateways=allowed_by(rule for rule in rules if rule.scope in {Scope.EVERYONE, Scope.POOL}).gateways,
            paused_by_operator=await self._store.paused(),
        )


def dead_ends(rules: Iterable[Rule]) -> Iterator[DeadEnd]:
    """Find what lets nobody spend whom it concerns. A member's own rule is meant for one person, and left out."""
    known = list(rules)
    for rule in known:
        yield from (
            DeadEnd(field, (rule,)) for field in _LIMITS if getattr(rule, field) == 0 and _bars(rule, field, known)
        )
    found: list[DeadEnd] = []
    for applying in _combinations(known):
        allowed = allowed_by(applying)
        for field in _SETS:
            end = DeadEnd(field, tuple(_deciding(applying, field)))
            # What nobody can make anywhere is not said again for each role and channel.
            is_new = not any(each.field == field and set(each.rules) <= set(end.rules) for each in found)
            if getattr(allowed, field) == frozenset() and is_new:
                found.append(end)
    yield from found


def _deciding(rules: list[Rule], field: str) -> Iterator[Rule]:
    """Yield the rules that say something about a set; a role's stands before everyone's."""
    said = [rule for rule in rules if getattr(rule, field) is not None]
    by_role = any(rule.scope is Scope.ROLE for rule in said)
    yield from (rule for rule in said if not (by_role and rule.scope is Scope.EVERYONE))


def _bars(rule: Rule, field: str, rules: list[Rule]) -> bool:
    """Say whether a limit of 0 is more than what everybody has who is no exception."""
    if rule.scope is Scope.MEMBER:
        return False
    exceptions = {Scope.ROLE, Scope.MEMBER} if rule.scope is Scope.EVERYONE else set()
    return not any(other.scope in exceptions and getattr(other, field) for other in rules)


def _combinations(rules: list[Rule]) -> Iterator[list[Rule]]:
    """Yield the rules that meet each other: the pool's, one channel's or none, one role's or none, everyone's."""
    everyone = [rule for rule in rules if rule.scope is Scope.EVERYONE]
    pool = [rule for rule in rules if rule.scope is Scope.POOL]
    for channel in _none_or_each(rules, Scope.CHANNEL):
        for role in _none_or_each(rules, Scope.ROLE):
            yield [*role, *everyone, *channel, *pool]


def _none_or_each(rules: list[Rule], scope: Scope) -> Iterator[list[Rule]]:
    yield []
    yield from ([rule] for rule in rules if rule.scope is scope)
