"""How soon `/video text` is acknowledged, and at what cost, beside a bare command that only defers."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from bot.sandbox.discord import Interaction
from tests.bench.bench_stage import PROMPT, BotProcess, Stage, arriving, bot_process, percentile, settings, stage, until

INTERACTIONS = 200
PER_S = 50.0
ROUNDS = 5
_WARM_UP = 20
_NEVER_S = 100_000.0
_ANSWER_TIMEOUT_S = 30.0
_QUIET_S = 0.5


async def measure() -> dict[str, object]:
    """Run both bots in turn against the same server; figures are the medians of the rounds, times in ms."""
    rounds: dict[str, list[dict[str, float]]] = {"gallop": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="gallop-bench-") as name:
        people = INTERACTIONS + _WARM_UP
        async with stage(Path(name), job_s=(_NEVER_S, _NEVER_S), people=people) as opened:
            for number in range(ROUNDS):
                for kind, run in (("gallop", _gallop), ("bare", _bare)):
                    home = opened.folder / f"{kind}{number}"
                    home.mkdir()
                    rounds[kind].append(await run(opened, home))
    result = {kind: {key: median(one[key] for one in made) for key in made[0]} for kind, made in rounds.items()}
    ratio = result["gallop"]["p99_ms"] / result["bare"]["p99_ms"]
    return {"interactions": INTERACTIONS, "per_s": PER_S, **result, "p99_ratio": round(ratio, 2), "rounds": rounds}


async def _gallop(opened: Stage, home: Path) -> dict[str, float]:
    jobs = opened.gateways.shortapi.jobs
    before = len(jobs)

    async def all_done(sent: list[Interaction]) -> None:
        for interaction in sent:
            answer = await interaction.answer(
                _ANSWER_TIMEOUT_S, until=lambda message: "discord.com/channels" in message.text
            )
            if "$0.645" not in answer.text:
                raise RuntimeError(f"refused: {answer.text}")
        await until(lambda: len(jobs) - before >= len(sent), timeout_s=_ANSWER_TIMEOUT_S, what="submissions")

    environment = settings(opened, home)
    async with bot_process(opened, ("-m", "bot", "run"), environment, log_path=home / "bot.log") as bot:
        return await _round(opened, bot, all_done)


async def _bare(opened: Stage, home: Path) -> dict[str, float]:
    async def all_done(sent: list[Interaction]) -> None:
        for interaction in sent:
            await interaction.acknowledged(_ANSWER_TIMEOUT_S)

    script = str(Path(__file__).with_name("bare_bot.py"))
    async with bot_process(opened, (script,), settings(opened, home), log_path=home / "bot.log") as bot:
        return await _round(opened, bot, all_done)


async def _round(
    opened: Stage, bot: BotProcess, all_done: Callable[[list[Interaction]], Awaitable[None]]
) -> dict[str, float]:
    warm = await _send(opened, first=INTERACTIONS, count=_WARM_UP)
    await all_done(warm)
    await asyncio.sleep(_QUIET_S)
    before_s = bot.cpu_s()
    sent = await _send(opened, first=0, count=INTERACTIONS)
    await all_done([*warm, *sent])
    await asyncio.sleep(_QUIET_S)
    took_ms = [(await interaction.acknowledged()).took_s * 1000 for interaction in sent]
    return {
        "p50_ms": round(percentile(took_ms, 0.5), 2),
        "p99_ms": round(percentile(took_ms, 0.99), 2),
        "cpu_ms": round((bot.cpu_s() - before_s) * 1000 / INTERACTIONS, 2),
    }


async def _send(opened: Stage, *, first: int, count: int) -> list[Interaction]:
    sent = []
    async for number in arriving(count, PER_S):
        user, channel = opened.people[first + number]
        sent.append(await opened.discord.command(user, channel, "video text", {"prompt": PROMPT}))
    return sent


def run() -> dict[str, object]:
    return asyncio.run(measure())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
