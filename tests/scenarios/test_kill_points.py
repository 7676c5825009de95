"""The bot killed at every point where it commits, or a request leaves or returns; the points are found, not listed."""

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from bot.sandbox.gateways.pace import Pace
from tests.scenarios import theatre as scene
from tests.scenarios.kill_lives import KILLED, Nursery, WiredLife, nursery
from tests.scenarios.kill_points import Point, steady_path
from tests.scenarios.kill_stories import START, STORIES, TEXT, Story, free_port, is_at_rest, states, wrong_after
from tests.scenarios.process import LITTER, Stage, stage

pytestmark = pytest.mark.wire

# What is passed again and again, such as a read, is cut short the first two times.
OCCURRENCES_MAX = 2
AT_ONCE = 6
# A point may be missed, because what runs side by side took another turn.
TRIES_MAX = 4
# So many may be missed each time: a read more or less, a card edited once more.
MISSED_MAX = 5
# Long enough for a job to be done at the first look, which a callback brings forward.
SETTINGS = {"watch_first_s": "1.5"}
# A job that nobody confirms ends while we wait, but not before its gateway has called back often enough.
LATER_LIVES = {"task_life_s": "6"}
CALLBACK_DELAYS_S = (0.0, *[0.5] * 10)

Kills = tuple[Point, ...]


@dataclass(frozen=True)
class Found:
    """A point, and whether it was passed by a life after a kill, which does what no first life does."""

    point: Point
    later: bool


@dataclass
class Proof:
    """A story played once without a kill, then once for each point found, killed there, to its end.

    Points that only lives after a kill pass are found on the way, and killed at in the same way. `known` are left out.
    """

    story: Story
    nursery: Nursery
    folder: Path
    known: frozenset[Found] = frozenset()
    # For each point found, the kills before it in every run that passed it.
    before: dict[Found, list[Kills]] = field(default_factory=lambda: defaultdict(list))
    survived: set[Found] = field(default_factory=set)
    missed: set[Found] = field(default_factory=set)
    # In which states the jobs of all runs ended.
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def rehearse(self) -> list[Found]:
        """Return the points of a run without a kill. The first run does not count: the sandbox renders, and is late."""
        await self._play(())
        return self._new((), await self._play(()) or [])

    async def prove(self) -> None:
        wave = await self.rehearse()
        while wave:
            async with asyncio.TaskGroup() as group:
                runs = [group.create_task(self._kill_at(found)) for found in wave]
            wave = [found for run in runs for found in run.result()]

    async def _kill_at(self, found: Found) -> list[Found]:
        """Play the story with a kill at this point; return the points that no run passed before."""
        before = self.before[found]
        async with self.slots:
            for number in range(TRIES_MAX):
                kills = (*before[number % len(before)], found.point)
                try:
                    passed = await self._play(kills)
                except (TimeoutError, AssertionError) as error:
                    self._note(kills, str(error))
                    return []
                if passed is not None:
                    self.survived.add(found)
                    return self._new(kills, passed)
        self.missed.add(found)
        return []

    def _new(self, kills: Kills, passed: Iterable[Point]) -> list[Found]:
        found = [each for each in (Found(point, later=bool(kills)) for point in passed) if self._is_wanted(each)]
        new = [each for each in found if each not in self.before]
        for each in found:
            self.before[each].append(kills)
        return new

    def _is_wanted(self, found: Found) -> bool:
        in_first_life = replace(found, later=False)
        if found.later and not self.story.again and (in_first_life in self.before or in_first_life in self.known):
            return False
        return found.point.occurrence <= OCCURRENCES_MAX and found not in self.known

    async def _play(self, kills: Kills) -> list[Point] | None:
        """Play the story with these kills; return what the last life passed, None where a life missed its point."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        async with stage(folder, **{**SETTINGS, **web_settings(free_port()), **self.story.settings}) as made:
            killed_in: dict[str, set[str]] = defaultdict(set)
            for number, kill_at in enumerate(kills):
                life = await self._live(made, kill_at, first=number == 0)
                if life.exit_code == 0:
                    return None
                _expect(life, KILLED, [])
                for prompt, state in states(made.database_path).items():
                    killed_in[prompt].add(state)
                # As if the bot had been away for longer than Discord remembers.
                made.theatre.discord.faults.forget_nonces()
            life = await self._live(made, None, first=not kills)
            _expect(life, 0, wrong_after(made, self.story, killed_in))
            self.ends.update(states(made.database_path).values())
            return life.points

    async def _live(self, made: Stage, kill_at: Point | None, *, first: bool) -> WiredLife:
        """Let the bot live until it is killed, or nothing is left to do; in its first life it is asked."""
        changes = {} if first else LATER_LIVES
        async with self.nursery.life(made, kill_at=kill_at, **changes) as life:
            going = asyncio.create_task(self._go(made, life, first=first))
            ended = asyncio.create_task(life.ended())
            done, _ = await asyncio.wait({going, ended}, return_when=asyncio.FIRST_COMPLETED)
            alive = life.exit_code is None
            for task in (going, ended):
                task.cancel()
            await asyncio.gather(going, ended, return_exceptions=True)
        stuck = next((error for task in done if (error := task.exception())), None)
        if alive and stuck is not None:
            raise AssertionError(f"{stuck!r}\n{life.log_path.read_text()}") from stuck
        return life

    async def _go(self, made: Stage, life: WiredLife, *, first: bool) -> None:
        await made.theatre.discord.ready()
        if first:
            await self.story.play(made)
        await life.until(lambda: is_at_rest(made), "nothing left to do")
        await life.stop()

    def _note(self, kills: Kills, wrong: str) -> None:
        self.faults.append(f"{self.story.name}, killed at {' then '.join(map(str, kills))}: {wrong}")


def _expect(life: WiredLife, exit_code: int, wrong: list[str]) -> None:
    """Raise all that is wrong with what a life left."""
    log = life.log_path.read_text()
    if life.exit_code != exit_code:
        wrong = [*wrong, f"a life ended with {life.exit_code}"]
    wrong += [line for line in log.splitlines() if any(word in line for word in LITTER)]
    if wrong:
        raise AssertionError("; ".join(wrong) + f"\n{log}")


@pytest.fixture(autouse=True)
def _eager_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "Pace", partial(Pace, callback_delays_s=CALLBACK_DELAYS_S))


@pytest.fixture
async def lives() -> AsyncIterator[Nursery]:
    async with nursery() as opened:
        yield opened


def web_settings(port: int) -> dict[str, str]:
    return {"public_url": f"http://127.0.0.1:{port}", "http_port": str(port)}


async def test_the_wire_runs_through_commits_and_requests_both_ways(tmp_path: Path, lives: Nursery) -> None:
    port = free_port()
    async with stage(tmp_path, **SETTINGS, **web_settings(port)) as made, lives.life(made) as life:
        await made.theatre.discord.ready()
        await made.theatre.discord.download(f"http://127.0.0.1:{port}/healthz")
        await TEXT.play(made)
        await life.until(lambda: is_at_rest(made), "nothing left to do")
        assert await life.stop() == 0

    passed = [point.label for point in life.points]
    for name, sides in {
        "_apply for migrate": ("written, not committed", "committed"),
        "Opens.open_job for VideoService._open": ("written, not committed", "committed"),
        "POST /api/v10/channels/*/messages": ("leaves", "answered"),
        "POST /api/v1/job/create": ("leaves", "answered", "read"),
        "GET /healthz": ("arrives", "handled"),
    }.items():
        assert [label for label in passed if label.startswith(f"{name}:")][: len(sides)] == [
            f"{name}: {side}" for side in sides
        ]


@pytest.mark.parametrize(
    ("label", "left", "posts"),
    [
        ("Opens.open_job for VideoService._open: written, not committed", {}, 0),
        ("Opens.open_job for VideoService._open: committed", {"a boat": "held"}, 0),
        ("POST /api/v1/job/create: leaves", {"a boat": "submitting"}, 0),
        ("POST /api/v1/job/create: answered", {"a boat": "submitting"}, 1),
    ],
)
async def test_the_bot_dies_exactly_where_it_is_told(
    tmp_path: Path, lives: Nursery, label: str, left: dict[str, str], posts: int
) -> None:
    async with stage(tmp_path, **SETTINGS) as made, lives.life(made, kill_at=Point(label, 1)) as life:
        await made.theatre.discord.ready()
        asking = asyncio.create_task(TEXT.play(made))
        assert await life.ended() == KILLED
        asking.cancel()

        assert life.points[-1] == Point(label, 1)
        assert states(made.database_path) == left
        assert len(made.theatre.gateways.shortapi.submissions) == posts


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (
            "http://127.0.0.1:8080/api/v10/channels/1573375079415283712/messages?limit=100",
            "/api/v10/channels/*/messages",
        ),
        ("/webhooks/1573375/aW50ZXJhY3Rpb246MTIz_-/messages/@original", "/webhooks/*/*/messages/@original"),
        ("/v1/tasks/tk-hiapi-0C1D2E3F", "/v1/tasks/*"),
        ("/media/1f2e3d/video.mp4?ex=1&sig=2", "/media/*/video.mp4"),
        ("/oauth2/applications/@me", "/oauth2/applications/@me"),
    ],
)
def test_a_path_is_the_same_in_every_run(address: str, path: str) -> None:
    assert steady_path(address) == path


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_bot_killed_at_any_point_buys_once_tells_once_and_charges_once(
    tmp_path: Path, lives: Nursery, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    start = Proof(START, lives, tmp_path)
    await start.rehearse()
    proof = Proof(story, lives, tmp_path, known=frozenset(start.before if story is not START else ()))
    await proof.prove()

    with capsys.disabled():
        _tell(proof)
    if proof.faults:
        pytest.fail("\n".join(proof.faults))
    assert len(proof.missed) <= MISSED_MAX, proof.missed


def _tell(proof: Proof) -> None:
    """Say how many points were met and survived, on the terminal and in the file that KILL_REPORT names."""
    story, survived, missed = proof.story.name, len(proof.survived), len(proof.missed)
    points = len(proof.before) - missed
    sys.stdout.write(f"\n{story}: {survived} of {points} kill points survived, {missed} not met again\n")
    if path := os.environ.get("KILL_REPORT"):
        line = {"story": story, "points": points, "survived": survived, "not_met_again": missed, "ends": proof.ends}
        with Path(path).open("a", encoding="utf-8") as report:
            report.write(f"{json.dumps(line)}\n")
