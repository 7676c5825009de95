"""What a person may know of their own quota, and the lower limits they set for themselves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.guild import Grant, PersonSettings
from bot.domain.guild_store import GuildStore
from bot.domain.money import amount_from_text
from bot.domain.ports import Clock
from bot.domain.quota import LimitKind, Limits, Measure, Spender, Standing
from bot.domain.rules import Rule
from bot.domain.store import Holds, Store


@dataclass(frozen=True, slots=True)
class WhereIStand:
    """Where somebody stands in one place; the whole bot's standing is the operator's business and left out.

    `rules` are those that apply there, `grants` those with something left. Without a guild there are none of either.
    `confirm_here_microusd`: above what the guild wants its members to confirm. `holds` are those of the whole bot.
    """

    guild_id: int | None
    standings: tuple[Standing, ...]
    own: PersonSettings
    holds: Holds
    rules: tuple[Rule, ...] = ()
    grants: tuple[Grant, ...] = ()
    confirm_here_microusd: int | None = None

    def without_effect(self) -> Iterator[tuple[Standing, Standing]]:
        """Yield each own limit that is not below another personal limit of the same window, with that one."""
        others = [
            standing
            for standing in self.standings
            if standing.kind in {LimitKind.MEMBER, LimitKind.USER}
            and standing.measure is Measure.MONEY
            and standing.limit is not None
        ]
        for own in self.standings:
            lower = [each for each in others if each.window is own.window and (each.limit or 0) <= (own.limit or 0)]
            if own.kind is LimitKind.OWN and lower:
                yield own, min(lower, key=lambda each: each.limit or 0)


class PersonalService:
    """Everybody sees and changes only what is their own."""

    def __init__(self, *, store: Store, guild_store: GuildStore, limits: Limits, clock: Clock) -> None:
        self._store = store
        self._guild_store = guild_store
        self._limits = limits
        self._clock = clock

    async def where_i_stand(self, spender: Spender) -> WhereIStand:
        now = self._clock.now()
        standings = await self._store.standings(spender, limits=self._limits, now=now)
        stand = WhereIStand(
            guild_id=spender.guild_id,
            standings=tuple(standing for standing in standings if standing.kind is not LimitKind.BOT),
            own=await self.settings(spender.user_id),
            holds=await self._store.holds_of(spender.user_id),
        )
        if spender.guild_id is None:
            return stand
        return replace(
            stand,
            rules=tuple(await self._guild_store.rules_for(spender)),
            grants=await self._open_grants(spender.guild_id, spender.user_id, now),
            confirm_here_microusd=(await self._guild_store.guild(spender.guild_id)).confirm_above_microusd,
        )

    async def settings(self, user_id: int) -> PersonSettings:
        return await self._guild_store.person(user_id)

    async def set_limits(self, user_id: int, *, day: str, week: str, month: str) -> None:
        """Set a person's own limits as typed; a blank one is none, one above other limits has no effect.

        Raises:
            AmountRejected: one of them is no amount; nothing was changed.
        """
        limits = {"day_microusd": _amount(day), "week_microusd": _amount(week), "month_microusd": _amount(month)}
        await self._guild_store.change_person(PersonSettings(user_id, **limits), fields=frozenset(limits))

    async def set_confirmation(self, user_id: int, above: str) -> None:
        """Set above which price a person is asked first; blank never asks, 0 asks before every paid video.

        Raises:
            AmountRejected: it is no amount; nothing was changed.
        """
        settings = PersonSettings(user_id, confirm_above_microusd=_amount(above))
        await self._guild_store.change_person(settings, fields=frozenset({"confirm_above_microusd"}))

    async def _open_grants(self, guild_id: int, user_id: int, now: datetime) -> tuple[Grant, ...]:
        grants = await self._guild_store.grants(guild_id, user_id=user_id, now=now)
        return tuple(grant for grant in grants if grant.left_microusd(now))


def _amount(text: str) -> int | None:
    return amount_from_text(text, zero=True) if text.strip() else None
