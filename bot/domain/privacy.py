"""A person's own data: all of it handed out, or all of it deleted but what the books need."""

from dataclasses import dataclass, field

from bot.domain.guild_store import GuildStore, PersonFacts
from bot.domain.job import Job, LedgerEntry
from bot.domain.job_runner import JobRunner
from bot.domain.ports import Clock
from bot.domain.store import Forgotten, Store
from bot.domain.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Everything kept about a person: jobs, newest first, the ledger, oldest first, and what was decided."""

    user_id: int
    jobs: tuple[Job, ...]
    entries: tuple[LedgerEntry, ...]
    facts: PersonFacts = field(default_factory=PersonFacts)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is kept."""
        return not self.jobs and not self.entries and self.facts.is_empty


class PrivacyService:
    """Answers for one's own data alone; what is deleted is gone."""

    def __init__(
        self, *, store: Store, guild_store: GuildStore, runner: JobRunner, upkeep: Upkeep, clock: Clock
    ) -> None:
        self._store = store
        self._guild_store = guild_store
        self._runner = runner
        self._upkeep = upkeep
        self._clock = clock

    async def export(self, user_id: int) -> PersonalData:
        return PersonalData(
            user_id,
            jobs=tuple(await self._store.every_job_of(user_id)),
            entries=tuple(await self._store.entries_of(user_id)),
            facts=await self._guild_store.facts_of(user_id),
        )

    async def delete(self, user_id: int) -> Forgotten:
        """Cancel what is in line, delete the content of what has ended, and of the rest once it has ended.

        Amounts, times, options and ids stay in the books, and so do grants, blocks and the audit. Called twice, the
        second only finds what is not over yet.
        """
        forgotten = await self._store.forget(user_id, now=self._clock.now())
        self._runner.wake()
        self._upkeep.wake()
        return forgotten
