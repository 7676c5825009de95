"""Rows to domain objects and times to milliseconds: the one place that knows both forms."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

from bot.domain.errors import Refusal
from bot.domain.job import Attempt, BilledSource, CardFace, Delivery, Ending, Job, JobState, MessageRef, Video
from bot.domain.request import Image, Mode, Resolution, VideoRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# What an Attempt is made of. In attempts older than their price column the price is the job's.
_ATTEMPT_COLUMNS = """
    attempts.number, attempts.gateway AS attempt_gateway, attempts.model, attempts.body, attempts.idempotency_key,
    attempts.callback_token, attempts.submitted_at_ms AS attempt_submitted_at_ms,
    coalesce(attempts.price_microusd, jobs.price_microusd) AS attempt_price_microusd, attempts.gateway_job_id,
    attempts.billed_microusd, attempts.billed_source, attempts.hinted_at_ms, attempts.hinted_gateway_job_id
"""
ATTEMPT = f"SELECT attempts.job_id, {_ATTEMPT_COLUMNS} FROM attempts JOIN jobs USING (job_id)"  # noqa: S608 - fixed text

# Everything a Job is made of, in one statement, so that it is read from one moment.
JOB = f"""
SELECT jobs.*, {_ATTEMPT_COLUMNS},
    CASE WHEN jobs.state IN ('stored', 'cancelled', 'failed', 'lost') THEN
        coalesce((SELECT amount_microusd FROM ledger WHERE job_id = jobs.job_id AND kind = 'settle'), 0)
        - coalesce((SELECT amount_microusd FROM ledger WHERE job_id = jobs.job_id AND kind = 'refund'), 0)
    END AS charged_microusd,
    coalesce((SELECT amount_microusd FROM ledger WHERE job_id = jobs.job_id AND kind = 'refund'), 0)
        AS refunded_microusd,
    (
        SELECT json_group_array(json_array(name, content_type, width, height, bytes_count, note))
        FROM (SELECT * FROM job_images WHERE job_id = jobs.job_id ORDER BY position)
    ) AS images
FROM jobs LEFT JOIN attempts ON attempts.job_id = jobs.job_id AND attempts.number = jobs.attempt_count
"""  # noqa: S608 - fixed text


def ms(at: datetime) -> int:
    """Return whole milliseconds since 1970 UTC, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else ms(at)


def at(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND


def at_or_none(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else at(milliseconds)


def kept(moment: datetime) -> datetime:
    """Return the moment as it comes back from the database."""
    return at(ms(moment))


def job_of(row: sqlite3.Row) -> Job:
    """Build a job from a row of `JOB`."""
    return Job(
        job_id=row["job_id"],
        user_id=row["user_id"],
        guild_id=row["guild_id"],
        channel_id=row["channel_id"],
        request=_request(row),
        images=tuple(Image(*fields) for fields in json.loads(row["images"])),
        state=JobState(row["state"]),
        created_at=at(row["created_at_ms"]),
        since_at=at(row["since_at_ms"]),
        next_at=at_or_none(row["next_at_ms"]),
        attempt=attempt_of(row) if row["attempt_count"] else None,
        attempt_count=row["attempt_count"],
        submitted_at=at_or_none(row["submitted_at_ms"]),
        finished_at=at_or_none(row["finished_at_ms"]),
        ending=Ending(row["ending"]) if row["ending"] else None,
        refusal=Refusal(row["refusal"]) if row["refusal"] else None,
        refused_picture=row["refused_picture"],
        charged_microusd=row["charged_microusd"],
        refunded_microusd=row["refunded_microusd"],
        video_address=row["video_address"],
        video_until=at_or_none(row["video_until_ms"]),
        video=_video(row) if row["video_name"] is not None else None,
        delivery=Delivery(row["delivery"]),
        delivery_count=row["delivery_count"],
        delivery_since=at_or_none(row["delivery_since_ms"]),
        card=_message(row, "card"),
        card_face=CardFace(row["card_face"]) if row["card_face"] else None,
        card_count=row["card_count"],
        pictures_message=_message(row, "pictures"),
        video_message=_message(row, "video"),
        slow=bool(row["slow"]),
        not_before=at_or_none(row["not_before_ms"]),
        forgotten=bool(row["forgotten"]),
        gateways=frozenset(json.loads(row["gateways"])) if row["gateways"] else None,
    )


def _request(row: sqlite3.Row) -> VideoRequest:
    return VideoRequest(
        mode=Mode(row["mode"]),
        prompt=row["prompt"],
        resolution=Resolution(row["resolution"]),
        ratio=row["ratio"],
        duration_s=row["duration_s"],
        gateway=row["gateway"],
        pinned=bool(row["pinned"]),
        price_microusd=row["price_microusd"],
        seed=row["seed"],
        negative_prompt=row["negative_prompt"],
        private=bool(row["private"]),
    )


def attempt_of(row: sqlite3.Row) -> Attempt:
    """Build an attempt from a row of `ATTEMPT`, or a job's newest from a row of `JOB`."""
    return Attempt(
        job_id=row["job_id"],
        number=row["number"],
        gateway=row["attempt_gateway"],
        model=row["model"],
        body=row["body"],
        idempotency_key=row["idempotency_key"],
        callback_token=row["callback_token"],
        submitted_at=at(row["attempt_submitted_at_ms"]),
        price_microusd=row["attempt_price_microusd"],
        gateway_job_id=row["gateway_job_id"],
        billed_microusd=row["billed_microusd"],
        billed_source=BilledSource(row["billed_source"]) if row["billed_source"] else None,
        hinted_at=at_or_none(row["hinted_at_ms"]),
        hinted_gateway_job_id=row["hinted_gateway_job_id"],
    )


def _video(row: sqlite3.Row) -> Video:
    return Video(
        name=row["video_name"],
        bytes_count=row["video_bytes_count"],
        duration_s=row["video_duration_s"],
        width=row["video_width"],
        height=row["video_height"],
    )


def _message(row: sqlite3.Row, which: str) -> MessageRef | None:
    channel_id = row[f"{which}_channel_id"]
    return None if channel_id is None else MessageRef(channel_id, row[f"{which}_message_id"])
