"""The report of a year of 100,000 jobs: how long query, figures, picture and files take, and how much memory.

Measured in a process of its own, as `/video-admin report` makes it for an operator, without Discord.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median

from bot.adapters.media.plots import KeptPlotter
from bot.adapters.store.migrate import prepare
from bot.adapters.store.reports import SqliteReports
from bot.domain.charts import NoPicture
from bot.domain.reporting import AskedPeriod, ReportService
from bot.domain.windows import windows_at
from bot.presentation.report_chart import chart_of
from bot.presentation.report_files import csv_file, json_file

JOBS = 100_000
_ROUNDS = 3
_DAYS = 365
_MEMBERS, _GUILDS, _CHANNELS = 200, 3, 12
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PROMPT = "A paper boat sails down a rainy street, camera low. "
_ENDINGS = (("refused", "content"), ("refused", "face"), ("no_video", None), ("line_too_long", None))
_INSERTS = {
    "jobs": "job_id, interaction_id, user_id, guild_id, channel_id, created_at_ms, mode, prompt, resolution, ratio,"
    " duration_s, gateway, pinned, private, price_microusd, state, since_at_ms, attempt_count, submitted_at_ms,"
    " finished_at_ms, ending, refusal, video_name, video_bytes_count, delivery, delivery_since_ms",
    "ledger": "job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms, actor_id,"
    " reason, channel_id, guild_day, guild_week, guild_month",
    "attempts": "job_id, number, gateway, model, body, idempotency_key, callback_token, submitted_at_ms, month,"
    " billed_microusd, billed_source, price_microusd",
}


class _Clock:
    def now(self) -> datetime:
        return _NOW


def run() -> dict[str, object]:
    """Fill a database with a year of jobs and measure the report of the whole bot."""
    with tempfile.TemporaryDirectory(prefix="gallop-bench-") as name:
        path = Path(name) / "gallop.db"
        seed(path, JOBS)
        command = [sys.executable, "-m", "tests.bench.bench_report", "--database", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    return json.loads(done.stdout)


def seed(path: Path, jobs: int) -> None:
    """Write jobs as they are after their end. The triggers, which let them only get there step by step, wait."""
    prepare(path, busy_timeout_s=5)
    random = Random(1)  # noqa: S311 - protects nothing
    rows: dict[str, list[tuple]] = {table: [] for table in _INSERTS}
    for number in range(jobs):
        _add_job(rows, random, number, _NOW - timedelta(days=_DAYS) * (1 - number / jobs))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        triggers = list(db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"))
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        for table, columns in _INSERTS.items():
            marks = ", ".join("?" * len(columns.split(",")))
            db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows[table])  # noqa: S608 - fixed text
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")


def _add_job(rows: dict[str, list[tuple]], random: Random, number: int, at: datetime) -> None:
    job_id = "".join(random.choices(_ALPHABET, k=16))
    at_ms, windows = int(at.timestamp() * 1000), windows_at(at)
    days = (windows.day, windows.week, windows.month)
    gateway, price = random.choice(["hiapi", "shortapi", "pixeldojo"]), random.choice([645_000, 1_290_000, 1_145_000])
    user_id, guild_id = 10**17 + int(random.paretovariate(0.8)) % _MEMBERS, 7 + number % _GUILDS
    channel_id, end_ms = 2 * 10**17 + random.randrange(_CHANNELS), at_ms + random.randint(60_000, 600_000)
    stored = random.random() < 0.9
    ending, refusal = (None, None) if stored else random.choice(_ENDINGS)
    video = ("v.mp4", 1_000_000, "posted", end_ms) if stored else (None, None, "none", None)
    rows["jobs"].append(
        (
            job_id, number + 1, user_id, guild_id, channel_id, at_ms, "text", _PROMPT * random.randint(1, 8), "720p",
            "16:9", 5, gateway, 0, 0, price, "stored" if stored else "failed", end_ms, 1, at_ms,
            end_ms if stored else None, ending, refusal, *video,
        )
    )  # fmt: skip
    entries = [("hold", price, 0), ("settle", price, 0) if stored else ("release", price, price)]
    if stored and random.random() < 0.02:
        entries.append(("refund", price // 2, price // 2))
    for kind, amount, freed in entries:
        rows["ledger"].append(
            (job_id, kind, amount, freed, user_id, guild_id, *days, at_ms, 5, "kind", channel_id, *days)
        )
    rows["attempts"].append(
        (
            job_id, 1, gateway, "happyhorse", b"x" * random.randint(300, 900), job_id, job_id, at_ms, windows.month,
            price if stored or random.random() < 0.1 else 0, "reported", price,
        )
    )  # fmt: skip


async def measure(path: Path) -> dict[str, object]:
    """Make the report a few times, each with a child of its own, and once more with the last child."""
    first_s, _ = await _rounds(path, 1)  # makes the list of fonts, as the first report of a bot's life does
    fresh = [await _rounds(path, 1) for _ in range(_ROUNDS)]
    again_s, _ = await _rounds(path, 2)
    child_kb = max(kb for _, kb in fresh)
    return {
        "jobs": JOBS,
        "seconds": round(median(took_s for took_s, _ in fresh), 2),
        "first_seconds": round(first_s, 2),
        "again_seconds": round(again_s, 2),
        "memory_mb": round((_peak_kb(os.getpid()) + child_kb) / 1024),
        "child_mb": round(child_kb / 1024),
    }


def _peak_kb(pid: int) -> int:
    """Return the most memory a process ever had. getrusage() would begin with that of whoever started it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


async def _rounds(path: Path, count: int) -> tuple[float, int]:
    """Return how long the last of so many reports with one plotter took, and how much memory its child had."""
    plotter = KeptPlotter(path.parent / "fonts")
    service = ReportService(store=SqliteReports(path), plotter=plotter, clock=_Clock(), operator_ids=frozenset)
    try:
        for _ in range(count):
            start = time.perf_counter()
            await _report(service)
            took_s = time.perf_counter() - start
        return took_s, _peak_kb(plotter._child._process.pid)
    finally:
        await plotter.aclose()


async def _report(service: ReportService) -> None:
    made = await service.make(AskedPeriod(first="2025-11-20"), guild_id=None, with_loss=True)
    chart = chart_of(made.report, title=("The whole bot",), names={}, titles={})
    picture, table = await asyncio.gather(service.draw(chart), asyncio.to_thread(csv_file, made.jobs))
    figures = json_file(made.report, made_at=_NOW)
    if isinstance(picture, NoPicture) or made.report.jobs != JOBS or table.count(b"\n") != JOBS + 1 or not figures:
        raise RuntimeError("the report is not whole")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path, required=True)
    os.umask(0o077)
    sys.stdout.write(json.dumps(asyncio.run(measure(parser.parse_args().database)), indent=2) + "\n")
