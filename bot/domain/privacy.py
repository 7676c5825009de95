"""A person's own data: all of it handed out, or all of it deleted but what the books need."""

from dataclasses import dataclass

from bot.domain.job import Job, LedgerEntry
from bot.domain.job_runner import JobRunner
from bot.domain.ports import Clock
from bot.domain.store import Forgotten, Store
from bot.domain.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Everything kept about a person: jobs, newest first, and the ledger, oldest first."""

    user_id: int
    jobs: tuple[Job, ...]
    entries: tuple[LedgerEntry, ...]


class PrivacyService:
    """Answers for one's own data alone; what is deleted is gone."""

    def __init__(self, *, store: Store, runner: JobRunner, upkeep: Upkeep, clock: Clock) -> None:
        self._store = store
        self._runner = runner
        self._upkeep = upkeep
        self._clock = clock

    async def export(self, user_id: int) -> PersonalData:
        jobs = await self._store.every_job_of(user_id)
        return PersonalData(user_id, tuple(jobs), tuple(await self._store.entries_of(user_id)))

    async def delete(self, user_id: int) -> Forgotten:
        """Cancel what is in line, delete the content of what has ended, and of the rest once it has ended.

        Amounts, times, options and ids stay in the books. Called twice, the second only finds what is not over yet.
        """
        forgotten = await self._store.forget(user_id, now=self._clock.now())
        self._runner.wake()
        self._upkeep.wake()
        return forgotten
