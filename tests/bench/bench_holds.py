"""Durable holds per second: the store's open_job beside raw sqlite3 committing the very same rows one by one.

Measured twice: on the disk that is there, and with 2 ms added to each of its syncs.
"""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bot.adapters.store.migrate import prepare
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.quota import Limits
from bot.domain.request import Image, Mode, Resolution, VideoRequest
from bot.domain.store import Opening
from bot.domain.windows import windows_at

CALLERS = (1, 8, 64)
HOLDS = 4_000
_SLOW_HOLDS = 1_000
ROUNDS = 3
_SLOW_SYNC = Path(__file__).with_name("slow_sync.c")
_USERS = 1_000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_LIMITS = Limits(10**12, 10**12, 10**12, 10**12)
_IMAGES = tuple(Image(f"picture{n}.jpg", "image/jpeg", 1280, 720, 250_000) for n in range(3))


def run() -> dict[str, object]:
    """Measure both; `slow_disk` is None where there is no C compiler for the delay."""
    return {**measure(HOLDS), "slow_disk": _measure_slowly()}


def measure(holds: int) -> dict[str, object]:
    """Measure in fresh files, raw and store in turn; return the best round of each, in holds per second."""
    openings = _openings(holds)
    raw: list[float] = []
    store: dict[int, list[float]] = {callers: [] for callers in CALLERS}
    for _ in range(ROUNDS):
        raw.append(_in_fresh_file(lambda path: _raw(path, openings)))
        for callers in CALLERS:
            store[callers].append(
                _in_fresh_file(lambda path, callers=callers: asyncio.run(_store(path, callers, openings)))
            )
    best = max(raw)
    return {
        "holds": holds,
        "raw_per_s": round(best),
        "store_per_s": {str(callers): round(max(rates)) for callers, rates in store.items()},
        "store_to_raw": {str(callers): round(max(rates) / best, 2) for callers, rates in store.items()},
    }


def _measure_slowly() -> dict[str, object] | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "slow_sync.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _SLOW_SYNC, "-ldl"], check=True)
        command = [sys.executable, "-m", "tests.bench.bench_holds", "--holds", str(_SLOW_HOLDS)]
        environment = {**os.environ, "LD_PRELOAD": str(library)}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    return json.loads(done.stdout)


def _in_fresh_file(measure) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder) / "holds.db")


def _openings(holds: int) -> list[Opening]:
    return [
        Opening(
            job_id="".join(_ALPHABET[number << 10 >> shift & 31] for shift in range(75, -1, -5)),
            interaction_id=number,
            user_id=number % _USERS,
            guild_id=number % 10,
            channel_id=1,
            request=VideoRequest(
                mode=Mode.REFERENCE,
                prompt="A paper boat sails down a rainy street, camera low, [Image 1] at the helm",
                resolution=Resolution.P720,
                ratio="16:9",
                duration_s=5,
                gateway="hiapi",
                pinned=False,
                price_microusd=645_000,
            ),
            images=_IMAGES,
            limits=_LIMITS,
            failures_max=5,
            free_jobs_max=None,
            now=_NOW,
        )
        for number in range(1, holds + 1)
    ]


async def _store(path: Path, callers: int, openings: list[Opening]) -> float:
    async with open_store(path) as store:
        waiting = iter(openings)
        start = time.perf_counter()
        await asyncio.gather(*(_call(store, waiting) for _ in range(callers)))
        return len(openings) / (time.perf_counter() - start)


async def _call(store: SqliteStore, waiting) -> None:
    for opening in waiting:
        await store.open_job(opening)


def _raw(path: Path, openings: list[Opening]) -> float:
    prepare(path, busy_timeout_s=5)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    start = time.perf_counter()
    for opening in openings:
        _commit_rows(db, opening)
    elapsed_s = time.perf_counter() - start
    db.close()
    return len(openings) / elapsed_s


def _commit_rows(db: sqlite3.Connection, opening: Opening) -> None:
    request, windows, now_ms = opening.request, windows_at(opening.now), int(opening.now.timestamp() * 1000)
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "INSERT INTO jobs (job_id, interaction_id, user_id, guild_id, channel_id, created_at_ms, mode, prompt,"
        " resolution, ratio, duration_s, gateway, pinned, private, price_microusd, since_at_ms, next_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            opening.job_id, opening.interaction_id, opening.user_id, opening.guild_id, opening.channel_id, now_ms,
            request.mode, request.prompt, request.resolution, request.ratio, request.duration_s, request.gateway,
            request.pinned, request.private, request.price_microusd, now_ms, now_ms,
        ),
    )  # fmt: skip
    for position, image in enumerate(opening.images, start=1):
        db.execute(
            "INSERT INTO job_images VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                opening.job_id, position, image.name, image.content_type, image.width, image.height, image.bytes_count,
                image.note,
            ),
        )  # fmt: skip
    db.execute(
        "INSERT INTO ledger (job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms,"
        " channel_id, guild_day, guild_week, guild_month) VALUES (?, 'hold', ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            opening.job_id, request.price_microusd, opening.user_id, opening.guild_id, windows.day, windows.week,
            windows.month, now_ms, opening.channel_id, windows.day, windows.week, windows.month,
        ),
    )  # fmt: skip
    db.execute("COMMIT")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holds", type=int, default=HOLDS)
    sys.stdout.write(json.dumps(measure(parser.parse_args().holds), indent=2) + "\n")
