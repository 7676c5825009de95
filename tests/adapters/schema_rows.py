"""Rows as the schema takes them, past the store: a job, its ledger entries and an attempt; and what moves the job."""

import sqlite3

import pytest

from tests.adapters.store_fixtures import job_id_of

JOB = job_id_of(1)
PRICE = 645_000
ENTRY = {
    "job_id": JOB,
    "kind": "hold",
    "amount_microusd": PRICE,
    "freed_microusd": 0,
    "user_id": 11,
    "guild_id": 21,
    "day": "2026-11-20",
    "week": "2026-W47",
    "month": "2026-11",
    "at_ms": 1,
    "channel_id": 31,
    "guild_day": "2026-11-20",
    "guild_week": "2026-W47",
    "guild_month": "2026-11",
}
SETTLE = ENTRY | {"kind": "settle", "amount_microusd": 600_000, "freed_microusd": 45_000}
RELEASE = ENTRY | {"kind": "release", "freed_microusd": PRICE}
REFUND = ENTRY | {"kind": "refund", "amount_microusd": 1, "freed_microusd": 1, "actor_id": 99, "reason": "spoiled"}
JOB_ROW = {
    "job_id": JOB,
    "interaction_id": 1,
    "user_id": 11,
    "guild_id": 21,
    "channel_id": 31,
    "created_at_ms": 1,
    "mode": "text",
    "prompt": "a boat",
    "resolution": "720p",
    "duration_s": 5,
    "gateway": "hiapi",
    "pinned": 0,
    "private": 0,
    "price_microusd": PRICE,
    "since_at_ms": 1,
}
ATTEMPT = {
    "job_id": JOB,
    "number": 1,
    "gateway": "hiapi",
    "model": "m",
    "body": b"{}",
    "idempotency_key": "k",
    "callback_token": "t",
    "submitted_at_ms": 1,
    "month": "2026-11",
    "price_microusd": PRICE,
}


def insert(db, table, row, verb="INSERT"):
    marks = ", ".join(f":{column}" for column in row)
    db.execute(f"{verb} INTO {table} ({', '.join(row)}) VALUES ({marks})", row)


def move(db, *states, job_id=JOB):
    for state in states:
        if state == "held":
            be_refused(db)
        ending = "no_video" if state in {"failed", "lost"} else None
        video = "v.mp4" if state == "stored" else None
        db.execute(
            "UPDATE jobs SET state = ?, ending = ?, video_name = ?, video_bytes_count = ? WHERE job_id = ?",
            (state, ending, video, video and 1, job_id),
        )


def be_refused(db):
    """Let the newest attempt be refused for certain."""
    insert(db, "attempts", ATTEMPT | {"price_microusd": 0})
    db.execute("UPDATE attempts SET billed_microusd = 0, billed_source = 'reported'")
    db.execute("UPDATE jobs SET attempt_count = 1")


def refused(db, table, row, match, verb="INSERT"):
    before = list(db.execute("SELECT * FROM ledger"))
    with pytest.raises(sqlite3.IntegrityError, match=match):
        insert(db, table, row, verb)
    assert list(db.execute("SELECT * FROM ledger")) == before
