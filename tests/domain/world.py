"""A whole domain on real SQLite with a clock turned by hand: service, runner, and fakes at the edges."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from bot.adapters.patterns import LinearPatterns
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.breakers import Breakers
from bot.domain.confirming import Confirmer
from bot.domain.guild_jobs import GuildJobService
from bot.domain.job import Job
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.managing import ManagerService
from bot.domain.notices import Notices
from bot.domain.offers import Serving
from bot.domain.operating import OperatorService
from bot.domain.pricing import Overbilled
from bot.domain.privacy import PrivacyService
from bot.domain.quota import Caps, Limits, Spender, Standing
from bot.domain.request import Ask, Mode, Place
from bot.domain.request_pace import RequestPace
from bot.domain.submitting import Submitter
from bot.domain.telling import Teller
from bot.domain.upkeep import Upkeep
from bot.domain.video_service import Opened, VideoService
from bot.domain.watch_times import WatchTimes
from bot.domain.watching import Watcher
from tests.fakes import (
    FakeCallbacks,
    FakeClock,
    FakeGateway,
    FakeHosting,
    FakeLibrary,
    FakeMeasures,
    FakeMessenger,
    FakeOperators,
    FakePictures,
    capabilities,
)

PRICE = 645_000
OPERATOR = 900
LIMITS = Limits(5_000_000, 50_000_000, 100_000_000, 200_000_000)
_INTERACTIONS = itertools.count(1_000)


class Threads:
    """Lets the loop go on, and sleeps while only threads work: SQLite's hand their results back to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._hand_back = loop.call_soon_threadsafe
        self._handed_back = asyncio.Event()
        loop.call_soon_threadsafe = self._hand_back_and_tell

    def close(self) -> None:
        self._loop.call_soon_threadsafe = self._hand_back

    def _hand_back_and_tell(self, callback, *arguments, context=None) -> asyncio.Handle:
        handle = self._hand_back(callback, *arguments, context=context)
        self._hand_back(self._handed_back.set)
        return handle

    async def go_on(self) -> None:
        """Let the next callbacks run; where there are none, wait until a thread hands something back."""
        if self._loop._ready:  # asyncio's own queue: it has no public name
            await asyncio.sleep(0)
        else:
            self._handed_back.clear()
            await self._handed_back.wait()


class World:
    """One life of the process. What outlives it (`store` file, gateway, messages) is handed to the next."""

    def __init__(self, *, store: SqliteStore, folder: Path, before: "World | None", **changes) -> None:
        self.store = store
        self.clock = before.clock if before else changes.get("clock") or FakeClock()
        self.gateway = before.gateway if before else changes.get("gateway") or FakeGateway()
        self.free_gateway = (
            before.free_gateway
            if before
            else changes.get("free_gateway")
            or FakeGateway(capabilities("animatic", prices={}, free=True, fetches_pictures=False, jobs_per_user_day=10))
        )
        self.other_gateway = (
            before.other_gateway
            if before
            else changes.get("other_gateway") or FakeGateway(capabilities("shortapi", configured=False))
        )
        self.restored_at = changes.get("restored_at")
        self.operators = before.operators if before else FakeOperators()
        self.loss_microusd: int | None = changes.get("loss_microusd")
        self.messenger = before.messenger if before else changes.get("messenger") or FakeMessenger()
        self.pictures = before.pictures if before else FakePictures()
        self.library = before.library if before else FakeLibrary(folder)
        self.hosting = before.hosting if before else FakeHosting()
        self.limits: Limits = changes.get("limits", LIMITS)
        self.caps: Caps = changes.get("caps", Caps(per_user=3, per_guild=10, per_gateway=8))
        self.times: WatchTimes = changes.get("times", WatchTimes(first_s=20.0))
        self.overbilled_rows: list[str] = []
        self._wire()

    @property
    def all_gateways(self) -> tuple[FakeGateway, ...]:
        return (self.gateway, self.other_gateway, self.free_gateway)

    def _wire(self) -> None:
        gateways = {gateway.capabilities.gateway: gateway for gateway in self.all_gateways}
        paces = {name: RequestPace(g.capabilities.requests_per_min, self.clock) for name, g in gateways.items()}
        for pace in paces.values():
            # As after a rest: most stories do not begin with a start.
            pace._filled = pace._size
        views = JobViews(store=self.store, gateways=gateways, caps=self.caps, times=self.times, clock=self.clock)
        overbilled = self.overbilled = Overbilled(None, self._remember)
        breakers = self.breakers = Breakers(self.clock)
        self.measures = FakeMeasures()
        shared = {
            "store": self.store,
            "gateways": gateways,
            "library": self.library,
            "views": views,
            "overbilled": overbilled,
            "times": self.times,
            "clock": self.clock,
        }
        submitter = Submitter(
            **shared,
            guild_store=self.store,
            messenger=self.messenger,
            hosting=self.hosting,
            breakers=breakers,
            callbacks=FakeCallbacks(),
        )
        watcher = self.watcher = Watcher(**shared, paces=paces, measures=self.measures)
        confirmer = Confirmer(
            breakers=breakers,
            restored_at=self.restored_at,
            store=self.store,
            gateways=gateways,
            paces=paces,
            submitter=submitter,
            watcher=watcher,
            times=self.times,
            clock=self.clock,
        )
        self.runner = JobRunner(
            store=self.store,
            gateways=gateways,
            paces=paces,
            breakers=breakers,
            submitter=submitter,
            watcher=watcher,
            confirmer=confirmer,
            teller=Teller(
                store=self.store,
                messenger=self.messenger,
                views=views,
                measures=self.measures,
                clock=self.clock,
                started_at=self.clock.now(),
                restored_at=self.restored_at,
            ),
            caps=self.caps,
            times=self.times,
            clock=self.clock,
        )
        self.operating = OperatorService(
            store=self.store,
            gateways=gateways,
            views=views,
            watcher=watcher,
            confirmer=confirmer,
            runner=self.runner,
            operator_ids=lambda: frozenset({OPERATOR}),
        )
        self.managers = ManagerService(
            store=self.store,
            patterns=LinearPatterns(),
            limits=self.limits,
            caps=self.caps,
            gateways=tuple(gateways),
            clock=self.clock,
            operator_ids=lambda: frozenset({OPERATOR}),
            wake=self.runner.wake,
        )
        self.guild_jobs = GuildJobService(
            store=self.store,
            guild_store=self.store,
            library=self.library,
            clock=self.clock,
            operator_ids=lambda: frozenset({OPERATOR}),
            wake=self.runner.wake,
        )
        self.upkeep = Upkeep(
            store=self.store,
            guild_store=self.store,
            library=self.library,
            retention=timedelta(days=30),
            clock=self.clock,
        )
        self.privacy = PrivacyService(
            store=self.store, guild_store=self.store, runner=self.runner, upkeep=self.upkeep, clock=self.clock
        )
        self.notices = Notices(
            store=self.store,
            operators=self.operators,
            breakers=breakers,
            overbilled=overbilled,
            library=self.library,
            titles={name: gateway.capabilities.title for name, gateway in gateways.items()},
            loss_microusd=self.loss_microusd,
            clock=self.clock,
        )
        self.service = VideoService(
            store=self.store,
            gateways=gateways,
            pictures=self.pictures,
            library=self.library,
            messenger=self.messenger,
            runner=self.runner,
            views=views,
            serving=Serving(None, frozenset),
            overbilled=overbilled,
            breakers=breakers,
            guild_store=self.store,
            patterns=LinearPatterns(),
            limits=self.limits,
            clock=self.clock,
        )

    async def _remember(self, rows: str) -> None:
        self.overbilled_rows.append(rows)

    def ask(self, **changes) -> Ask:
        facts = {
            "interaction_id": next(_INTERACTIONS),
            "user_id": 1,
            "place": Place(channel_id=50, guild_id=7),
            "mode": Mode.TEXT,
            "prompt": "a horse gallops",
        }
        return Ask(**{**facts, **changes})

    async def open(self, **changes) -> Opened:
        opened = await self.service.open(self.ask(**changes))
        await self.settle()
        return opened

    async def job(self, opened: Opened) -> Job:
        found = await self.store.job(opened.view.job.job_id)
        assert found is not None
        return found

    async def standings(self, user_id: int = 1) -> tuple[Standing, ...]:
        return await self.service.quota(Spender(user_id, guild_id=7, channel_id=50))

    async def settle(self) -> None:
        """Let everything happen that can happen without the clock."""
        async with asyncio.timeout(10):
            while not self._running.done() and not self._is_at_rest():
                await self._threads.go_on()
        if self._running.done() and not self._running.cancelled():
            self._running.result()

    def _is_at_rest(self) -> bool:
        """The runner waits, and every step waits for the clock or for a gateway that the test holds up."""
        alarm = self.runner._alarm
        idle_steps = self.clock.sleeping + (0 if self.gateway.gate.is_set() else self.gateway.blocked)
        return (
            self.clock.is_waited_for(alarm)
            and not alarm.is_set()
            and len(self.runner._busy) + len(self.runner._edits) <= idle_steps
        )

    async def advance(self, seconds: float, *, step_s: float | None = None) -> None:
        """Turn the clock, in steps so that everything due in between happens in its time."""
        step_s = step_s or seconds
        while seconds > 0:
            self.clock.turn(min(step_s, seconds))
            seconds -= step_s
            await self.settle()

    @asynccontextmanager
    async def alive(self) -> AsyncIterator["World"]:
        self._threads = Threads(asyncio.get_running_loop())
        self._running = asyncio.create_task(self.runner.run())
        try:
            await self.settle()
            yield self
        finally:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._threads.close()


@asynccontextmanager
async def world(
    folder: Path, *, before: World | None = None, kind: type[World] = World, opened=open_store, **changes
) -> AsyncIterator[World]:
    """Start a life of the process on the database in `folder`; leaving it is a crash: nothing is tidied."""
    async with opened(folder / "gallop.db") as store:
        made = kind(store=store, folder=folder, before=before, **changes)
        async with made.alive():
            yield made
