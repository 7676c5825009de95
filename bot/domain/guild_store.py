"""The contract of the database for what guilds and people decide: rules, settings, grants, blocks, words and acts.

The rules of Store hold here, too: one method is one operation, atomic and durable, and may raise StoreFailed. A method
that takes an Act writes its audit entry in the same operation; where it answers False, nothing was changed or written.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.guild import (
    PERSON_FIELDS,
    Act,
    AuditEntry,
    Block,
    BlockedWord,
    Grant,
    GuildField,
    GuildJob,
    GuildSettings,
    PersonSettings,
)
from bot.domain.job import JobState
from bot.domain.quota import Limits, Spender, Standing
from bot.domain.rules import Rule, Scope


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What is kept about a person besides jobs: rules and blocks with their guild, and acts that concern them.

    Grants and blocks also where they have expired. `settings` None: the person set nothing.
    """

    settings: PersonSettings | None = None
    rules: tuple[tuple[int, Rule], ...] = ()
    grants: tuple[Grant, ...] = ()
    blocks: tuple[tuple[int, Block], ...] = ()
    acts: tuple[AuditEntry, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is kept."""
        return self == PersonFacts()


class GuildStore(Protocol):
    """What guilds and people decide, in the same database as the jobs."""

    async def guild(self, guild_id: int) -> GuildSettings:
        """Return the guild's settings, the defaults where nothing was set."""

    async def change_guild(
        self, field: GuildField, value: str | int | bool | frozenset[int] | None, *, act: Act
    ) -> GuildSettings:
        """Set one setting; None is its default. A time zone takes effect with the next month. The same value again
        changes nothing and leaves no audit entry."""

    async def forget_ids(self, field: GuildField, ids: Collection[int], *, act: Act) -> GuildSettings:
        """Take these out of the allowed channels or roles, whatever was chosen meanwhile; where none is left, all are
        allowed."""

    async def every_retention(self) -> dict[int, int]:
        """Return the retention days of each guild that set some."""

    async def rules(self, guild_id: int) -> list[Rule]:
        """Return every rule of the guild, in the order of Scope, then by subject."""

    async def rules_for(self, spender: Spender) -> list[Rule]:
        """Return the rules that apply to the person there, in that order."""

    async def set_rule(self, rule: Rule, *, act: Act) -> Rule:
        """Set the fields that the rule says something about, leave its others as they are; return the whole rule.

        What it says already changes nothing and leaves no audit entry.
        """

    async def clear_rule(self, scope: Scope, subject_id: int, *, fields: frozenset[str] | None, act: Act) -> bool:
        """Let the rule say nothing about those fields, None: about any; False where it said nothing about them."""

    async def add_grant(
        self, *, user_id: int, amount_microusd: int, expires_at: datetime, reason: str, act: Act
    ) -> Grant: ...

    async def end_grant(self, grant_id: int, *, act: Act) -> Grant | None:
        """Let the grant be used no more, and return it as it ended; None where the guild has no such open grant."""

    async def grants(self, guild_id: int, *, user_id: int | None, now: datetime) -> list[Grant]:
        """Return the grants that are not expired, soonest to expire first; of everybody for None."""

    async def block(self, *, user_id: int, until: datetime | None, reason: str, act: Act) -> Block:
        """Block somebody, in the place of an earlier block."""

    async def unblock(self, *, user_id: int, act: Act) -> bool: ...

    async def blocks(self, guild_id: int, *, now: datetime) -> list[Block]:
        """Return the blocks that hold, newest first."""

    async def block_of(self, *, user_id: int, guild_id: int, now: datetime) -> Block | None: ...

    async def add_word(self, text: str, *, is_pattern: bool, act: Act) -> bool:
        """Add a word or pattern; False where that text is there already: in other letters, or as the other kind.

        Raises:
            ChangeRejected: TOO_MANY_WORDS, there are WORDS_MAX words or PATTERNS_MAX patterns; nothing was changed.
        """

    async def remove_word(self, text: str, *, act: Act) -> bool: ...

    async def words(self, guild_id: int) -> list[BlockedWord]:
        """Return the blocklist, oldest first."""

    async def audit(
        self, guild_id: int, *, before_id: int | None, limit: int, user_id: int | None = None
    ) -> list[AuditEntry]:
        """Return acts, newest first, older than `before_id`; those that concern one person where it is given."""

    async def untold_acts(self, *, limit: int, besides: Collection[int] = ()) -> list[AuditEntry]:
        """Return acts of guilds with an audit channel that were not told there, oldest first.

        Acts of before the channel was set are not told. Those of the guilds `besides` are left out.
        """

    async def note_act_told(self, audit_id: int) -> None: ...

    async def guild_jobs(
        self, guild_id: int, *, user_id: int | None, states: frozenset[JobState], limit: int
    ) -> list[GuildJob]:
        """Return the guild's newest jobs in those states (empty: all), newest first."""

    async def release_held(self, job_id: str, *, act: Act) -> bool:
        """held -> failed, releasing the hold, if the job is the act's guild's."""

    async def refund_job(self, job_id: str, *, amount_microusd: int, reason: str, act: Act) -> bool:
        """Store.refund, if the job is the act's guild's. Not by an operator, it lowers the windows of the guild and the
        person alone: what the operator's ceilings count was spent."""

    async def deliver_again(self, job_id: str, *, act: Act) -> bool:
        """posted or given_up -> due at once, if the job is the act's guild's and not erased or to be erased.

        The message may be there still: it counts as tried once, so that it is looked for first.
        """

    async def person(self, user_id: int) -> PersonSettings: ...

    async def change_person(self, settings: PersonSettings, *, fields: frozenset[str] = PERSON_FIELDS) -> None:
        """Keep those of a person's settings, in the place of earlier ones; the others stay as they are."""

    async def facts_of(self, user_id: int) -> PersonFacts: ...

    async def note_crossings(self, spender: Spender, *, limits: Limits, now: datetime) -> list[tuple[Standing, int]]:
        """Return the person's own limits of which 50, 75 or 90 % are used, each with the highest such percentage that
        was not returned for this window before."""
