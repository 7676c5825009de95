"""From the gateway being done to the video in the channel where gateways call back: the watch times do not matter."""

import asyncio
import json
import socket
import sys
import tempfile
from pathlib import Path

from tests.bench.bench_jobs import Seen, bare_transfer_of, spread, times_of
from tests.bench.bench_stage import PROMPT, arriving, bot_process, settings, stage, until

JOBS = 100
PER_S = 5.0
JOB_S = (3.0, 5.0)
# Nothing is seen by a read of the watcher's own.
_NEVER_S = "3600"
_TIMEOUT_S = 90.0


async def measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gallop-bench-") as name:
        home = Path(name)
        async with stage(home, job_s=JOB_S, people=JOBS) as opened:
            seen = Seen()
            opened.discord.world.observers.append(seen)
            port = _free_port()
            environment = settings(
                opened, home, WATCH_FIRST_S=_NEVER_S, PUBLIC_URL=f"http://127.0.0.1:{port}", HTTP_PORT=str(port)
            )
            async with bot_process(opened, ("-m", "bot", "run"), environment, log_path=home / "bot.log"):
                async for number in arriving(JOBS, PER_S):
                    user, channel = opened.people[number]
                    await opened.discord.command(user, channel, "video text", {"prompt": PROMPT, "duration": 5})
                await until(lambda: len(seen.at_s) == JOBS, timeout_s=_TIMEOUT_S, what="videos")
            times = times_of(home / "gallop.db", opened, seen)
            bare_s = await bare_transfer_of(opened)
            return {
                "jobs": JOBS,
                "arriving_per_s": PER_S,
                "reads_per_job": round(opened.reads.reads / JOBS, 2),
                "done_to_channel_s": spread([one.whole_s - bare_s for one in times]),
                "bare_transfer_s": round(bare_s, 3),
            }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run() -> dict[str, object]:
    return asyncio.run(measure())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
