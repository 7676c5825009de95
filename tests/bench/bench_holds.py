"""Durable holds per second: the store's open_job beside raw sqlite3 committing the very same rows one by one."""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bot.adapters.store.migrate import prepare
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.quota import Limits, windows_at
from bot.domain.request import Image, Mode, Resolution, VideoRequest
from bot.domain.store import Opening

CALLERS = (1, 8, 64)
HOLDS = 4_000
ROUNDS = 3
_USERS = 1_000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_LIMITS = Limits(10**12, 10**12, 10**12, 10**12)
_IMAGES = tuple(Image(f"picture{n}.jpg", "image/jpeg", 1280, 720, 250_000) for n in range(3))


def run() -> dict[str, object]:
    """Measure in fresh files, raw and store in turn; return the best round of each, in holds per second."""
    raw: list[float] = []
    store: dict[int, list[float]] = {callers: [] for callers in CALLERS}
    for _ in range(ROUNDS):
        raw.append(_in_fresh_file(_raw))
        for callers in CALLERS:
            store[callers].append(_in_fresh_file(lambda path, callers=callers: asyncio.run(_store(path, callers))))
    best = max(raw)
    return {
        "holds": HOLDS,
        "raw_per_s": round(best),
        "store_per_s": {callers: round(max(rates)) for callers, rates in store.items()},
        "store_to_raw": {callers: round(max(rates) / best, 2) for callers, rates in store.items()},
    }


def _in_fresh_file(measure) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder) / "holds.db")


def _openings() -> list[Opening]:
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
        for number in range(1, HOLDS + 1)
    ]


async def _store(path: Path, callers: int) -> float:
    openings = _openings()
    async with open_store(path) as store:
        waiting = iter(openings)
        start = time.perf_counter()
        await asyncio.gather(*(_call(store, waiting) for _ in range(callers)))
        return HOLDS / (time.perf_counter() - start)


async def _call(store: SqliteStore, waiting) -> None:
    for opening in waiting:
        await store.open_job(opening)


def _raw(path: Path) -> float:
    prepare(path, busy_timeout_s=5)
    openings = _openings()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    start = time.perf_counter()
    for opening in openings:
        _commit_rows(db, opening)
    elapsed_s = time.perf_counter() - start
    db.close()
    return HOLDS / elapsed_s


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
        "INSERT INTO ledger (job_id, kind, amount_microusd, freed_microusd, user_id, guild_id, day, week, month, at_ms)"
        " VALUES (?, 'hold', ?, 0, ?, ?, ?, ?, ?, ?)",
        (
            opening.job_id, request.price_microusd, opening.user_id, opening.guild_id, windows.day, windows.week,
            windows.month, now_ms,
        ),
    )  # fmt: skip
    db.execute("COMMIT")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
