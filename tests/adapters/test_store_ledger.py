"""Whatever happens in whatever order, what is kept of each window equals the sums over ledger and bills."""

import asyncio
import sqlite3
import tempfile
from collections import Counter, defaultdict
from contextlib import closing
from datetime import timedelta
from itertools import product
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.adapters.store.accounts import REFUND
from bot.adapters.store.rows import ms
from bot.adapters.store.sqlite import open_store
from bot.domain.errors import QuotaExceeded
from bot.domain.job import BilledSource, CardFace, JobState
from bot.domain.quota import Limits
from bot.domain.store import Billing
from tests.adapters.store_fixtures import CARD, GUILD, NOW, OTHER_USER, USER, VIDEO, attempt, bad_end, get, opening

LIMITS = Limits(1_000, 2_000, 2_500, 4_000)
# Of a member, in the one guild that has a rule; what is beyond is paid by grants: amount, and when it expires.
DAY_MAX, VIDEOS_MAX = 150, 3
GRANTS = ((200, NOW + timedelta(days=30)), (1_500, NOW + timedelta(days=99)))
NOT_UNCONFIRMED = (JobState.HELD, JobState.SUBMITTING, JobState.RUNNING, JobState.FINISHED)
ACTIONS = ["open", "open", *["advance"] * 5, "fail", "lose", "cancel", "bill", "refuse", "reroute", "forget", "erase"]
STEPS = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5), st.integers(1, 900), st.integers(0, 40))


async def step(store, job_ids, action, which, amount, days):
    now = NOW + timedelta(days=days)
    if action == "open":
        who = {"user_id": (USER, OTHER_USER)[which % 2], "guild_id": (GUILD, 22, None)[which % 3]}
        try:
            job_ids.append((await store.open_job(opening(amount, limits=LIMITS, now=now, pinned=False, **who))).job_id)
        except QuotaExceeded:
            return
    elif job_ids:
        job = await get(store, job_ids[which % len(job_ids)])
        await (advance if action == "advance" else disturb)(store, job, action, amount, now)


async def advance(store, job, _action, amount, now):
    """Take the job one move on; a stored one is refunded."""
    job_id, bill = job.job_id, Billing(amount, BilledSource.REPORTED)
    match job.state:
        case JobState.HELD:
            assert await store.begin_attempt(attempt(job, job.attempt_count + 1, at=now), next_at=now)
        case JobState.SUBMITTING if amount % 3 == 0:
            assert await store.leave_unconfirmed(job_id, now=now, next_at=now)
        case JobState.SUBMITTING | JobState.UNCONFIRMED:
            number = job.attempt_count
            assert await store.accept(job_id, number=number, gateway_job_id=job_id, billing=bill, now=now, next_at=now)
        case JobState.RUNNING:
            assert await store.finish(job_id, address="https://v", until=None, billing=bill, now=now)
        case JobState.FINISHED:
            assert await store.store_video(job_id, video=VIDEO, settle_microusd=amount, now=now)
        case JobState.STORED:
            await refund(store, job_id, min(amount, job.charged_microusd or amount), now)
            await store.delivered(job_id, message=CARD, now=now)
            await store.card_shown(job_id, face=CardFace.DELIVERED)


async def refund(store, job_id, amount, now):
    """Give back a settled amount, every second time not as an operator."""
    values = {"job_id": job_id, "amount_microusd": amount, "now_ms": ms(now), "actor_id": 99, "reason": "spoiled"}
    await store._write(lambda db: db.execute(REFUND, values | {"by_operator": amount % 2}))


async def disturb(store, job, action, amount, now):
    """Do something that may come too late for this job."""
    match action:
        case "fail":
            end = bad_end(billed=amount // 2)
            await store.end(job.job_id, states=NOT_UNCONFIRMED, to=JobState.FAILED, end=end, now=now)
        case "lose":
            states = (JobState.UNCONFIRMED, JobState.RUNNING)
            await store.end(job.job_id, states=states, to=JobState.LOST, end=bad_end(), now=now)
        case "cancel":
            await store.cancel(job.job_id, user_id=job.user_id, now=now)
        case "bill":
            await store.bill(job.job_id, number=1, billing=Billing(amount - 1, BilledSource.REFUNDED))
        case "refuse":
            number = job.attempt_count
            await store.return_to_line(job.job_id, number=number, gateway="hiapi", not_before=None, now=now)
        case "reroute":
            await store.reroute(job.job_id, gateway="hiapi", to="shortapi")
        case "forget":
            await store.forget(job.user_id, now=now)
        case "erase":
            await store.erase(before=now)


def sums(db):
    """Add up the ledger and the bills anew: (subject, id, window) -> committed, and -> on hold."""
    committed, on_hold = Counter(), Counter()
    entries = db.execute("SELECT job_id, kind, amount_microusd, user_id, guild_id, day, month, by_operator FROM ledger")
    entries = entries.fetchall()
    resolved = {entry[0] for entry in entries if entry[1] in {"settle", "release"}}
    for job_id, kind, amount, user_id, guild_id, day, month, by_operator in entries:
        people = [("user", user_id, day), ("user", user_id, month)]
        if guild_id is not None:
            people.append(("guild", guild_id, month))
        if kind == "hold" and job_id not in resolved:
            for place in [*people, ("bot", 0, "open")]:
                committed[place] += amount
                on_hold[place] += amount
        elif kind == "settle" or (kind == "refund" and by_operator):
            for place in people:
                committed[place] += amount if kind == "settle" else -amount
    bills = db.execute("SELECT job_id, month, billed_microusd FROM attempts WHERE billed_microusd IS NOT NULL")
    for job_id, month, amount in bills:
        if job_id in resolved:
            committed["bot", 0, month] += amount
    return +committed, +on_hold


def kept(db):
    rows = db.execute("SELECT * FROM committed").fetchall()
    return +Counter({row[:3]: row[3] for row in rows}), +Counter({row[:3]: row[4] for row in rows})


def used_sums(db):
    """Add up anew what is used of each window that guilds and people limit, in the order of the columns of `used`."""
    sums = defaultdict(lambda: [0] * 5)
    holds = db.execute("SELECT * FROM ledger WHERE kind = 'hold'").fetchall()
    for hold in holds:
        entries = db.execute("SELECT kind, freed_microusd FROM ledger WHERE job_id = ?", (hold["job_id"],)).fetchall()
        kinds, freed = {kind for kind, _ in entries}, sum(amount for _, amount in entries)
        amount, granted = hold["amount_microusd"], hold["granted_microusd"]
        figures = (
            amount - freed,
            0 if kinds & {"settle", "release"} else amount,
            max(0, granted - freed),
            "release" not in kinds,
            "release" not in kinds and granted == amount,
        )
        for place in places(hold):
            sums[place] = [was + more for was, more in zip(sums[place], figures, strict=True)]
    return dict(sums)


def places(hold):
    guild_id, user_id = hold["guild_id"], hold["user_id"]
    yield from ((0, "person", user_id, hold[window]) for window in ("day", "week", "month"))
    if guild_id is not None:
        for subject in (("member", user_id), ("channel", hold["channel_id"]), ("pool", 0)):
            yield from ((guild_id, *subject, hold[f"guild_{window}"]) for window in ("day", "week", "month"))


def check_used(db):
    """What is kept is what the entries say, and no rule is broken but by what grants paid."""
    db.row_factory = sqlite3.Row
    rows = {tuple(row)[:4]: list(row)[4:] for row in db.execute("SELECT * FROM used")}
    assert rows == used_sums(db)
    for (guild_id, subject, _, window), (committed, _, granted, videos, granted_videos) in rows.items():
        if guild_id == GUILD and subject == "member":
            assert len(window) != len("2026-11-20") or committed - granted <= DAY_MAX
            assert len(window) != len("2026-11") or videos - granted_videos <= VIDEOS_MAX


def check_grants(db):
    """What was freed is back at the grants, last taken first; none is used beyond its amount."""
    for (job_id,) in db.execute("SELECT DISTINCT job_id FROM grant_uses").fetchall():
        (freed,) = db.execute("SELECT sum(freed_microusd) FROM ledger WHERE job_id = ?", (job_id,)).fetchone()
        uses = "SELECT amount_microusd, returned_microusd FROM grant_uses WHERE job_id = ? ORDER BY position DESC"
        for amount, returned in db.execute(uses, (job_id,)):
            assert returned == min(amount, freed)
            freed -= returned
    used_up = """
        SELECT amount_microusd, (
            SELECT coalesce(sum(amount_microusd - returned_microusd), 0) FROM grant_uses
            WHERE grant_id = grants.grant_id
        ) AS used_microusd FROM grants WHERE used_microusd > amount_microusd
    """
    assert db.execute(used_up).fetchall() == []


def losses(db):
    """Add up anew, by month of the hold, what was billed for resolved jobs less what was paid for them."""
    loss = Counter()
    for job_id, month in db.execute("SELECT job_id, month FROM ledger WHERE kind = 'hold'").fetchall():
        amounts = dict(db.execute("SELECT kind, amount_microusd FROM ledger WHERE job_id = ?", (job_id,)).fetchall())
        if "settle" in amounts or "release" in amounts:
            (billed,) = db.execute(
                "SELECT coalesce(sum(billed_microusd), 0) FROM attempts WHERE job_id = ?", (job_id,)
            ).fetchone()
            loss[month] += billed - amounts.get("settle", 0) + amounts.get("refund", 0)
    return loss


def decide(db):
    """Give the guild a zone, a rule for everyone, and grants."""
    db.execute("INSERT INTO guilds (guild_id, time_zone) VALUES (?, 'Pacific/Auckland')", (GUILD,))
    rule = "INSERT INTO rules (guild_id, scope, subject_id, day_microusd, month_videos) VALUES (?, 'everyone', 0, ?, ?)"
    db.execute(rule, (GUILD, DAY_MAX, VIDEOS_MAX))
    grant = """
        INSERT INTO grants (guild_id, user_id, amount_microusd, expires_at_ms, reason, actor_id, at_ms)
        VALUES (?, ?, ?, ?, 'a gift', 99, 0)
    """
    for user_id, (amount, expires_at) in product((USER, OTHER_USER), GRANTS):
        db.execute(grant, (GUILD, user_id, amount, ms(expires_at)))


async def play(path, steps):
    """Return the loss by month, as the store tells it."""
    job_ids = []
    async with open_store(path) as store:
        await store._write(decide)
        for taken in steps:
            await step(store, job_ids, *taken)
        return {month: await store.loss_microusd(month=month) for month in ("2026-11", "2026-12", "2027-01")}


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=60))
def test_what_is_kept_of_each_window_equals_the_sums_over_the_ledger(steps):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallop.db"
        told_losses = asyncio.run(play(path, steps))
        with closing(sqlite3.connect(path)) as db:
            assert told_losses == {month: losses(db)[month] for month in told_losses}
            assert kept(db) == sums(db)
            unresolved = db.execute(
                "SELECT count(*) FROM jobs WHERE state IN ('stored', 'cancelled', 'failed', 'lost')"
                " AND (SELECT count(*) FROM ledger WHERE ledger.job_id = jobs.job_id AND kind IN ('settle', 'release'))"
                " != 1"
            )
            assert unresolved.fetchone() == (0,)
            for (subject, _, window), amount in kept(db)[1].items():
                limit = {"bot": 4_000, "guild": 2_500, "user": 1_000 if len(window) == 10 else 2_000}[subject]
                assert amount <= limit
            check_used(db)
            check_grants(db)
