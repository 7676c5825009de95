"""The edges of the stateful proof: a disk, gateways and a channel that fail on demand and keep books of their own."""

import asyncio
import random
import sqlite3
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum, auto
from pathlib import Path

from bot.adapters.store.migrate import prepare
from bot.adapters.store.writer import GroupCommit, Writer
from bot.domain.errors import (
    DeliveryFailed,
    DirectMessagesClosed,
    GatewayUnavailable,
    Refusal,
    SubmissionRefused,
    SubmissionUnconfirmed,
    VideoUnusable,
)
from bot.domain.job import Attempt, JobState, MessageRef
from bot.domain.ports import Accepted, CardView, Progress, Reading
from bot.domain.pricing import Capabilities, Idempotency
from bot.domain.telling import DELIVERY_GIVEN_UP_AFTER_S
from tests.domain.stateful_judge import Judge, JudgedStore
from tests.domain.stateful_quotas import MONEY
from tests.fakes import FakeClock, FakeGateway, FakeMessenger

# What the connection that writes notes beside the bot's own tables: every move, and who was paused or blocked at it. It
# is part of the same transactions, so that what is undone is not noted either.
_WITNESS = f"""
CREATE TEMP TABLE moves (was, became, is_paused);
CREATE TEMP TRIGGER note_moves AFTER UPDATE OF state ON main.jobs WHEN NEW.state != OLD.state
BEGIN
    INSERT INTO moves VALUES (
        OLD.state,
        NEW.state,
        EXISTS (SELECT 1 FROM main.switches WHERE name = 'paused')
        OR EXISTS (SELECT 1 FROM main.guilds WHERE guild_id = NEW.guild_id AND paused)
        OR EXISTS (
            SELECT 1 FROM main.blocks WHERE guild_id = NEW.guild_id AND user_id = NEW.user_id
                AND (until_ms IS NULL OR until_ms > NEW.submitted_at_ms)
        )
    );
END;
CREATE TEMP VIEW money AS {MONEY};
"""  # noqa: S608 - fixed text


class Turns:
    """How many turns of the loop each step at the edge takes: the seed is the interleaving."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chooses an interleaving

    async def take(self) -> None:
        for _ in range(self._random.randrange(3)):
            await asyncio.sleep(0)


class Disk:
    """The file under the store. Writing or reading it may fail, and the process may die right before or after a commit.

    A dead process does nothing more: whatever needs the store hangs, until the machine starts the next life.
    `good_writes` are left before the failing ones. `failures` counts what failed, and `failed_at` is when it did last.
    """

    def __init__(self, clock: FakeClock, turns: Turns) -> None:
        self._clock = clock
        self._turns = turns
        self.judge = Judge()
        self.good_writes = 0
        self.failing_writes = 0
        self.failing_reads = 0
        self.dies_in: int | None = None
        self.dies_committed = False
        self.is_dead = False
        self.failures = 0
        self.failed_at = -1.0
        self.db: sqlite3.Connection
        self.reading: sqlite3.Connection

    @property
    def is_faulty(self) -> bool:
        return bool(self.failing_writes or self.failing_reads)

    def heal(self) -> None:
        self.failing_writes = self.failing_reads = 0
        self.dies_in, self.is_dead = None, False

    def check_written(self, attempt: Attempt) -> JobState:
        """What leaves is written down, with its very bytes, and its price is set aside. Return the job's state."""
        sql = """
        SELECT jobs.*, price.held, price.is_open FROM jobs
        JOIN attempts USING (job_id) LEFT JOIN money AS price USING (job_id)
        WHERE job_id = ? AND number = ? AND idempotency_key = ? AND body = ?
        """
        row = self.db.execute(sql, (attempt.job_id, attempt.number, attempt.idempotency_key, attempt.body)).fetchone()
        assert row is not None, "sent before it was written"
        assert row["state"] in {"submitting", "unconfirmed"}, f"sent while {row['state']}"
        assert attempt.price_microusd == 0 or row["is_open"], "sent without a hold"
        assert attempt.price_microusd <= (row["held"] or 0), "sent at more than its hold"
        self.judge.check_submission(row, attempt.gateway, db=self.db, now=self._clock.now())
        return JobState(row["state"])

    @contextmanager
    def well(self) -> Iterator[None]:
        """Nothing fails while we look ourselves."""
        reads, self.failing_reads = self.failing_reads, 0
        try:
            yield
        finally:
            self.failing_reads = reads

    async def write(self, db: sqlite3.Connection) -> None:
        await self._come()
        if self.failing_writes and self.good_writes:
            self.good_writes -= 1
        elif self.failing_writes:
            self.failing_writes -= 1
            raise self._failure()
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dies_in, self.is_dead = None, True
        if not self.is_dead or self.dies_committed:
            self.judge.commits += 1
            db.commit()
        await self._come()

    async def read(self, db: sqlite3.Connection, sql: str, parameters: object) -> list[sqlite3.Row]:
        await self._come()
        if self.failing_reads:
            self.failing_reads -= 1
            raise self._failure()
        rows = db.execute(sql, parameters).fetchall()
        await self._come()
        return rows

    def _failure(self) -> sqlite3.Error:
        self.failures, self.failed_at = self.failures + 1, self._clock.monotonic()
        return sqlite3.OperationalError("disk I/O error")

    async def _come(self) -> None:
        await self._turns.take()
        if self.is_dead:
            await asyncio.Event().wait()

    @asynccontextmanager
    async def open_store(self, path: Path) -> AsyncIterator[JudgedStore]:
        """Open the real store with its real writer, without threads; leaving it writes nothing more."""
        prepare(path, busy_timeout_s=0)
        # Nothing here outlives the machine, so that nothing need be forced to the disk.
        with (
            closing(sqlite3.connect(path, isolation_level=None, factory=GroupCommit)) as db,
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reading,
        ):
            db.row_factory = reading.row_factory = sqlite3.Row
            db.executescript("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF;" + _WITNESS)
            self.db, self.reading = db, reading
            writer = Writer(_Inline(db, self), db, busy_timeout_s=0, observe=None)
            serving = asyncio.create_task(writer.serve())
            try:
                yield JudgedStore(writer, _Inline(reading, self), self.judge)
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


class _Inline:
    """aiosqlite's connection as the store uses it, in the loop's own thread."""

    def __init__(self, db: sqlite3.Connection, disk: Disk) -> None:
        self._db = db
        self._disk = disk

    async def commit(self) -> None:
        await self._disk.write(self._db)

    async def execute_fetchall(self, sql: str, parameters=()) -> list[sqlite3.Row]:
        return await self._disk.read(self._db, sql, parameters)


class Says(StrEnum):
    """How a gateway answers a paid POST."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    MISMATCH = "mismatch"
    BROKEN = "broken"


class Hangs(Enum):
    """Whether a POST hangs until it is let go, and on which side of the gateway's door."""

    NO = auto()
    BEFORE = auto()
    AFTER = auto()


class Broken(Exception):
    """An exception that no contract names."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What truly becomes of a gateway's job, `after_s` from its making.

    `bills_permille`: of its price, at first and in the end; None is a gateway that bills its price and never says so.
    `address_after_s`: how long it is finished before its video has an address.
    """

    ends: Progress = Progress.FINISHED
    after_s: float = 30.0
    address_after_s: float = 0.0
    refusal: Refusal = Refusal.OTHER
    refunded: bool = False
    bills_permille: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A gateway's answer to its next POST. `made`: whether it made a job where it did not say so."""

    says: Says = Says.ACCEPTED
    reason: Refusal = Refusal.OTHER
    retry_after_s: float | None = None
    made: bool = False
    hangs: Hangs = Hangs.NO
    fate: Fate = Fate()

    @property
    def makes_a_job(self) -> bool:
        return self.says is Says.ACCEPTED or (self.made and self.says is not Says.REFUSED)


@dataclass(slots=True)
class Work:
    """A gateway's own job: the truth. `shown_microusd` are the bills that were ever answered."""

    gateway_job_id: str
    job_id: str
    number: int
    price_microusd: int
    made_at: float
    fate: Fate
    fetched: bool = False
    shown_microusd: set[int] = field(default_factory=set)

    def progress(self, now: float) -> Progress:
        return self.fate.ends if now >= self.made_at + self.fate.after_s else Progress.RUNNING

    def has_address(self, now: float) -> bool:
        fate = self.fate
        return self.progress(now) is Progress.FINISHED and now >= self.made_at + fate.after_s + fate.address_after_s

    def bill_microusd(self, now: float) -> int:
        progress = self.progress(now)
        if progress is Progress.FAILED and self.fate.refunded:
            return 0
        if self.fate.bills_permille is None:
            return self.price_microusd
        first, last = self.fate.bills_permille
        return self.price_microusd * (first if progress is Progress.RUNNING else last) // 1_000

    def says_microusd(self, now: float) -> int | None:
        return None if self.fate.bills_permille is None else self._showing(self.bill_microusd(now))

    def _showing(self, microusd: int) -> int:
        self.shown_microusd.add(microusd)
        return microusd


class TrueGateway(FakeGateway):
    """A gateway with books: what it made stands in `works`, and what it answers comes from there.

    It lies in one way only: an answer may fail to come. With REPLAY a key makes one job, however often it is sent.
    `accepted` and `refused` is what this life of the process was told of its attempts.
    """

    def __init__(self, facts: Capabilities, clock: FakeClock, turns: Turns, disk: Disk, answers: deque[Answer]) -> None:
        super().__init__(facts)
        self._clock = clock
        self._disk = disk
        self._turns = turns
        self.works: dict[str, Work] = {}
        self._answers = answers
        self.read_faults: deque[Refusal] = deque()
        self.fetch_faults: deque[bool] = deque()
        self.under_way: set[str] = set()
        self.accepted: set[tuple[str, int]] = set()
        self.refused: set[tuple[str, int]] = set()
        self.gate.clear()

    @property
    def name(self) -> str:
        return self.capabilities.gateway

    def works_of(self, job_id: str) -> list[Work]:
        return [work for work in self.works.values() if work.job_id == job_id]

    async def submit(self, attempt: Attempt) -> Accepted:
        self.submitted.append(attempt)
        state = self._disk.check_written(attempt)
        self.under_way.add(attempt.job_id)
        try:
            accepted = await self._answer(attempt, self._answers.popleft() if self._answers else Answer())
        except SubmissionRefused:
            # Only the first POST can be refused for certain: what is sent again may have been taken before.
            self.refused |= {(attempt.job_id, attempt.number)} if state is JobState.SUBMITTING else set()
            raise
        finally:
            self.under_way.discard(attempt.job_id)
        self.accepted.add((attempt.job_id, attempt.number))
        return accepted

    async def _answer(self, attempt: Attempt, answer: Answer) -> Accepted:
        await self._turns.take()
        if answer.hangs is Hangs.BEFORE:
            await self.gate.wait()
        work = self._work(attempt, answer)
        if answer.hangs is Hangs.AFTER:
            await self.gate.wait()
        await self._turns.take()
        if answer.says is Says.BROKEN:
            raise Broken
        if answer.says is Says.REFUSED:
            raise SubmissionRefused(self.name, "refused", answer.reason, retry_after_s=answer.retry_after_s)
        if answer.says is not Says.ACCEPTED or work is None:
            mismatch = answer.says is Says.MISMATCH
            raise SubmissionUnconfirmed(self.name, "lost", retry_after_s=answer.retry_after_s, mismatch=mismatch)
        return Accepted(work.gateway_job_id, work.says_microusd(self._clock.monotonic()))

    def _work(self, attempt: Attempt, answer: Answer) -> Work | None:
        if self.capabilities.idempotency is Idempotency.REPLAY:
            for work in self.works.values():
                if (work.job_id, work.number) == (attempt.job_id, attempt.number):
                    return work
        if not answer.makes_a_job:
            return None
        gateway_job_id = f"{self.name}-{len(self.works) + 1}"
        now = self._clock.monotonic()
        made = Work(gateway_job_id, attempt.job_id, attempt.number, attempt.price_microusd, now, answer.fate)
        self.works[gateway_job_id] = made
        return made

    async def read(self, gateway_job_id: str) -> Reading:
        await self._turns.take()
        if self.read_faults:
            raise GatewayUnavailable(self.name, "not now", self.read_faults.popleft())
        if gateway_job_id not in self.works:
            raise GatewayUnavailable(self.name, "status 404")
        return self._reading(self.works[gateway_job_id])

    def _reading(self, work: Work) -> Reading:
        now = self._clock.monotonic()
        progress = work.progress(now)
        refunded = progress is Progress.FAILED and work.fate.refunded
        work.shown_microusd |= {0} if refunded else set()
        address = f"https://cdn.example/{work.gateway_job_id}/{int(now // 3_600)}.mp4"
        return Reading(
            progress,
            video_address=address if work.has_address(now) else None,
            video_until=self._clock.now() + timedelta(hours=1) if self.capabilities.callback_field else None,
            billed_microusd=work.says_microusd(now),
            refunded=refunded,
            refusal=work.fate.refusal,
        )

    async def fetch(self, address: str, target: Path) -> None:
        await self._turns.take()
        if self.fetch_faults:
            raise (VideoUnusable if self.fetch_faults.popleft() else GatewayUnavailable)(self.name, "not now")
        work = self.works[address.split("/")[3]]
        assert work.job_id == target.stem, "a job got another job's video"
        assert work.has_address(self._clock.monotonic())
        work.fetched = True

    def begin_life(self) -> None:
        """The process has forgotten what it was told."""
        self.accepted.clear()
        self.refused.clear()

    def behave(self) -> None:
        """No more faults."""
        self._answers.clear()
        self.read_faults.clear()
        self.fetch_faults.clear()
        self.gate.set()


@dataclass(frozen=True, slots=True)
class Silence:
    """A message whose answer is an error; `there`: it was posted all the same."""

    there: bool = False
    permanent: bool = False


class Channel(FakeMessenger):
    """Discord, as far as messages of jobs go: it counts each one that is truly there.

    `refused`: jobs of which a message was refused for good, or failed when telling is given up. `deleted`: jobs whose
    video somebody has deleted from the channel, and that was not posted again.
    """

    def __init__(self, clock: FakeClock, turns: Turns) -> None:
        super().__init__()
        self._clock = clock
        self._turns = turns
        self.faults: defaultdict[str, deque[Silence]] = defaultdict(deque)
        self.posted: Counter[tuple[str, str]] = Counter()
        self.shown: dict[str, str] = {}
        self.refused: set[str] = set()
        self.deleted: set[str] = set()
        self._messages: dict[tuple[str, str], MessageRef] = {}

    async def _answer(self, call: str, view: CardView, *, look_first: bool) -> MessageRef:
        await self._turns.take()
        fault = self.faults[call].popleft() if self.faults[call] else None
        refused = fault is not None and not fault.there
        # An explanation is found again by what it says.
        key = (f"explain {view.job.face}" if call == "explain" else call, view.job.job_id)
        if not refused and not (look_first and key in self._messages):
            self.posted[key] += 1
            self.deleted -= {view.job.job_id} if call == "post_video" else set()
            self._messages[key] = MessageRef(view.job.channel_id, sum(self.posted.values()))
        await self._turns.take()
        if fault is not None:
            waited_s = (self._clock.now() - view.job.since_at).total_seconds()
            if fault.permanent or waited_s >= DELIVERY_GIVEN_UP_AFTER_S:
                self.refused.add(view.job.job_id)
            raise DeliveryFailed("no answer", permanent=fault.permanent)
        return self._messages[key]

    def delete_video(self, job_id: str) -> None:
        """Somebody deletes the message; `posted` counts what is there."""
        key = ("post_video", job_id)
        if self._messages.pop(key, None) is not None:
            self.posted[key] = 0
            self.deleted.add(job_id)

    async def knock(self, *, user_id: int, prompt: str, key: str) -> MessageRef:
        if self.faults["knock"]:
            raise (
                DirectMessagesClosed
                if self.faults["knock"].popleft().permanent
                else DeliveryFailed("", permanent=False)
            )
        return await super().knock(user_id=user_id, prompt=prompt, key=key)

    async def post_card(self, view: CardView, *, look_first: bool) -> MessageRef:
        return await self._answer("post_card", view, look_first=look_first)

    async def find_card(self, view: CardView) -> MessageRef | None:
        return self._messages.get(("post_card", view.job.job_id))

    async def edit_card(self, view: CardView) -> None:
        await self._answer("edit_card", view, look_first=True)
        self.shown[view.job.job_id] = view.job.face.value

    async def explain(self, view: CardView, *, look_first: bool) -> MessageRef:
        message = await self._answer("explain", view, look_first=look_first)
        self.shown[view.job.job_id] = view.job.face.value
        return message

    async def post_video(self, view: CardView, *, look_first: bool) -> MessageRef:
        return await self._answer("post_video", view, look_first=look_first)

    def behave(self) -> None:
        """No more faults."""
        self.faults.clear()
        self.reachable = True
