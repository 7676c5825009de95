"""A start with ten thousand unfinished jobs: how soon the first is watched, and whether reads come in a burst."""

import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.job import Attempt, BilledSource, CardFace, MessageRef
from bot.domain.store import Billing
from bot.domain.video_service import new_job_id
from bot.sandbox.gateways.faults import ReadFault
from tests.bench.bench_jobs import opening_of
from tests.bench.bench_stage import CountingFaults, bot_process, settings, stage, until

JOBS = 10_000
# One in ten is unconfirmed, one in ten waits in line, the others run.
_REQUESTS_PER_MIN = 600
_WATCHED_S = 20.0
_WRITERS = 64


class _TimedFaults(CountingFaults):
    """Notes when each read came; the gateway knows none of these jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s: list[float] = []

    def next_read(self) -> ReadFault | None:
        self.at_s.append(time.monotonic())
        return super().next_read()


async def measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gallop-bench-") as name:
        home = Path(name)
        await _write_jobs(home / "gallop.db")
        async with stage(home, job_s=(1.0, 1.0), people=1) as opened:
            opened.gateways.shortapi.faults = reads = _TimedFaults()
            environment = settings(
                opened, home, SHORTAPI_REQUESTS_PER_MIN=str(_REQUESTS_PER_MIN), JOBS_PER_GATEWAY="1", JOBS_PER_USER="1"
            )
            began_s = time.monotonic()
            async with bot_process(opened, ("-m", "bot", "run"), environment, log_path=home / "bot.log") as bot:
                await until(lambda: bool(reads.at_s), timeout_s=60.0, what="a read")
                first_s = reads.at_s[0] - began_s
                await asyncio.sleep(_WATCHED_S)
                at_s, cpu_s = list(reads.at_s), bot.cpu_s()
        busiest = max(sum(since <= at < since + 1 for at in at_s) for since in at_s)
        return {
            "jobs": JOBS,
            "first_watch_s": round(first_s, 2),
            "limit_per_min": _REQUESTS_PER_MIN,
            "reads_in_first_20_s": len(at_s),
            "allowed_in_20_s": round(_REQUESTS_PER_MIN / 60 * _WATCHED_S + _REQUESTS_PER_MIN // 4),
            "busiest_second": busiest,
            "cpu_share": round(cpu_s / (at_s[-1] - began_s), 2),
        }


async def _write_jobs(database: Path) -> None:
    async with open_store(database) as store:
        for start in range(0, JOBS, _WRITERS):
            await asyncio.gather(*(_write_job(store, number) for number in range(start, min(start + _WRITERS, JOBS))))


async def _write_job(store: SqliteStore, number: int) -> None:
    opened_at = datetime.now(UTC) - timedelta(minutes=10)
    next_at = opened_at + timedelta(hours=1)
    job_id = new_job_id(opened_at)
    await store.open_job(opening_of(job_id, number + 1, opened_at))
    await store.card_posted(job_id, card=MessageRef(1, number + 1), face=CardFace.HELD)
    if number % 10 == 1:
        return
    attempt = Attempt(job_id, 1, "shortapi", "start", b"{}", job_id, job_id, opened_at, 645_000)
    await store.begin_attempt(attempt, next_at=next_at)
    if number % 10 == 2:
        await store.leave_unconfirmed(job_id, now=opened_at, next_at=next_at)
        await store.card_shown(job_id, face=CardFace.UNCONFIRMED)
        return
    billing = Billing(645_000, BilledSource.PRICE)
    await store.accept(job_id, number=1, gateway_job_id=job_id, billing=billing, now=opened_at, next_at=next_at)
    await store.card_shown(job_id, face=CardFace.RENDERING)


def run() -> dict[str, object]:
    return asyncio.run(measure())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
