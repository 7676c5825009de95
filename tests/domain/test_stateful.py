"""The stateful proof: whatever happens, in whatever order, the books of people, gateways and the bot agree."""

import sqlite3
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from bot.domain.errors import Refusal, UploadFailed
from bot.domain.guild import Act
from bot.domain.pricing import PriceRow
from bot.domain.request import Resolution
from tests.domain.stateful_books import Books
from tests.domain.stateful_edges import Silence
from tests.domain.stateful_machine import PICKS, RUSHES, START_S, Spending, after_an_ask
from tests.domain.stateful_managers import MANAGER, PEOPLE, Managers
from tests.domain.world import OPERATOR

# How long a process is down.
DOWNS = st.sampled_from([START_S, START_S, 30.0, 4_000.0])
PAID = st.sampled_from(["hiapi", "shortapi"])


class Bot(Spending):
    """The same, with everything that can happen to a bot besides."""

    def _named(self, attempt: sqlite3.Row, names: str) -> str | None:
        """Return the id a callback or an operator names: the true one where there is one."""
        if names == "right":
            work = self.truth.work_of(attempt)
            return work.gateway_job_id if work else "nonsense"
        if names == "another job's":
            sql = "SELECT gateway_job_id FROM attempts WHERE gateway = ? AND job_id != ? AND gateway_job_id IS NOT NULL"
            row = self.disk.db.execute(sql, (attempt["gateway"], attempt["job_id"])).fetchone()
            return row[0] if row else "nonsense"
        return "nonsense" if names == "nonsense" else None

    # What people and managers do besides.

    @after_an_ask(user_id=st.sampled_from(PEOPLE), rush_s=RUSHES)
    def forget(self, user_id: int, rush_s: float) -> None:
        self._run(self._do(self.world.privacy.delete(user_id), rush_s=rush_s))

    @after_an_ask(pick=PICKS, is_gone=st.booleans(), times=st.sampled_from([1, 1, 2]), rush_s=RUSHES)
    def deliver_again(self, pick: int, is_gone: bool, times: int, rush_s: float) -> None:
        if (job := self._row(pick)) is not None:
            if is_gone:
                self.channel.delete_video(job["job_id"])
            act = Managers(self.world, job["guild_id"] or 7, MANAGER).act
            self._run(self._do(*(self._deliver_again(job["job_id"], act) for _ in range(times)), rush_s=rush_s))

    async def _deliver_again(self, job_id: str, act: Act) -> None:
        await self.world.store.deliver_again(job_id, act=act)
        self.world.runner.wake()

    # What operators do.

    @after_an_ask(paused=st.sampled_from([False, False, False, True]), rush_s=RUSHES)
    def pause(self, paused: bool, rush_s: float) -> None:
        self._run(self._do(self.world.store.set_paused(paused), rush_s=rush_s))

    @after_an_ask(pick=PICKS, rush_s=RUSHES)
    def close_as_lost(self, pick: int, rush_s: float) -> None:
        if (job := self._row(pick)) is not None:
            self.truth.closed.add(job["job_id"])
            self._run(self._do(self.world.operating.close_as_lost(job["job_id"], actor_id=OPERATOR), rush_s=rush_s))

    @after_an_ask(pick=PICKS, names=st.sampled_from(["right", "right", "another job's", "nonsense"]), rush_s=RUSHES)
    def bind(self, pick: int, names: str, rush_s: float) -> None:
        job = self._row(pick)
        if job is not None and (attempts := Books(self.disk.db).attempts_of(job["job_id"])):
            name = self._named(attempts[-1], names)
            self._run(self._do(self.world.operating.bind(job["job_id"], name, actor_id=OPERATOR), rush_s=rush_s))

    @after_an_ask(name=PAID, second_microusd=st.sampled_from([100_000, 120_000, 129_000, 140_000]))
    def correct_a_price(self, name: str, second_microusd: int) -> None:
        facts = self.gateways[name].capabilities
        prices = {**facts.prices, Resolution.P720: PriceRow(second_microusd=second_microusd)}
        self.gateways[name].capabilities = replace(facts, prices=prices)

    @after_an_ask()
    def erase(self) -> None:
        self._run(self._do(self.world.upkeep.forget(), self.world.upkeep.purge()))

    # What gateways, Discord, the disk and the clock do.

    @after_an_ask(
        pick=PICKS,
        back=st.sampled_from([0, 0, 1]),
        names=st.sampled_from(["right", "right", "another job's", "nonsense", "nothing"]),
        times=st.sampled_from([1, 1, 2]),
        rush_s=RUSHES,
    )
    def call_back(self, pick: int, back: int, names: str, times: int, rush_s: float) -> None:
        job = self._row(pick)
        if job is not None and (attempts := Books(self.disk.db).attempts_of(job["job_id"])):
            attempt = attempts[-1 - back % len(attempts)]
            self._run(self._do(*(self._hint(attempt, names) for _ in range(times)), rush_s=rush_s))

    async def _hint(self, attempt: sqlite3.Row, names: str) -> None:
        named = self._named(attempt, names)
        await self.world.store.hint(
            attempt["job_id"], number=attempt["number"], gateway_job_id=named, now=self.clock.now()
        )
        self.world.runner.wake()

    @after_an_ask(
        name=PAID, reads=st.lists(st.sampled_from(Refusal), max_size=6), fetches=st.lists(st.booleans(), max_size=3)
    )
    def fail_reads(self, name: str, reads: list[Refusal], fetches: list[bool]) -> None:
        self.gateways[name].read_faults.extend(reads)
        self.gateways[name].fetch_faults.extend(fetches)

    @after_an_ask()
    def let_posts_go(self) -> None:
        self._open_gates()
        self._run(self._do())
        for gateway in self.gateways.values():
            gateway.gate.clear()

    def _open_gates(self) -> None:
        for gateway in self.gateways.values():
            gateway.gate.set()

    @after_an_ask(
        call=st.sampled_from(["post_card", "edit_card", "explain", "post_video", "post_video", "knock"]),
        silences=st.lists(
            st.sampled_from([*[Silence(), Silence(there=True)] * 3, Silence(permanent=True)]), min_size=1, max_size=3
        ),
    )
    def lose_messages(self, call: str, silences: list[Silence]) -> None:
        self.channel.faults[call].extend(silences)

    @after_an_ask(
        reachable=st.sampled_from([True, True, False]),
        full=st.sampled_from([False, False, True]),
        uploads=st.lists(st.booleans(), max_size=2),
    )
    def trouble(self, reachable: bool, full: bool, uploads: list[bool]) -> None:
        self.channel.reachable = reachable
        self.world.library.free = 10**6 if full else 10**12
        self.world.hosting.script.extend(UploadFailed("no", permanent=permanent) for permanent in uploads)

    @after_an_ask(good=st.integers(0, 10), writes=st.integers(0, 3), reads=st.sampled_from([0, 0, 1, 2]))
    def fail_the_disk(self, good: int, writes: int, reads: int) -> None:
        self.disk.good_writes, self.disk.failing_writes, self.disk.failing_reads = good, writes, reads

    @after_an_ask(rush_s=RUSHES)
    def set_the_clock_back(self, rush_s: float) -> None:
        self.clock.set_back(3_600)
        self._run(self._do(rush_s=rush_s))

    # How the process ends.

    @after_an_ask(down_s=DOWNS, set_back=st.booleans())
    def crash(self, down_s: float, set_back: bool) -> None:
        """Kill it where it is."""
        self._down_s, self._set_back = down_s, set_back
        self._run(self._begin_life())

    @after_an_ask(commits=st.integers(0, 12), committed=st.booleans(), down_s=DOWNS, set_back=st.booleans())
    def crash_soon(self, commits: int, committed: bool, down_s: float, set_back: bool) -> None:
        """Kill it at one of its next commits, right before or right after."""
        self.disk.dies_in, self.disk.dies_committed = commits, committed
        self._down_s, self._set_back = down_s, set_back

    @after_an_ask()
    def stop(self) -> None:
        self._run(self._stop())

    async def _stop(self) -> None:
        """Stop as on SIGTERM: submissions under way are awaited, none is begun."""
        life, sent = self.world, sum(len(gateway.submitted) for gateway in self.gateways.values())
        life.runner.stop()
        self._open_gates()
        for _ in range(10):
            await self._do(rush_s=1.0)
            if life is not self.world or life._running.done():
                break
        for gateway in self.gateways.values():
            gateway.gate.clear()
        if life is self.world:
            assert life._running.done(), "it does not stop"
            assert sum(len(gateway.submitted) for gateway in self.gateways.values()) == sent
            await self._begin_life()


_COMMON = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_in_no_order_of_decisions_is_anybody_above_a_limit():
    run_state_machine_as_test(
        Spending, settings=settings(_COMMON, max_examples=6, stateful_step_count=25, derandomize=True)
    )


def test_in_no_order_of_events_is_anything_lost_or_paid_twice():
    run_state_machine_as_test(
        Bot, settings=settings(_COMMON, max_examples=28, stateful_step_count=25, derandomize=True)
    )


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_in_no_long_order_of_events_is_anything_lost_or_paid_twice():
    run_state_machine_as_test(
        Bot, settings=settings(_COMMON, max_examples=100, stateful_step_count=50, derandomize=True)
    )


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_in_no_long_order_of_decisions_is_anybody_above_a_limit():
    run_state_machine_as_test(
        Spending, settings=settings(_COMMON, max_examples=80, stateful_step_count=50, derandomize=True)
    )
