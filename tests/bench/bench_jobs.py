"""A thousand jobs in flight on one process: memory and reads per job, lateness of the loop, time to the channel."""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from array import array
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import aiohttp

from bot.adapters.store.sqlite import open_store
from bot.domain.job import Attempt, BilledSource, CardFace, JobState, MessageRef, Video
from bot.domain.quota import Limits
from bot.domain.request import Mode, Resolution, VideoRequest
from bot.domain.store import Billing, Opening
from bot.domain.video_service import new_job_id
from bot.sandbox.discord import Message
from tests.bench.bench_stage import PROMPT, BotProcess, Stage, arriving, bot_process, percentile, settings, stage, until

JOBS = 1_000
PER_S = 20.0
# So that all are in flight before the first is done.
JOB_S = (60.0, 80.0)
# A thousand jobs need a gateway that allows many requests; who has that can also look more often than by default.
WATCH_INTERVAL_S = (2.0, 3.0)
_WARM_UP = 40
_WARM_UP_JOB_S = (1.0, 2.0)
_HISTORY = 50
_SETTLED_S = 3.0
_SUBMITTED_TIMEOUT_S = 60.0
_VIDEOS_TIMEOUT_S = 240.0
_BARE_UPLOADS = 50


@dataclass
class Seen:
    """When each video came into a channel, by job id, in Unix seconds."""

    at_s: dict[str, float] = field(default_factory=dict)

    def __call__(self, event: str, subject: object) -> None:
        if event == "MESSAGE_CREATE" and isinstance(subject, Message):
            for file in subject.files:
                if file.filename.endswith(".mp4"):
                    self.at_s.setdefault(file.filename.removesuffix(".mp4"), time.time())


class Load(NamedTuple):
    """What was seen of the bot while it carried the jobs. Times are Unix seconds."""

    began_at_s: float
    flying_at_s: float
    ended_at_s: float
    in_flight: int
    rss_bytes: int
    reads: int
    cpu_s: float


class Times(NamedTuple):
    """One job: from the gateway being done to a read that says so, from there to the channel, and both."""

    until_read_s: float
    until_posted_s: float
    whole_s: float


async def measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gallop-bench-") as name:
        home = Path(name)
        await _write_history(home / "gallop.db")
        async with stage(home, job_s=_WARM_UP_JOB_S, people=JOBS) as opened:
            seen = Seen()
            opened.discord.world.observers.append(seen)
            environment = settings(
                opened, home, WATCH_INTERVAL_S=str(WATCH_INTERVAL_S[0]), WATCH_INTERVAL_MAX_S=str(WATCH_INTERVAL_S[1])
            )
            script, lags = str(Path(__file__).with_name("lag_bot.py")), home / "lags"
            async with bot_process(opened, (script, str(lags)), environment, log_path=home / "bot.log") as bot:
                await _ask(opened, count=_WARM_UP, duration_s=3)
                await until(lambda: len(seen.at_s) == _WARM_UP, timeout_s=_SUBMITTED_TIMEOUT_S, what="warm-up videos")
                await asyncio.sleep(_SETTLED_S)
                seen.at_s.clear()
                load = await _carry(opened, bot, seen)
            times = times_of(home / "gallop.db", opened, seen)
            bare_s = await bare_transfer_of(opened)
        return _result(load, times, bare_s, lags, video_bytes=len(opened.rendering.video))


async def _carry(opened: Stage, bot: BotProcess, seen: Seen) -> Load:
    jobs, rss_before, reads_before = opened.gateways.shortapi.jobs, bot.rss_bytes(), opened.reads.reads
    cpu_before_s, before = bot.cpu_s(), len(jobs)
    opened.rendering.least_s, opened.rendering.most_s = JOB_S
    began_at_s = time.time()
    await _ask(opened, count=JOBS, duration_s=5)
    await until(lambda: len(jobs) - before == JOBS, timeout_s=_SUBMITTED_TIMEOUT_S, what="submissions")
    await asyncio.sleep(_SETTLED_S)
    flying_at_s, in_flight, rss_bytes = time.time(), JOBS - len(seen.at_s), bot.rss_bytes() - rss_before
    await until(lambda: len(seen.at_s) == JOBS, timeout_s=_VIDEOS_TIMEOUT_S, what="videos")
    ended_at_s = time.time()
    await asyncio.sleep(_SETTLED_S)
    return Load(
        began_at_s=began_at_s,
        flying_at_s=flying_at_s,
        ended_at_s=ended_at_s,
        in_flight=in_flight,
        rss_bytes=rss_bytes,
        reads=opened.reads.reads - reads_before,
        cpu_s=bot.cpu_s() - cpu_before_s,
    )


async def _ask(opened: Stage, *, count: int, duration_s: int) -> None:
    async for number in arriving(count, PER_S):
        user, channel = opened.people[number]
        await opened.discord.command(user, channel, "video text", {"prompt": PROMPT, "duration": duration_s})


def times_of(database: Path, opened: Stage, seen: Seen) -> list[Times]:
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute(
            "SELECT job_id, finished_at_ms, gateway_job_id FROM jobs JOIN attempts USING (job_id)"
        ).fetchall()
    times = []
    for job_id, finished_at_ms, gateway_job_id in rows:
        if job_id in seen.at_s:
            done_at = opened.gateways.shortapi.jobs[gateway_job_id].ended_at
            done_at_s, read_at_s, posted_at_s = done_at.timestamp(), finished_at_ms / 1000, seen.at_s[job_id]
            times.append(Times(read_at_s - done_at_s, posted_at_s - read_at_s, posted_at_s - done_at_s))
    return times


async def bare_transfer_of(opened: Stage) -> float:
    """Return how long a plain client takes to post a file of that size, without having to look for it or check it."""
    took_s = []
    headers = {"Authorization": f"Bot {opened.discord.bot_token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for _, channel in opened.people[:_BARE_UPLOADS]:
            form = aiohttp.FormData()
            form.add_field("payload_json", json.dumps({"content": "", "attachments": [{"id": 0, "filename": "v.mp4"}]}))
            form.add_field("files[0]", opened.rendering.video, filename="v.mp4", content_type="video/mp4")
            start = time.perf_counter()
            async with session.post(f"{opened.discord.api_url}/channels/{channel.id}/messages", data=form) as answer:
                answer.raise_for_status()
                await answer.read()
            took_s.append(time.perf_counter() - start)
    return median(took_s)


def _result(load: Load, times: list[Times], bare_s: float, lags: Path, *, video_bytes: int) -> dict[str, object]:
    samples = array("d", lags.read_bytes())
    lag = list(zip(samples[::2], samples[1::2], strict=True))

    def p99_ms(since_s: float, until_s: float) -> float:
        return round(percentile([late_s for at_s, late_s in lag if since_s <= at_s <= until_s], 0.99) * 1000, 1)

    return {
        "jobs": JOBS,
        "arriving_per_s": PER_S,
        "gateway_s": JOB_S,
        "watch_interval_s": WATCH_INTERVAL_S,
        "video_bytes": video_bytes,
        "in_flight": load.in_flight,
        "memory_kb_per_job": round(load.rss_bytes / 1000 / load.in_flight, 1),
        "reads_per_job": round(load.reads / JOBS, 2),
        "lag_p99_ms": p99_ms(load.began_at_s, load.ended_at_s),
        "lag_p99_arriving_ms": p99_ms(load.began_at_s, load.flying_at_s),
        "lag_p99_delivering_ms": p99_ms(load.flying_at_s, load.ended_at_s),
        "done_to_channel_s": spread([one.whole_s - bare_s for one in times]),
        "done_to_read_s": spread([one.until_read_s for one in times]),
        "read_to_channel_s": spread([one.until_posted_s for one in times]),
        "bare_transfer_s": round(bare_s, 3),
        "cpu_ms_per_job": round(load.cpu_s * 1000 / JOBS, 1),
        "took_s": round(load.ended_at_s - load.began_at_s, 1),
    }


def spread(values: list[float]) -> dict[str, float]:
    return {"p50": round(median(values), 2), "mean": round(mean(values), 2), "p99": round(percentile(values, 0.99), 2)}


async def _write_history(database: Path) -> None:
    """Give the bot a past: jobs of the same kind, four days old, that took as long as these will."""
    least_s, most_s = JOB_S
    async with open_store(database) as store:
        for number in range(_HISTORY):
            opened_at = datetime.now(UTC) - timedelta(days=4, minutes=number)
            done_at = opened_at + timedelta(seconds=least_s + (most_s - least_s) * number / (_HISTORY - 1))
            job_id, message = new_job_id(opened_at), MessageRef(1, number + 1)
            await store.open_job(opening_of(job_id, number + 1, opened_at))
            await store.card_posted(job_id, card=message, face=CardFace.HELD)
            attempt = Attempt(job_id, 1, "shortapi", "history", b"{}", job_id, job_id, opened_at, 645_000)
            await store.begin_attempt(attempt, next_at=done_at)
            billing = Billing(645_000, BilledSource.PRICE)
            await store.accept(job_id, number=1, gateway_job_id=job_id, billing=billing, now=opened_at, next_at=done_at)
            await store.finish(job_id, address=None, until=None, billing=None, now=done_at)
            video = Video(f"{job_id}.mp4", 1, 5.0, 1280, 720)
            await store.store_video(job_id, video=video, settle_microusd=645_000, now=done_at)
            await store.delivered(job_id, message=message, now=done_at)
            await store.card_shown(job_id, face=CardFace.DELIVERED)
            await store.schedule(job_id, state=JobState.STORED, next_at=None)


def opening_of(job_id: str, interaction_id: int, now: datetime) -> Opening:
    request = VideoRequest(Mode.TEXT, PROMPT, Resolution.P720, "16:9", 5, "shortapi", False, 645_000)
    return Opening(
        job_id=job_id,
        interaction_id=interaction_id,
        user_id=interaction_id,
        guild_id=1,
        channel_id=1,
        request=request,
        images=(),
        limits=Limits(None, None, None, None),
        failures_max=5,
        free_jobs_max=None,
        now=now,
    )


def run() -> dict[str, object]:
    return asyncio.run(measure())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
