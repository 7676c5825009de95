"""What must hold whatever happens: sums of our own over the database's rows, against what gateways and people saw."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.domain.job import FINAL_STATES, MOVES, JobState
from bot.domain.ports import Progress
from bot.domain.quota import Limits, Spender
from bot.domain.store import Store
from tests.domain.stateful_edges import Channel, TrueGateway, Work
from tests.domain.stateful_judge import Judge
from tests.domain.stateful_quotas import Moment, Stand
from tests.domain.world import OPERATOR
from tests.fakes import FakeClock

_TASK_LIFE_MS = 86_400_000
_FINAL = {state.value for state in FINAL_STATES}


@dataclass(frozen=True, slots=True)
class Truth:
    """What the world outside saw. `closed`: jobs that an operator asked to be closed as lost."""

    gateways: Mapping[str, TrueGateway]
    channel: Channel
    clock: FakeClock
    closed: set[str] = field(default_factory=set)

    def works(self) -> list[Work]:
        return [work for gateway in self.gateways.values() for work in gateway.works.values()]

    def work_of(self, attempt: sqlite3.Row) -> Work | None:
        works = self.gateways[attempt["gateway"]].works_of(attempt["job_id"])
        return next((work for work in works if work.number == attempt["number"]), None)


class Books:
    """The rows of one moment, read past the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.jobs = {row["job_id"]: row for row in db.execute("SELECT * FROM jobs ORDER BY rowid")}
        self.entries = {tuple(row) for row in db.execute("SELECT * FROM ledger")}
        self.moment = Moment(db)
        self.money = {row["job_id"]: row for row in self.moment.money}
        self.attempts = db.execute("SELECT * FROM attempts ORDER BY job_id, number").fetchall()
        self._committed = db.execute("SELECT * FROM committed").fetchall()
        self._used = db.execute("SELECT * FROM used").fetchall()
        self._moves = db.execute("SELECT * FROM moves").fetchall()

    def attempts_of(self, job_id: str) -> list[sqlite3.Row]:
        return [attempt for attempt in self.attempts if attempt["job_id"] == job_id]

    def check(self, *, limits: Limits, truth: Truth, judge: Judge, before: "Books | None") -> None:
        self._check_moves(before)
        for job_id in self.jobs:
            self._check_hold(job_id)
            self._check_attempts(job_id, truth)
        entries_in_money = sum(
            row[kind] is not None for row in self.money.values() for kind in ("held", "settled", "released", "refunded")
        )
        assert len(self.entries) == entries_in_money, "an entry without its hold"
        self._check_limits(limits)
        kept = {(s, i, w): [used, on_hold] for s, i, w, used, on_hold in self._committed if used or on_hold}
        assert kept == {key: sums for key, sums in self.moment.committed.items() if any(sums)}
        judge.check_used(self.moment, self._used)
        judge.check_grants(self.moment)
        for (call, job_id), count in truth.channel.posted.items():
            deleted = call == "post_video" and job_id in truth.channel.deleted
            assert call == "edit_card" or count == (not deleted), f"{call} {count} times for {job_id}"

    def _check_moves(self, before: "Books | None") -> None:
        for was, became, is_paused in self._moves:
            assert JobState(became) in MOVES[JobState(was)], f"{was} -> {became}"
            assert became != "submitting" or not is_paused, "submitted while paused or blocked"
        if before is None:
            return
        assert before.entries <= self.entries, "the ledger is append-only"
        for job_id, job in before.jobs.items():
            if job["state"] in _FINAL:
                now = self.jobs[job_id]
                assert now["state"] == job["state"], "a final state changed"
                assert now["ending"] == job["ending"]

    def _check_hold(self, job_id: str) -> None:
        """A priced job has one hold of its price; final, it has one resolution, and open none."""
        job, money = self.jobs[job_id], self.money.get(job_id)
        if money is None:
            assert job["price_microusd"] == 0, "a priced job without a hold"
            return
        held, settled, released, refunded = (money[name] for name in ("held", "settled", "released", "refunded"))
        assert held == job["price_microusd"] > 0
        if job["state"] == "stored":
            assert released is None
            assert 0 < settled <= held
            assert refunded is None or 0 < refunded <= settled
            assert refunded is None or money["by_operator"] == (money["refunded_by"] == OPERATOR)
            return
        assert settled is None, f"{job['state']} and settled"
        assert refunded is None, f"{job['state']} and refunded"
        assert released == (held if job["state"] in _FINAL else None), f"{job['state']} and released {released}"

    def _check_attempts(self, job_id: str, truth: Truth) -> None:
        """At most one gateway job for each job, and people pay only for videos that exist."""
        job, attempts = self.jobs[job_id], self.attempts_of(job_id)
        works = [work for gateway in truth.gateways.values() for work in gateway.works_of(job_id)]
        assert len(works) <= 1, f"{job_id} was bought {len(works)} times"
        for attempt in attempts:
            assert attempt["price_microusd"] <= job["price_microusd"]
            assert not job["pinned"] or attempt["gateway"] == job["gateway"], "a pinned job left its gateway"
            work = truth.work_of(attempt)
            if attempt["gateway_job_id"] is not None:
                assert work is not None
                assert attempt["gateway_job_id"] == work.gateway_job_id
        if job["state"] == "stored" or job["delivery"] != "none":
            assert works, "a video of nobody's making"
            assert works[0].fetched
        if job["state"] == "stored" and job["price_microusd"]:
            price, billed = attempts[-1]["price_microusd"], attempts[-1]["billed_microusd"]
            assert self.money[job_id]["settled"] == (min(price, billed) if billed else price)
        if job["state"] in {"failed", "cancelled"}:
            # Only its gateway's own word ends a job that its gateway has.
            ended = {"gateway_failed": Progress.FAILED, "no_video": Progress.FINISHED}.get(job["ending"])
            assert [work.progress(truth.clock.monotonic()) for work in works] == ([ended] if ended else [])
        if job["state"] == "lost" and job_id not in truth.closed:
            assert job["since_at_ms"] >= attempts[-1]["submitted_at_ms"] + _TASK_LIFE_MS, "lost before its time"

    def check_written(self, truth: Truth) -> None:
        """Nothing waits for the disk: what gateways have answered since the process began is written down."""
        gateways = truth.gateways.values()
        for attempt in self.attempts:
            job = self.jobs[attempt["job_id"]]
            key = (attempt["job_id"], attempt["number"])
            under_way = any(attempt["job_id"] in gateway.under_way for gateway in gateways)
            assert job["state"] != "submitting" or under_way, "submitting, and nobody sends it"
            accepted = any(key in gateway.accepted for gateway in gateways)
            assert attempt["gateway_job_id"] or not accepted, "accepted, and the id was not kept"
            refused = any(key in gateway.refused for gateway in gateways) and attempt["hinted_at_ms"] is None
            if refused and attempt["number"] == job["attempt_count"]:
                assert job["state"] not in {"unconfirmed", "lost"}, f"refused, and {job['state']}"

    def _check_limits(self, limits: Limits) -> None:
        """Nothing that comes after a hold raises what people and guilds have used of the operator's ceilings.

        The bot's month counts what was billed for its resolved jobs, and all open holds. When a hold is made that is
        within the limit, exactly. Later a bill may be above its hold (the price is then out of use): so much may be
        over, and no more. Open holds of another month count when a hold is made, not for a month that is past.
        """
        tops = {
            "user_day": limits.user_day_microusd,
            "user_month": limits.user_month_microusd,
            "guild_month": limits.guild_month_microusd,
            "bot_month": limits.bot_month_microusd,
        }
        used: Counter[tuple[object, ...]] = Counter()
        for job_id, row in self.money.items():
            used["user_day", row["user_id"], row["day"]] += row["spent"]
            used["user_month", row["user_id"], row["month"]] += row["spent"]
            if row["guild_id"] is not None:
                used["guild_month", row["guild_id"], row["month"]] += row["spent"]
            billed = sum(attempt["billed_microusd"] or 0 for attempt in self.attempts_of(job_id))
            used["bot_month", row["month"]] += row["held"] if row["is_open"] else min(billed, row["held"])
        for key, microusd in used.items():
            top = tops[str(key[0])]
            assert top is None or microusd <= top, f"{key}: {microusd} of {top}"

    def paid_by_month(self) -> Counter[str]:
        """What people paid: settled less refunded."""
        paid: Counter[str] = Counter()
        for row in self.money.values():
            paid[row["month"]] += 0 if row["is_open"] else row["used"]
        return paid

    async def check_store(self, store: Store, *, limits: Limits, spenders: Iterable[Spender], clock: FakeClock) -> None:
        """What the store says of itself is what the rows sum up to."""
        now = clock.now()
        counts = await store.counts()
        states = Counter((JobState(job["state"]), job["gateway"]) for job in self.jobs.values())
        assert dict(counts.jobs) == dict(states)
        on_hold = [row["held"] for row in self.money.values() if row["is_open"]]
        assert (counts.holds, counts.on_hold_microusd) == (len(on_hold), sum(on_hold))
        for spender in spenders:
            standings = [Stand.of(each) for each in await store.standings(spender, limits=limits, now=now)]
            assert Counter(standings) == Counter(self.moment.stands(spender, limits, now))
        for book in await store.books():
            money = self.money.get(book.job_id)
            figures = (book.held_microusd, book.settled_microusd, book.released_microusd, book.refunded_microusd)
            names = ("held", "settled", "released", "refunded")
            assert figures == tuple(money[name] or 0 if money else 0 for name in names)
        paid = self.paid_by_month()
        for month, billed in self.moment.billed_by_month().items():
            assert await store.loss_microusd(month=month) == billed - paid[month]

    def check_end(self, truth: Truth) -> int:
        """Everything has ended and was told. Return what gateways truly billed less what people paid.

        What is booked for an attempt is what its gateway billed, but for lost jobs: one that was never confirmed is
        booked at its price, though the gateway may have made nothing; one that was lost while it ran, at a bill that
        its gateway showed once. The loss that the store reports differs from the truth by exactly that.
        """
        now = truth.clock.monotonic()
        possible = 0
        for job_id, job in self.jobs.items():
            assert job["state"] in _FINAL, f"{job_id} is still {job['state']}"
            self._check_told(job, truth)
        for attempt in self.attempts:
            work = truth.work_of(attempt)
            booked, billed = attempt["billed_microusd"] or 0, work.bill_microusd(now) if work else 0
            job = self.jobs[attempt["job_id"]]
            is_newest = attempt["number"] == job["attempt_count"]
            if job["state"] == "lost" and is_newest:
                assert booked in {attempt["price_microusd"]} | (work.shown_microusd if work else set())
                possible += booked - billed
            else:
                assert booked == billed, f"{job['state']}: booked {booked}, billed {billed}"
        paid = sum(self.paid_by_month().values())
        billed = sum(work.bill_microusd(now) for work in truth.works())
        assert sum(self.moment.billed_by_month().values()) - paid == billed - paid + possible
        return billed - paid + possible

    def _check_told(self, job: sqlite3.Row, truth: Truth) -> None:
        job_id = job["job_id"]
        assert job["delivery"] != "due", f"{job_id} is not delivered"
        if job["delivery"] == "posted":
            assert truth.channel.posted["post_video", job_id] == (job_id not in truth.channel.deleted)
            assert job["card_face"] == "delivered"
        elif job["delivery"] == "given_up":
            assert job["card_face"] == "kept"
        else:
            assert job["card_face"] == job["state"], f"{job_id} is {job['state']}, shown {job['card_face']}"
            told = truth.channel.shown.get(job_id) == job["state"] or job_id in truth.channel.refused
            assert told or job["state"] == "cancelled", f"nobody was told that {job_id} is {job['state']}"
