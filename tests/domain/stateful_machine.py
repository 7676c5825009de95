"""The machine of the stateful proof: a domain on real SQLite, driven by people and managers."""

import asyncio
import logging
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bot.domain.errors import (
    DeliveryFailed,
    NotYourJob,
    Refusal,
    RequestRejected,
    StartFailed,
    StoreFailed,
)
from bot.domain.guild import GuildField, GuildJob
from bot.domain.job import FINAL_STATES
from bot.domain.money import show_usd
from bot.domain.ports import Progress
from bot.domain.pricing import Idempotency
from bot.domain.quota import Caps, Limits, Spender
from bot.domain.request import Ask, Attachment, Mode, Place, Resolution
from bot.domain.video_service import Opened
from bot.domain.watch_times import WatchTimes
from bot.domain.windows import day_ends_at, month_ends_at
from tests.domain.stateful_books import Books, Truth
from tests.domain.stateful_edges import (
    Answer,
    Broken,
    Channel,
    Disk,
    Fate,
    Hangs,
    Says,
    TrueGateway,
    Turns,
)
from tests.domain.stateful_managers import ACTORS, BEGINNINGS, DEEDS, GUILDS, MANAGER, PEOPLE, Deed, Managers
from tests.domain.world import OPERATOR, World, world
from tests.fakes import FakeClock, capabilities

PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1_000)
# Five seconds at 720p cost 645,000.
TIGHT = Limits(1_500_000, 2_600_000, 4_000_000, 5_200_000)
LIMITS = (
    TIGHT,
    Limits(None, None, None, 2_000_000),
    Limits(None, 2_000_000, None, None),
    Limits(None, None, 2_000_000, None),
    *[Limits(5_000_000, 50_000_000, 100_000_000, 200_000_000)] * 5,
)
# More turns of the loop than anything but an endless loop takes.
_TURNS_MAX = 100_000
# What a gateway said is written again after a second; more writes in a row never fail.
_WRITTEN_AGAIN_S = 1.0
_WRITES_AGAIN_MAX = 5
# A process takes its time to start.
START_S = 1.0

FATES = st.builds(
    Fate,
    ends=st.sampled_from([Progress.FINISHED] * 3 + [Progress.FAILED, Progress.RUNNING]),
    after_s=st.sampled_from([0.0, 30.0, 30.0, 600.0, 90_000.0]),
    address_after_s=st.sampled_from([0.0, 0.0, 0.0, 60.0, 1_000_000.0]),
    refusal=st.sampled_from(Refusal),
    refunded=st.booleans(),
    bills_permille=st.sampled_from(
        [None, None, (1_000, 1_000), (500, 500), (0, 800), (1_000, 600), (700, 0), (1_000, 1_100), (1_200, 1_200)]
    ),
)
HANGS = st.sampled_from([Hangs.NO] * 8 + [Hangs.BEFORE, Hangs.AFTER])
ANSWERS = st.one_of(
    st.builds(Answer, hangs=HANGS, fate=FATES),
    st.builds(
        Answer,
        says=st.just(Says.REFUSED),
        reason=st.sampled_from([*Refusal, Refusal.BUSY, Refusal.BUSY, Refusal.MODEL, Refusal.CONNECTION]),
        retry_after_s=st.sampled_from([None, 0.0, 20.0, 4_000.0]),
        hangs=HANGS,
    ),
    st.builds(
        Answer,
        says=st.sampled_from([Says.UNCONFIRMED, Says.UNCONFIRMED, Says.MISMATCH, Says.BROKEN]),
        retry_after_s=st.sampled_from([None, 40.0]),
        made=st.booleans(),
        hangs=HANGS,
        fate=FATES,
    ),
)
WISHES = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(PEOPLE),
        "guild_id": st.sampled_from([7, 7, 7, 8, None]),
        # The last is a thread of the first.
        "channel": st.sampled_from([(50, None), (51, None), (60, 50)]),
        "role_ids": st.sampled_from([frozenset[int](), frozenset({11}), frozenset({11, 12, 13})]),
        "mode": st.sampled_from(Mode),
        "duration_s": st.sampled_from([5, 3, 8]),
        "resolution": st.sampled_from([Resolution.P720, Resolution.P720, Resolution.P1080]),
        "gateway": st.sampled_from(["auto", "auto", "auto", "hiapi", "shortapi", "animatic"]),
        "private": st.sampled_from([False, False, True]),
    }
)
# Where people are when nobody asks, and their roles there.
HAUNTS = {1: (50, frozenset({11})), 2: (51, frozenset({11, 12, 13})), 3: (50, frozenset[int]())}
# So long before the rule's own deed the clock is turned, so that what it wakes races with the deed.
RUSHES = st.sampled_from([0.0, 0.0, 1.0, 30.0])
# From an ask to its submission are some 50 to 80 turns of the loop: so many of them before something else is done.
LAGS = st.sampled_from([0, 0, 15, 30, 45, 60])
FINAL = tuple(state.value for state in FINAL_STATES)
PICKS = st.integers(0, 11)


def after_an_ask(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a rule that waits for the first ask: before it, nothing else is worth a step."""
    return lambda deed: rule(**arguments)(precondition(lambda machine: bool(machine._asks))(deed))


async def quiet() -> None:
    """Wait until nothing can happen any more but by the clock, a gate or us: no other callback waits for its turn."""
    loop = asyncio.get_running_loop()
    for _ in range(_TURNS_MAX):
        await asyncio.sleep(0)
        if not loop._ready:  # type: ignore[attr-defined]  # asyncio's own queue: it has no public name
            return
    raise AssertionError("it never comes to rest")


class Life(World):
    """One life of the process, which rests when nothing can happen without the clock."""

    async def settle(self) -> None:
        await quiet()
        if self._running.done() and not self._running.cancelled():
            self._running.result()


class Slips(logging.Handler):
    """Collects errors that were caught and logged though nobody expected them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []
        self.of_the_disk = 0

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, StoreFailed):
            self.of_the_disk += 1
        elif error is not None and not isinstance(error, Broken):
            self.seen.append(f"{record.getMessage()}: {error!r}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the domain's log for ourselves; formatting it for a report would take most of the time."""
        logger = logging.getLogger("bot")
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.propagate = propagate


class Spending(RuleBasedStateMachine):
    """Service, runner and SQLite, driven by what people and managers do while time goes by.

    To see a failure again, put the printed `reproduce_failure` over the class that failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._life = AsyncExitStack()
        self._slips = Slips()
        self._stack.enter_context(self._slips.listening())
        self._loop = self._stack.enter_context(asyncio.Runner())
        self._loop.get_loop().set_exception_handler(lambda _, context: self._slips.seen.append(str(context)))
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._broken = False
        self._down_s, self._set_back = START_S, False
        self._asks: list[Ask] = []
        self._failures = 0
        self._books: Books | None = None
        self.world: Life | None = None

    @initialize(
        seed=st.integers(0, 2**16),
        limits=st.sampled_from(LIMITS),
        caps=st.sampled_from([Caps(3, 10, 8), Caps(1, 2, 2)]),
        starts=st.sampled_from(["at noon", "before midnight", "before the new month"]),
        restarts=st.booleans(),
        beginnings=BEGINNINGS,
    )
    def begin(
        self, seed: int, limits: Limits, caps: Caps, starts: str, restarts: bool, beginnings: tuple[list[Deed], ...]
    ) -> None:
        self._restarts = restarts
        turns, self.clock = Turns(seed), FakeClock()
        self.disk, self.channel = Disk(self.clock, turns), Channel(self.clock, turns)
        self.answers: deque[Answer] = deque()
        facts = (
            capabilities("hiapi", idempotency=Idempotency.REPLAY, callback_field="callback_url"),
            capabilities("shortapi"),
            capabilities("animatic", prices={}, free=True, fetches_pictures=False, jobs_per_user_day=4),
        )
        hiapi, shortapi, free = (TrueGateway(fact, self.clock, turns, self.disk, self.answers) for fact in facts)
        self.gateways = {gateway.name: gateway for gateway in (hiapi, shortapi, free)}
        self.truth = Truth(self.gateways, self.channel, self.clock)
        self.limits = limits
        self._changes = {
            "gateway": hiapi,
            "other_gateway": shortapi,
            "free_gateway": free,
            "messenger": self.channel,
            "clock": self.clock,
            "limits": limits,
            "caps": caps,
            "times": WatchTimes(),
        }
        starts_at = {"before midnight": day_ends_at, "before the new month": month_ends_at}.get(starts)
        if starts_at is not None:
            now = self.clock.now()
            self.clock.turn((starts_at(now) - now).total_seconds() - 90)
        self._run(self._begin_life())
        guilds = [Managers(self.world, guild_id, MANAGER) for guild_id in GUILDS]
        self._run(self._do(*(guild.do(deed) for guild in guilds for deeds in beginnings for deed in deeds)))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self._loop.run(work)
        except BaseException:
            self._broken = True
            raise

    async def _begin_life(self) -> None:
        """Start the process on what the last one left, again where it cannot start."""
        before = self.world
        while True:
            await self._life.aclose()
            self.disk.is_dead = False
            for gateway in self.gateways.values():
                gateway.begin_life()
            self.clock.turn(self._down_s)
            self.clock.set_back(3_600 if self._set_back else 0)
            self._down_s, self._set_back = START_S, False
            opening = world(self._folder, before=before, kind=Life, opened=self.disk.open_store, **self._changes)
            faulty = self.disk.is_faulty
            try:
                self.world = await self._life.enter_async_context(opening)
            except StartFailed:
                assert faulty, "it did not start"
            else:
                if not self.disk.is_dead:
                    return

    async def _do(self, *works: Coroutine[Any, Any, Any], rush_s: float = 0.0) -> list[Any]:
        """Do these at once and let everything happen; return what each brought, nothing where the process died."""
        self.disk.judge.step += 1
        if rush_s:
            self.clock.turn(rush_s)
        failures = self.disk.failures
        tasks = [asyncio.ensure_future(work) for work in works]
        await self._rest()
        for _ in range(_WRITES_AGAIN_MAX):
            if self.disk.is_dead or all(task.done() for task in tasks):
                break
            self.clock.turn(_WRITTEN_AGAIN_S)
            await self._rest()
        alive = all(task.done() for task in tasks)
        assert alive or self.disk.is_dead
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if self.disk.is_dead:
            await self._begin_life()
        for outcome in outcomes:
            if isinstance(outcome, StoreFailed):
                assert self.disk.failures > failures, "the database refused what the contract allows"
            elif isinstance(outcome, Exception) and not isinstance(outcome, RequestRejected | DeliveryFailed):
                raise outcome
        return outcomes if alive else []

    async def _rest(self) -> None:
        if self.disk.is_dead:
            await quiet()
        else:
            await self.world.settle()

    async def _pass(self, seconds: float, steps: int = 1) -> None:
        for _ in range(steps):
            await self._do(rush_s=seconds / steps)

    def _row(self, pick: int) -> sqlite3.Row | None:
        rows = self.disk.db.execute("SELECT * FROM jobs ORDER BY rowid").fetchall()
        return rows[pick % len(rows)] if rows else None

    # What people do.

    @rule(
        wishes=st.lists(WISHES, min_size=1, max_size=3),
        answers=st.lists(ANSWERS, max_size=4),
        deliveries=st.sampled_from([1, 1, 2]),
        deeds=st.lists(DEEDS, max_size=2),
        lag=LAGS,
        rush_s=RUSHES,
    )
    def ask(
        self,
        wishes: list[dict[str, Any]],
        answers: list[Answer],
        deliveries: int,
        deeds: list[Deed],
        lag: int,
        rush_s: float,
    ) -> None:
        """Ask; meanwhile, something is decided about it."""
        self.answers.extend(answers)
        asks = [self._ask(**wish) for wish in wishes]
        managers = Managers(self.world, asks[0].place.guild_id or GUILDS[0], MANAGER)
        self._run(self._open(asks * deliveries, rush_s, [managers.do(deed, lag=lag) for deed in deeds]))

    @rule(
        wish=WISHES,
        answers=st.lists(ANSWERS, min_size=1, max_size=3),
        then_s=st.sampled_from([0.0, 21.0, 60.0, 700.0]),
    )
    def ask_and_wait(self, wish: dict[str, Any], answers: list[Answer], then_s: float) -> None:
        self.answers.extend(answers)
        self._run(self._open([self._ask(**wish)], 0.0))
        self._run(self._pass(then_s, 3))

    @rule(wishes=st.lists(WISHES, min_size=2, max_size=6))
    def ask_much_at_once(self, wishes: list[dict[str, Any]]) -> None:
        self._run(self._open([self._ask(**wish) for wish in wishes], 0.0))

    def _ask(
        self,
        *,
        guild_id: int | None,
        channel: tuple[int, int | None],
        role_ids: frozenset[int],
        mode: Mode,
        **wish: Any,
    ) -> Ask:
        channel_id, parent_id = channel
        place = Place(channel_id, guild_id, parent_id=parent_id, role_ids=role_ids)
        ask = Ask(
            interaction_id=len(self._asks) + 1,
            place=place if guild_id is not None else Place(channel_id=50),
            mode=mode,
            prompt="a horse gallops",
            attachments=() if mode is Mode.TEXT else (PICTURE,),
            **wish,
        )
        self._asks.append(ask)
        return ask

    @after_an_ask(pick=PICKS, rush_s=RUSHES)
    def ask_the_same_again(self, pick: int, rush_s: float) -> None:
        self._run(self._open([self._asks[pick % len(self._asks)]], rush_s))

    async def _open(self, asks: list[Ask], rush_s: float, deeds: Sequence[Coroutine[Any, Any, Any]] = ()) -> None:
        """An ask that was answered yes has its one job; one that was answered no has none."""
        sql = "SELECT interaction_id, job_id FROM jobs"
        before = set(dict(self.disk.db.execute(sql).fetchall()))
        outcomes = (await self._do(*deeds, *(self._answer(ask) for ask in asks), rush_s=rush_s))[len(deeds) :]
        kept = dict(self.disk.db.execute(sql).fetchall())
        answered = list(zip(asks, outcomes, strict=bool(outcomes)))
        opened = {
            ask.interaction_id: outcome.view.job.job_id for ask, outcome in answered if isinstance(outcome, Opened)
        }
        assert opened.items() <= kept.items()
        assert not outcomes or set(kept) == before | set(opened)

    async def _answer(self, ask: Ask) -> Opened:
        """Ask, and look at a refusal at the moment it is given."""
        self.disk.judge.begin(ask)
        try:
            return await self.world.service.open(ask)
        except RequestRejected as refusal:
            self.disk.judge.check_answer(ask, refusal, limits=self.limits, now=self.clock.now(), db=self.disk.reading)
            raise

    @after_an_ask(pick=PICKS, by=st.sampled_from([None, None, 4]), rush_s=RUSHES)
    def cancel(self, pick: int, by: int | None, rush_s: float) -> None:
        if (job := self._row(pick)) is not None:
            work = self.world.service.cancel(job["job_id"], user_id=by or job["user_id"])
            outcomes = self._run(self._do(work, rush_s=rush_s))
            assert by is None or all(isinstance(outcome, NotYourJob | StoreFailed) for outcome in outcomes)

    # What managers do.

    @after_an_ask(
        deeds=st.lists(DEEDS, min_size=1, max_size=4),
        guild_id=st.sampled_from([7, 7, 8]),
        actor_id=ACTORS,
        rush_s=RUSHES,
    )
    def decide(self, deeds: list[Deed], guild_id: int, actor_id: int, rush_s: float) -> None:
        managers = Managers(self.world, guild_id, actor_id)
        self._run(self._do(*(managers.do(deed) for deed in deeds), rush_s=rush_s))

    @after_an_ask(
        pick=PICKS,
        what=st.sampled_from(["member", "member", "guild"]),
        lag=LAGS,
        then_s=st.sampled_from([0.0, 21.0, 60.0, 700.0]),
        rush_s=RUSHES,
    )
    def hinder(self, pick: int, what: str, lag: int, then_s: float, rush_s: float) -> None:
        """Block somebody or pause a guild while something of theirs is under way, for a while."""
        sql = f"SELECT user_id, guild_id FROM jobs WHERE guild_id IS NOT NULL AND state NOT IN {FINAL} ORDER BY rowid"  # noqa: S608
        if rows := self.disk.db.execute(sql).fetchall():
            user_id, guild_id = rows[pick % len(rows)]
            paused, resumed = (("change", (GuildField.PAUSED, is_paused)) for is_paused in (True, False))
            blocked, unblocked = ("block", (user_id, None)), ("unblock", (user_id,))
            managers = Managers(self.world, guild_id, MANAGER)
            self._run(self._do(managers.do(paused if what == "guild" else blocked, lag=lag), rush_s=rush_s))
            self._run(self._pass(then_s, 3))
            managers = Managers(self.world, guild_id, MANAGER)
            self._run(self._do(managers.do(resumed if what == "guild" else unblocked)))

    @after_an_ask(pick=PICKS, guild_id=st.sampled_from([None, None, None, 8]), actor_id=ACTORS, rush_s=RUSHES)
    def release(self, pick: int, guild_id: int | None, actor_id: int, rush_s: float) -> None:
        if (job := self._row(pick)) is not None:
            at = {"guild_id": guild_id or job["guild_id"] or 7, "actor_id": actor_id}
            outcomes = self._run(self._do(self.world.guild_jobs.release(job["job_id"], **at), rush_s=rush_s))
            released = any(isinstance(outcome, GuildJob) for outcome in outcomes)
            assert not released or (job["state"], job["guild_id"]) == ("held", at["guild_id"])

    @after_an_ask(
        pick=PICKS,
        amount_microusd=st.sampled_from([0, 1, 300_000, 387_000, 645_000, 10_000_000]),
        by=st.lists(
            st.sampled_from(["command line", "operator", "manager", "another guild's"]), min_size=1, max_size=2
        ),
    )
    def refund(self, pick: int, amount_microusd: int, by: list[str]) -> None:
        if (job := self._row(pick)) is not None:
            works = [self._refund(job["job_id"], amount_microusd, who, job["guild_id"]) for who in by]
            outcomes = self._run(self._do(*works))
            assert outcomes.count(True) <= 1
            assert True not in [outcome for outcome, who in zip(outcomes, by, strict=False) if who == "another guild's"]

    async def _refund(self, job_id: str, amount_microusd: int, by: str, guild_id: int | None) -> bool:
        if by != "command line":
            at = {"guild_id": 8 if guild_id == 7 else 7} if by == "another guild's" else {"guild_id": guild_id or 7}
            amount = show_usd(amount_microusd) if amount_microusd else None
            await self.world.guild_jobs.refund(
                job_id, actor_id=OPERATOR if by == "operator" else MANAGER, amount=amount, reason="sorry", **at
            )
            return True
        failures = self.disk.failures
        money = Books(self.disk.db).money.get(job_id)
        settled = (money["settled"] if money else None) or 0
        try:
            return await self.world.store.refund(
                job_id, amount_microusd=amount_microusd, actor_id=OPERATOR, reason="sorry", now=self.clock.now()
            )
        except StoreFailed:
            assert not 0 < amount_microusd <= settled or self.disk.failures > failures
            return False

    # What time does.

    @after_an_ask(seconds=st.sampled_from([1.0, 6.0, 21.0, 21.0, 60.0, 300.0]), steps=st.sampled_from([1, 3]))
    def wait(self, seconds: float, steps: int) -> None:
        self._run(self._pass(seconds, steps))

    @after_an_ask(
        seconds=st.sampled_from([1_300.0, 3_600.0, 3_600.0, 7_200.0, 86_400.0]), steps=st.sampled_from([1, 4])
    )
    def wait_long(self, seconds: float, steps: int) -> None:
        self._run(self._pass(seconds, steps))

    @after_an_ask(next_month=st.sampled_from([False, False, True]))
    def wait_until_the_quota_is_new(self, next_month: bool) -> None:
        now = self.clock.now()
        ends_at = month_ends_at(now) if next_month else day_ends_at(now)
        self._run(self._pass((ends_at - now).total_seconds() + 1, 2))

    @invariant()
    def the_books_agree(self) -> None:
        if self.world is not None:
            self._run(self._check())

    async def _check(self) -> None:
        assert not self._slips.seen, self._slips.seen
        assert not self._slips.of_the_disk or self.disk.failures > self._failures, "the database refused the bot"
        self._slips.of_the_disk, self._failures = 0, self.disk.failures
        books = Books(self.disk.db)
        books.check(limits=self.limits, truth=self.truth, judge=self.disk.judge, before=self._books)
        if self.clock.monotonic() >= self.disk.failed_at + _WRITTEN_AGAIN_S:
            books.check_written(self.truth)
        self._books = books
        with self.disk.well():
            # Each in one place at a time: what is wrong there stays wrong.
            guild_id = [*GUILDS, None][self.disk.judge.step % 3]
            spenders = [Spender(person, guild_id, *HAUNTS[person]) for person in PEOPLE]
            await books.check_store(self.world.store, limits=self.limits, spenders=spenders, clock=self.clock)

    def teardown(self) -> None:
        try:
            if self.world is not None and not self._broken:
                self._run(self._end())
        finally:
            self._loop.run(self._life.aclose())
            left = asyncio.all_tasks(self._loop.get_loop())
            self._stack.close()
        assert self._broken or not left, f"left running: {left}"

    async def _end(self) -> None:
        """Let everything go well from here: then every job ends and is told, and not a microdollar is missing."""
        self.disk.heal()
        self.channel.behave()
        self.world.hosting.script.clear()
        self.world.library.free = 10**12
        for gateway in self.gateways.values():
            gateway.behave()
        await self.world.store.set_paused(False)
        if self._restarts:
            await self._begin_life()
        for seconds, steps in ((60.0, 4), (7_200.0, 6), (172_800.0, 48), (345_600.0, 8)):
            await self._pass(seconds, steps)
        await self._check()
        loss = self._books.check_end(self.truth)
        months = self._books.moment.billed_by_month() | self._books.paid_by_month()
        assert loss == sum([await self.world.store.loss_microusd(month=month) for month in months])
