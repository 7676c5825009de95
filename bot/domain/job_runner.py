"""Carries every unfinished job to its end: decides what is next for whom. It is the restart path too."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

from bot.domain.breakers import Breakers
from bot.domain.confirming import Confirmer
from bot.domain.errors import InvariantBroken, StartFailed, StoreFailed
from bot.domain.job import FINAL_STATES, Delivery, Job, JobState, LineEntry
from bot.domain.line import next_to_submit, order_of_line
from bot.domain.ports import Clock, Gateway
from bot.domain.quota import Caps
from bot.domain.request_pace import RequestPace
from bot.domain.store import Store
from bot.domain.submitting import Submitter
from bot.domain.telling import Teller, is_told
from bot.domain.watch_times import WatchTimes
from bot.domain.watching import Watcher, is_late

log = logging.getLogger(__name__)

_IDLE_S = 30.0
_PAUSED_S = 5.0
_REST_S = 5.0
_SHUTDOWN_S = 60.0
_STEPS_MAX = 64
_PLACE_SHOWN_MAX = 3
_PLACE_SHOWN_EVERY_S = 30.0
# Smaller steps back are corrections of a clock, which only delay what is due by as much.
_CLOCK_BACK_S = 2.0


class JobRunner:
    """One scheduler for all jobs: rows are the clock, an event the alarm. A job has at most one step at a time."""

    def __init__(
        self,
        *,
        store: Store,
        gateways: Mapping[str, Gateway],
        paces: Mapping[str, RequestPace],
        breakers: Breakers,
        submitter: Submitter,
        watcher: Watcher,
        confirmer: Confirmer,
        teller: Teller,
        caps: Caps,
        times: WatchTimes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._paces = paces
        self._breakers = breakers
        self._submitter = submitter
        self._watcher = watcher
        self._confirmer = confirmer
        self._teller = teller
        self._caps = caps
        self._times = times
        self._clock = clock
        self._alarm = asyncio.Event()
        self._stopping = False
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._slow: set[str] = set()
        self._edits: dict[str, asyncio.Task[None]] = {}
        self._stale_cards: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()
        # Until when: jobs whose step failed, and held ones that only must not be submitted yet.
        self._resting: dict[str, float] = {}
        self._waiting: dict[str, float] = {}
        self._cards: dict[str, asyncio.Event] = {}
        self._places_at: dict[str, float] = {}
        self._clock_ahead_s = clock.now().timestamp() - clock.monotonic()

    def wake(self) -> None:
        """Look at the jobs now; something has changed."""
        self._alarm.set()

    def stop(self) -> None:
        """Send nothing more; `run` returns once submissions under way have answered, 60 s at most."""
        self._stopping = True
        self._alarm.set()

    async def card_posted(self, job_id: str, *, timeout_s: float) -> Job | None:
        """Wait until the job has a card or has ended; None when neither came in time."""
        ends_at = self._clock.monotonic() + timeout_s
        while True:
            event = self._cards.setdefault(job_id, asyncio.Event())
            job = await self._store.job(job_id)
            if job is None or job.card is not None or job.state in FINAL_STATES:
                return job
            left_s = ends_at - self._clock.monotonic()
            if left_s <= 0:
                self._cards.pop(job_id, None)
                return None
            await self._clock.wait(event, left_s)

    async def run(self) -> None:
        """Carry jobs on until `stop`. Cancelled, it leaves every job as it is written; the next start goes on."""
        try:
            moved = await self._store.recover(self._clock.now())
        except StoreFailed as error:
            raise StartFailed("The database cannot be written: check the disk behind DATABASE_URL.", 1) from error
        if moved:
            log.error("jobs were being submitted when the bot ended; they are unconfirmed now count=%d", moved)
        async with asyncio.TaskGroup() as steps:
            while not self._stopping:
                self._alarm.clear()
                try:
                    wait_s = await self._round(steps)
                except Exception:
                    # Nothing that goes wrong here may end submissions under way: their answers cost money.
                    log.exception("jobs could not be looked at; trying again")
                    wait_s = _REST_S
                await self._clock.wait(self._alarm, wait_s)
            await self._settle_down()

    async def _settle_down(self) -> None:
        for task in {*self._busy.values(), *self._edits.values()} - self._sending:
            task.cancel()
        if self._sending:
            log.info("waiting for submissions under way count=%d", len(self._sending))
            await asyncio.wait(self._sending, timeout=_SHUTDOWN_S)
        for task in self._sending:
            task.cancel()

    async def _round(self, steps: asyncio.TaskGroup) -> float:
        """Start everything that is due; return for how long nothing else will be."""
        now, elapsed_s = self._clock.now(), self._clock.monotonic()
        await self._mind_the_clock(now, elapsed_s)
        for rests in (self._resting, self._waiting):
            for job_id in [job_id for job_id, until in rests.items() if until <= elapsed_s]:
                del rests[job_id]
        submit_wait_s = await self._start_submissions(steps)
        await self._start_due(steps, now)
        read_wait_s = await self._start_reads(steps, now)
        next_at = await self._store.next_due_at(after=now)
        due_wait_s = (next_at - now).total_seconds() if next_at else _IDLE_S
        untils = (*self._resting.values(), *self._waiting.values())
        rest_wait_s = min(untils, default=elapsed_s + _IDLE_S) - elapsed_s
        return max(0.0, min(submit_wait_s, due_wait_s, read_wait_s, rest_wait_s, _IDLE_S))

    async def _mind_the_clock(self, now: datetime, elapsed_s: float) -> None:
        """Rows are the clock: where it was set back, nothing may wait for its time to come a second time."""
        ahead_s = now.timestamp() - elapsed_s
        if ahead_s < self._clock_ahead_s - _CLOCK_BACK_S:
            log.warning("clock was set back, everything is due seconds=%d", self._clock_ahead_s - ahead_s)
            await self._store.bring_forward(now)
        self._clock_ahead_s = ahead_s

    async def _start_due(self, steps: asyncio.TaskGroup, now: datetime) -> None:
        """Start what is due; downloads and deliveries, which may take long, do not keep new jobs from their cards."""
        # What cannot be started now may stand first in the rows, and must not hide what can.
        limit = _STEPS_MAX * 2 + len(self._busy) + len(self._resting)
        for held in (True, False):
            for job in await self._store.due(now, held=held, limit=limit):
                if (held or len(self._slow) < _STEPS_MAX) and self._is_free(job.job_id):
                    self._start(steps, job.job_id, partial(self._step, steps, job.job_id))
                    if not held:
                        self._slow.add(job.job_id)

    async def _start_reads(self, steps: asyncio.TaskGroup, now: datetime) -> float:
        """Start the reads that are due and within each gateway's limit; return when the next one is within it."""
        wait_s = _IDLE_S
        for gateway, pace in self._paces.items():
            free = pace.free()
            due = await self._store.due_reads(now, gateway=gateway, limit=free + _STEPS_MAX)
            waiting = [job for job in due if self._is_free(job.job_id)]
            for job in waiting[:free]:
                pace.take()
                self._start(steps, job.job_id, partial(self._watch, steps, job.job_id))
            if len(waiting) > free:
                wait_s = min(wait_s, pace.free_in_s())
        return wait_s

    async def _start_submissions(self, steps: asyncio.TaskGroup) -> float:
        """Start what is next in line; return when to look again although nothing has changed."""
        line = await self._store.line(self._clock.now())
        if not line:
            self._places_at.clear()
            return _IDLE_S
        if await self._store.paused():
            return _PAUSED_S
        overdue_before = self._clock.now() - timedelta(seconds=self._times.overdue_after_s)
        running = await self._store.running(overdue_before=overdue_before)
        wait_s = _IDLE_S
        free = [entry for entry in line if self._is_free(entry.job_id) and entry.job_id not in self._waiting]
        # A job whose submission is being prepared is still held, but already takes its place among the running.
        preparing = [entry for entry in line if entry.ready and entry.job_id in self._busy]
        for entry in next_to_submit(free, running.joined_by(preparing), self._caps):
            pace, rest_s = self._paces[entry.gateway], self._breakers.wait_s(entry.gateway)
            if rest_s and entry.pinned and not self._breakers.is_out(entry.gateway):
                wait_s = min(wait_s, rest_s)
            elif rest_s or pace.take():
                # A gateway at rest is sent nothing: the job moves elsewhere, ends or waits, which takes no request.
                counted = None if rest_s else pace
                self._start(steps, entry.job_id, partial(self._submit, steps, entry.job_id, counted))
            else:
                wait_s = min(wait_s, pace.free_in_s())
        for gateway in self._gateways:
            order = order_of_line([entry for entry in line if entry.gateway == gateway], running)
            self._show_places(steps, order)
        return wait_s

    def _show_places(self, steps: asyncio.TaskGroup, order: list[LineEntry]) -> None:
        """Edit the cards of the first three in line where the place has changed, at most every 30 s each."""
        now = self._clock.monotonic()
        for place, entry in enumerate(order[:_PLACE_SHOWN_MAX], start=1):
            shown = self._teller.place_shown(entry.job_id)
            since_s = now - self._places_at.setdefault(entry.job_id, now)
            if entry.ready and shown != place and since_s >= _PLACE_SHOWN_EVERY_S:
                self._places_at[entry.job_id] = now
                self._refresh_card(steps, entry.job_id)

    def _refresh_card(self, steps: asyncio.TaskGroup, job_id: str) -> None:
        """Edit a card beside the job's own steps: Discord may let an edit wait for seconds, and the job goes on."""
        if job_id in self._edits:
            self._stale_cards.add(job_id)
        elif not self._stopping:
            self._edits[job_id] = steps.create_task(self._edit(job_id), name=f"card {job_id}")

    async def _edit(self, job_id: str) -> None:
        """Show the job's face, and again if it changed while Discord let the edit wait."""
        try:
            stale = True
            while stale:
                self._stale_cards.discard(job_id)
                await self._teller.refresh_card(job_id)
                stale = job_id in self._stale_cards and await self._is_stale(job_id)
        except Exception:
            # A card is no reason to stop a job, let alone the others.
            log.exception("card not refreshed job_id=%s", job_id)
        finally:
            self._stale_cards.discard(job_id)
            self._edits.pop(job_id, None)

    async def _is_stale(self, job_id: str) -> bool:
        job = await self._store.job(job_id)
        return job is not None and self._teller.is_stale(job)

    async def _edited(self, job_id: str) -> None:
        """Wait for an edit under way, so that it cannot overtake the one that follows."""
        if job_id in self._edits:
            await asyncio.wait({self._edits[job_id]})

    def _is_free(self, job_id: str) -> bool:
        return job_id not in self._busy and job_id not in self._resting

    def _start(self, steps: asyncio.TaskGroup, job_id: str, step: Callable[[], Awaitable[None]]) -> None:
        task = steps.create_task(self._guarded(job_id, step), name=f"step {job_id}")
        self._busy[job_id] = task

    async def _guarded(self, job_id: str, step: Callable[[], Awaitable[None]]) -> None:
        """Run one step; whatever it raises, the job is looked at again and the others go on."""
        try:
            await step()
        except Exception:
            log.exception("step failed, the job rests job_id=%s", job_id)
            self._resting[job_id] = self._clock.monotonic() + _REST_S
        finally:
            self._busy.pop(job_id, None)
            self._slow.discard(job_id)
            self.wake()

    async def _step(self, steps: asyncio.TaskGroup, job_id: str) -> None:
        """Do what is due for a job that is not running. It is read anew: a step before may have moved it."""
        job = await self._store.job(job_id)
        if job is None:
            return
        if job.state is JobState.HELD:
            if await self._teller.open_card(job):
                self._note_card(job_id)
        elif job.state is JobState.SUBMITTING:
            log.error("a submitting job has no sender, it is unconfirmed job_id=%s", job_id)
            await self._submitter.leave_unconfirmed(job)
        elif job.state is JobState.UNCONFIRMED:
            await self._wait_for_confirmation(steps, job)
        elif job.state is JobState.FINISHED:
            await self._watcher.collect(job)
            stored = await self._store.job(job_id)
            if stored is not None and stored.delivery is Delivery.DUE:
                await self._finish_telling(stored)
        elif job.state in FINAL_STATES:
            await self._finish_telling(job)

    async def _watch(self, steps: asyncio.TaskGroup, job_id: str) -> None:
        job = await self._store.job(job_id)
        if job is None or job.state is not JobState.RUNNING:
            return
        await self._watcher.watch(job)
        watched = await self._store.job(job_id)
        if watched is not None and watched.state is JobState.RUNNING and self._teller.is_stale(watched):
            self._refresh_card(steps, job_id)

    async def _submit(self, steps: asyncio.TaskGroup, job_id: str, counted: RequestPace | None) -> None:
        """Send a held job. Its request was `counted`, and is given back where nothing is sent."""
        sent = False
        try:
            job = await self._store.job(job_id)
            if job is None or job.state is not JobState.HELD or self._stopping:
                return
            prepared = await self._submitter.prepare(job)
            if isinstance(prepared, float):
                self._waiting[job_id] = self._clock.monotonic() + prepared
                return
            if self._stopping or counted is None:
                return
            with self._awaited_at_stop():
                sent = await self._submitter.begin(prepared)
                if not sent:
                    return
                await self._submitter.send(job, prepared)
        finally:
            if counted is not None and not sent:
                counted.give_back()
        self._refresh_card(steps, job_id)

    @contextmanager
    def _awaited_at_stop(self) -> Iterator[None]:
        """Mark the step that runs as one whose request costs money: a stop waits for its answer."""
        task = asyncio.current_task()
        if task is None:
            raise InvariantBroken("a step runs outside a task")
        self._sending.add(task)
        try:
            yield
        finally:
            self._sending.discard(task)

    async def _wait_for_confirmation(self, steps: asyncio.TaskGroup, job: Job) -> None:
        """Find out whether the gateway has the job, and see that its card says what is known."""
        show_at = self._teller.shows_soon(job)
        if show_at is not None:
            self._refresh_card(steps, job.job_id)
        with self._awaited_at_stop():
            next_at = await self._confirmer.confirm(job, may_send=not self._stopping)
        if next_at is not None:
            next_at = min(next_at, show_at or next_at)
            await self._store.schedule(job.job_id, state=JobState.UNCONFIRMED, next_at=next_at)

    async def _finish_telling(self, job: Job) -> None:
        """Deliver what is due, then bring the card to its last face; a lost job is still looked at now and then."""
        self._places_at.pop(job.job_id, None)
        self._note_card(job.job_id)
        if job.delivery is Delivery.DUE:
            await self._teller.deliver(job)
            delivered = await self._store.job(job.job_id)
            if delivered is None or delivered.delivery is Delivery.DUE:
                return
            job = delivered
        await self._edited(job.job_id)
        if not is_told(job) and not await self._teller.show_end(job):
            return
        if is_late(job):
            await self._watcher.look_late(job)
        else:
            await self._store.schedule(job.job_id, state=job.state, next_at=None)

    def _note_card(self, job_id: str) -> None:
        event = self._cards.pop(job_id, None)
        if event is not None:
            event.set()
