"""What operators were told, and the given up deliveries they are told of."""

from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import JOB, job_of, ms
from bot.domain.job import Job

GIVEN_UP = f"""{JOB}
WHERE jobs.delivery = 'given_up' AND jobs.delivery_since_ms >= :since_ms
ORDER BY jobs.delivery_since_ms
"""


class Notices(Connections):
    """The operations behind notices."""

    async def given_up(self, *, since: datetime) -> list[Job]:
        return [job_of(row) for row in await self._rows(GIVEN_UP, {"since_ms": ms(since)})]

    async def told(self) -> frozenset[str]:
        return frozenset(key for (key,) in await self._rows("SELECT key FROM told"))

    async def note_told(self, key: str, *, now: datetime) -> None:
        await self._change("INSERT OR REPLACE INTO told VALUES (:key, :now_ms)", {"key": key, "now_ms": ms(now)})

    async def forget_told(self, key: str) -> None:
        await self._change("DELETE FROM told WHERE key = :key", {"key": key})
