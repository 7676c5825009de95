"""What a guild's managers may decide of its members' spending: rules, grants, blocks and forbidden words."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bot.domain import prompt as prompts
from bot.domain.clashes import Ceiling, RuleView, ceilings, is_personal, view_of
from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import Act, Block, BlockedWord, Grant
from bot.domain.guild_store import GuildStore
from bot.domain.ports import Clock, Patterns
from bot.domain.quota import Caps, Limits, Spender
from bot.domain.rule_input import known_names, reason_from_text, require_usable
from bot.domain.rules import MONEY_FIELDS, RULE_FIELDS, UNLIMITED, VIDEO_FIELDS, Rule, Scope, personal_bound
from bot.domain.spans import end_from_text

WORD_CHARACTERS_MAX: Final = 100
GRANT_DEFAULT: Final = "30d"


@dataclass(frozen=True, slots=True)
class Granted:
    """A new grant. Without `needed` no rule limits the person, so that nothing is taken from it until one does.

    `ceilings` are the operator's limits, which it does not lift.
    """

    grant: Grant
    needed: bool
    ceilings: tuple[Ceiling, ...]


class ManagerService:
    """Discord's command permissions say who may call; an act is written into the audit with what it does.

    Where ChangeRejected is raised, nothing was changed.
    """

    def __init__(
        self,
        *,
        store: GuildStore,
        patterns: Patterns,
        limits: Limits,
        caps: Caps,
        gateways: Collection[str],
        clock: Clock,
        operator_ids: Callable[[], frozenset[int]],
        wake: Callable[[], None],
    ) -> None:
        """`gateways` are the names that rules may allow. `wake` makes the runner look again."""
        self.limits = limits
        self.names = known_names(gateways)
        self._store = store
        self._patterns = patterns
        self._caps = caps
        self._gateways = gateways
        self._clock = clock
        self._operator_ids = operator_ids
        self._wake = wake

    @property
    def now(self) -> datetime:
        return self._clock.now()

    async def rules(self, guild_id: int) -> list[RuleView]:
        """Return every rule of the guild with what stands against it."""
        rules = await self._store.rules(guild_id)
        # People's rules, which may be thousands, stand against no other rule.
        shared = [rule for rule in rules if not is_personal(rule)]
        return [view_of(rule, shared, limits=self.limits, caps=self._caps) for rule in rules]

    async def set_rule(self, change: Rule, *, guild_id: int, actor_id: int) -> RuleView:
        """Set the fields that `change` says something about; return the rule as it counts from now on.

        A rule for the role @everyone, whose id is the guild's, is the rule for everyone.

        Raises:
            ChangeRejected: nothing is said, or something that no rule can say.
        """
        scope, subject_id = _meant(change.scope, change.subject_id, guild_id)
        change = replace(change, scope=scope, subject_id=subject_id)
        act = self._act(guild_id, actor_id)
        require_usable(change, self._gateways)
        rule = await self._store.set_rule(change, act=act)
        self._wake()
        return view_of(rule, await self._store.rules(act.guild_id), limits=self.limits, caps=self._caps)

    async def clear_rule(
        self, scope: Scope, subject_id: int, *, field: str | None, guild_id: int, actor_id: int
    ) -> RuleView | None:
        """Let a rule say nothing about a field, None: about anything; return what is left of it.

        The rule for the role @everyone is the one for everyone.

        Raises:
            ChangeRejected: there is no such field, or nothing was said about it.
        """
        if field is not None and field not in RULE_FIELDS:
            raise ChangeRejected(ChangeProblem.NO_RULE)
        scope, subject_id = _meant(scope, subject_id, guild_id)
        act = self._act(guild_id, actor_id)
        fields = None if field is None else frozenset({field})
        if not await self._store.clear_rule(scope, subject_id, fields=fields, act=act):
            raise ChangeRejected(ChangeProblem.NO_RULE)
        self._wake()
        views = await self.rules(guild_id)
        return next((view for view in views if (view.rule.scope, view.rule.subject_id) == (scope, subject_id)), None)

    async def grant(
        self, spender: Spender, *, guild_id: int, amount_microusd: int, expires: str, reason: str, actor_id: int
    ) -> Granted:
        """Grant the person money beyond their limits there; `expires` is a span or date as people type it.

        Raises:
            ChangeRejected: `expires` or `reason` cannot be used.
        """
        act = self._act(guild_id, actor_id)
        grant = await self._store.add_grant(
            user_id=spender.user_id,
            amount_microusd=amount_microusd,
            expires_at=await self._end(expires, act),
            reason=reason_from_text(reason),
            act=act,
        )
        rules = await self._store.rules_for(spender)
        bounds = [personal_bound(rules, field) for field in (*MONEY_FIELDS.values(), *VIDEO_FIELDS.values())]
        needed = any(bound is not None and bound.value < UNLIMITED for bound in bounds)
        return Granted(grant, needed, ceilings(self.limits, personal=True))

    async def end_grant(self, grant_id: int, *, guild_id: int, actor_id: int) -> Grant:
        """Let no new hold use the grant.

        Raises:
            ChangeRejected: the guild has no such grant, or not any more.
        """
        grant = await self._store.end_grant(grant_id, act=self._act(guild_id, actor_id))
        if grant is None:
            raise ChangeRejected(ChangeProblem.NO_SUCH_GRANT)
        return grant

    async def grants(self, guild_id: int) -> list[Grant]:
        """Return the grants that are not expired, the soonest to expire first."""
        return await self._store.grants(guild_id, user_id=None, now=self.now)

    async def block(self, user_id: int, *, until: str | None, reason: str, guild_id: int, actor_id: int) -> Block:
        """Let the person ask for no videos in the guild; None: until unblocked. It replaces an earlier block.

        Jobs of theirs that are in line end unsubmitted; what a gateway has goes on.

        Raises:
            ChangeRejected: `until` or `reason` cannot be used.
        """
        act = self._act(guild_id, actor_id)
        end = None if until is None else await self._end(until, act)
        block = await self._store.block(user_id=user_id, until=end, reason=reason_from_text(reason), act=act)
        self._wake()
        return block

    async def unblock(self, user_id: int, *, guild_id: int, actor_id: int) -> None:
        """Raises ChangeRejected where the person is not blocked."""
        if not await self._store.unblock(user_id=user_id, act=self._act(guild_id, actor_id)):
            raise ChangeRejected(ChangeProblem.NOT_BLOCKED)

    async def blocks(self, guild_id: int) -> list[Block]:
        """Return the blocks that hold, the newest first."""
        return await self._store.blocks(guild_id, now=self.now)

    async def add_word(self, typed: str, *, is_pattern: bool, guild_id: int, actor_id: int) -> str:
        """Forbid a word or pattern in prompts; return it as it is kept.

        Raises:
            ChangeRejected: it is too long or blank, there already, one too many, or a pattern that cannot be run in
                linear time or that every text fits.
        """
        text = prompts.clean(typed)
        self._require_usable_word(text, is_pattern=is_pattern)
        if not await self._store.add_word(text, is_pattern=is_pattern, act=self._act(guild_id, actor_id)):
            raise ChangeRejected(ChangeProblem.WORD_THERE_ALREADY, text)
        return text

    def _require_usable_word(self, text: str, *, is_pattern: bool) -> None:
        if not prompts.is_visible(text) or len(text) > WORD_CHARACTERS_MAX:
            raise ChangeRejected(
                ChangeProblem.BAD_VALUE, text, option="text", allowed=(f"1 to {WORD_CHARACTERS_MAX} characters",)
            )
        if is_pattern and not self._patterns.is_valid(text):
            raise ChangeRejected(ChangeProblem.BAD_PATTERN, text)
        if is_pattern and self._patterns.found([BlockedWord(text, True, 0, self.now)], ""):
            raise ChangeRejected(ChangeProblem.PATTERN_FITS_ALL, text)

    async def remove_word(self, typed: str, *, guild_id: int, actor_id: int) -> str:
        """Allow a word or pattern again; return it as it was kept. Raises ChangeRejected where it is not there."""
        text = prompts.clean(typed)
        if not await self._store.remove_word(text, act=self._act(guild_id, actor_id)):
            raise ChangeRejected(ChangeProblem.NO_SUCH_WORD, text)
        return text

    async def words(self, guild_id: int) -> list[BlockedWord]:
        """Return the blocklist, oldest first."""
        return await self._store.words(guild_id)

    async def words_in(self, text: str, *, guild_id: int) -> list[BlockedWord]:
        """Return every forbidden word and pattern that a prompt holds."""
        words = await self.words(guild_id)
        return await asyncio.to_thread(self._patterns.every_found, words, prompts.clean(text))

    async def _end(self, typed: str, act: Act) -> datetime:
        settings = await self._store.guild(act.guild_id)
        return end_from_text(typed, now=act.at, zone=settings.time_zone.at(act.at))

    def _act(self, guild_id: int, actor_id: int) -> Act:
        return Act(guild_id, actor_id, self.now, by_operator=actor_id in self._operator_ids())


def _meant(scope: Scope, subject_id: int, guild_id: int) -> tuple[Scope, int]:
    """Return whom a rule is for: the role @everyone has the guild's id."""
    return (Scope.EVERYONE, 0) if (scope, subject_id) == (Scope.ROLE, guild_id) else (scope, subject_id)
