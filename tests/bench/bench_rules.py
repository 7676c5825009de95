"""A quote and its hold, with fifty rules that apply to the person and without any."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from bot.adapters.store.sqlite import open_store
from bot.domain.guild import Act
from bot.domain.quota import Limits
from bot.domain.request import Place
from bot.domain.rules import Rule, Scope
from tests.domain.world import World

OPENINGS = 600
_ROLES = 46
_RICH = Limits(10**15, 10**15, 10**15, 10**15)
_RULED, _FREE, _CHANNEL, _USER = 7, 8, 50, 1


def run() -> dict[str, object]:
    """Measure both in turn, in one file; milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        times = asyncio.run(_measure(Path(folder)))
    return {
        "rules": _ROLES + 4,
        "openings": OPENINGS,
        "with_rules_ms": _points(times[_RULED]),
        "without_ms": _points(times[_FREE]),
    }


async def _measure(folder: Path) -> dict[int, list[float]]:
    async with open_store(folder / "gallop.db") as store:
        # Nobody carries the jobs: what is measured is the answer to a command.
        world = World(store=store, folder=folder, before=None, limits=_RICH)
        await _set_rules(world)
        times: dict[int, list[float]] = {_RULED: [], _FREE: []}
        for _ in range(OPENINGS):
            for guild_id, taken in times.items():
                place = Place(channel_id=_CHANNEL, guild_id=guild_id, role_ids=frozenset(range(1, _ROLES + 1)))
                ask = world.ask(user_id=_USER, place=place)
                start = time.perf_counter()
                await world.service.open(ask)
                taken.append((time.perf_counter() - start) * 1_000)
        return times


async def _set_rules(world: World) -> None:
    act = Act(guild_id=_RULED, actor_id=_USER, at=world.clock.now())
    subjects = [(Scope.ROLE, role_id) for role_id in range(1, _ROLES + 1)]
    subjects += [(Scope.MEMBER, _USER), (Scope.EVERYONE, 0), (Scope.CHANNEL, _CHANNEL), (Scope.POOL, 0)]
    for scope, subject_id in subjects:
        limits = {"day_microusd": 10**14, "week_microusd": 10**14, "month_microusd": 10**14, "day_videos": 10**6}
        await world.store.set_rule(Rule(scope, subject_id, **limits), act=act)


def _points(taken: list[float]) -> dict[str, float]:
    hundredths = quantiles(taken, n=100)
    return {"p50": round(hundredths[49], 2), "p99": round(hundredths[98], 2)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
