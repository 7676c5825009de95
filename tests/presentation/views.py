"""Job views as the cards and answers get them, and how to read what they show."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.errors import Refusal
from bot.domain.job import Delivery, Ending, Job, JobState, MessageRef, Video
from bot.domain.ports import CardView
from bot.domain.request import Image, Mode, Resolution, VideoRequest
from bot.presentation.layout import Layout

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=90)
JOB_ID = "01m7wd7tg0zs22ak"
PROMPT = "A paper boat sails down a rainy street, camera low"
REQUEST = VideoRequest(
    mode=Mode.REFERENCE,
    prompt=PROMPT,
    resolution=Resolution.P720,
    ratio="16:9",
    duration_s=5,
    gateway="hiapi",
    pinned=False,
    price_microusd=645_000,
)
IMAGE = Image("a.jpg", "image/jpeg", 800, 600, 12_345)
JOB = Job(
    job_id=JOB_ID,
    user_id=11,
    guild_id=21,
    channel_id=31,
    request=REQUEST,
    images=(IMAGE, IMAGE, IMAGE),
    state=JobState.HELD,
    created_at=NOW,
    since_at=NOW,
    next_at=None,
)
VIDEO = Video("v.mp4", 1_000_000, 5.0, 1280, 720)


def view(state: JobState = JobState.HELD, **changes: Any) -> CardView:
    """Return a view; a change is of the view, the job or the request, whichever has a field of that name."""
    parts: dict[type, dict[str, Any]] = {CardView: {}, Job: {}, VideoRequest: {}}
    for name, value in changes.items():
        owner = next(part for part in parts if name in part.__dataclass_fields__)
        parts[owner][name] = value
    request = replace(REQUEST, **parts[VideoRequest])
    job = replace(JOB, state=state, request=request, **parts[Job])
    titles = {"gateway_title": "HiAPI", "model_title": "HappyHorse 1.1"}
    return CardView(**{"job": job, **titles, **parts[CardView]})


def faces() -> dict[str, CardView]:
    """Return one view for every face of a card."""
    stored = {"video": VIDEO, "charged_microusd": 645_000}
    message = MessageRef(31, 902)
    return {
        "held": view(place_in_line=2, usually_done_at=SOON),
        "rendering": view(JobState.RUNNING, usually_done_at=SOON),
        "slow": view(JobState.RUNNING, slow=True),
        "posting": view(JobState.STORED, delivery=Delivery.DUE, **stored),
        "unconfirmed": view(JobState.UNCONFIRMED),
        "delivered": view(JobState.STORED, delivery=Delivery.POSTED, video_message=message, **stored),
        "kept": view(JobState.STORED, delivery=Delivery.GIVEN_UP, **stored),
        "cancelled": view(JobState.CANCELLED),
        "failed": view(
            JobState.FAILED, ending=Ending.REFUSED, refusal=Refusal.PICTURE, refused_picture=2, charged_microusd=0
        ),
        "lost": view(JobState.LOST, ending=Ending.TASK_LIFE_OVER),
    }


def parts(layout: Layout) -> list[dict[str, Any]]:
    """Return every component of a message, outermost first."""
    return list(_walk(layout.to_components()))


def _walk(components: list[dict[str, Any]]) -> Any:
    for component in components:
        yield component
        yield from _walk(component.get("components", []))


def words(layout: Layout) -> list[str]:
    """Return every line a message shows."""
    return [line for part in parts(layout) if part["type"] == 10 for line in part["content"].split("\n")]
