"""Builders for the store's tests: openings, attempts, videos, and a job walked to the state a test needs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from bot.adapters.store.sqlite import SqliteStore
from bot.domain.errors import Refusal
from bot.domain.job import Attempt, BilledSource, Ending, Job, JobState, MessageRef, Video
from bot.domain.quota import LimitKind, Limits, Spender, Standing
from bot.domain.request import Image, Mode, Resolution, VideoRequest
from bot.domain.store import Billing, End, Opening
from bot.domain.windows import Window

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
USER, OTHER_USER, GUILD, CHANNEL = 11, 12, 21, 31
SPENDER, OUTSIDE = Spender(USER, GUILD, CHANNEL), Spender(USER)
USER_DAY, USER_MONTH = (LimitKind.USER, Window.DAY), (LimitKind.USER, Window.MONTH)
GUILD_MONTH, BOT_MONTH = (LimitKind.GUILD, Window.MONTH), (LimitKind.BOT, Window.MONTH)
PRICE = 645_000
UNLIMITED = Limits(None, None, None, None)
VIDEO = Video(name="v.mp4", bytes_count=1_000_000, duration_s=5.041, width=1280, height=720)
CARD = MessageRef(CHANNEL, 901)
IMAGE = Image("a.jpg", "image/jpeg", 800, 600, 12_345, "padded to 1:2.5")

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_numbers = count(1)


def which(standing: Standing) -> tuple[LimitKind, Window]:
    return standing.kind, standing.window


def job_id_of(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))


def request(price_microusd: int = PRICE, gateway: str = "hiapi", *, pinned: bool = True) -> VideoRequest:
    return VideoRequest(
        mode=Mode.REFERENCE,
        prompt="A boat 🚤 by [Image 1]",
        resolution=Resolution.P720,
        ratio="16:9",
        duration_s=5,
        gateway=gateway,
        pinned=pinned,
        price_microusd=price_microusd,
        seed=7,
        negative_prompt="rain",
        private=True,
    )


def opening(price_microusd: int = PRICE, gateway: str = "hiapi", *, pinned: bool = True, **changes: object) -> Opening:
    number = next(_numbers)
    base = Opening(
        job_id=job_id_of(number),
        interaction_id=1_000_000 + number,
        user_id=USER,
        guild_id=GUILD,
        channel_id=CHANNEL,
        request=request(price_microusd, gateway, pinned=pinned),
        images=(IMAGE, replace(IMAGE, name="b.png", note="")),
        limits=UNLIMITED,
        failures_max=5,
        free_jobs_max=None,
        now=NOW,
    )
    return replace(base, **changes)


def attempt(job: Job, number: int = 1, at: datetime = NOW) -> Attempt:
    return Attempt(
        job_id=job.job_id,
        number=number,
        gateway=job.request.gateway,
        model="happyhorse-1.1",
        body=b'{"prompt":"\xf0\x9f\x9a\xa4"}',
        idempotency_key=f"key-{job.job_id}-{number}",
        callback_token=f"token-{job.job_id}-{number}",
        submitted_at=at,
        price_microusd=job.request.price_microusd,
    )


def billing(microusd: int = PRICE) -> Billing:
    return Billing(microusd, BilledSource.REPORTED)


def bad_end(ending: Ending = Ending.GATEWAY_FAILED, refusal: Refusal | None = None, billed: int | None = None) -> End:
    return End(ending=ending, refusal=refusal, refused_picture=2, billing=None if billed is None else billing(billed))


async def open_in(store: SqliteStore, state: JobState, at: datetime = NOW, **changes: object) -> Job:
    """Open a job and walk it to `state`; unfinished states are reached at `at`."""
    job = await store.open_job(opening(now=at, **changes))
    price = job.request.price_microusd
    if state is JobState.CANCELLED:
        assert await store.cancel(job.job_id, user_id=job.user_id, now=at)
    elif state is not JobState.HELD:
        assert await store.begin_attempt(attempt(job, at=at), next_at=at)
        if state in {JobState.UNCONFIRMED, JobState.LOST}:
            assert await store.leave_unconfirmed(job.job_id, now=at, next_at=at)
        if state in {JobState.RUNNING, JobState.FINISHED, JobState.STORED, JobState.FAILED}:
            await accept(store, job, at)
        if state in {JobState.FINISHED, JobState.STORED}:
            assert await store.finish(job.job_id, address="https://v", until=None, billing=None, now=at)
        if state is JobState.STORED:
            assert await store.store_video(job.job_id, video=VIDEO, settle_microusd=price, now=at)
        if state in {JobState.FAILED, JobState.LOST}:
            states = (JobState.RUNNING, JobState.UNCONFIRMED)
            assert await store.end(job.job_id, states=states, to=state, end=bad_end(), now=at)
    return await get(store, job.job_id)


async def accept(store: SqliteStore, job: Job, at: datetime = NOW) -> None:
    moved = await store.accept(
        job.job_id,
        number=1,
        gateway_job_id=f"g-{job.job_id}",
        billing=billing(job.request.price_microusd),
        now=at,
        next_at=at,
    )
    assert moved


async def told(store: SqliteStore, state: JobState, at: datetime = NOW, **changes: object) -> Job:
    """Open a job, walk it to a final state and show people everything of it, so that nothing is left to do."""
    job = await open_in(store, state, at, **changes)
    if state is JobState.STORED:
        assert await store.delivered(job.job_id, message=CARD, now=at)
        job = await get(store, job.job_id)
    await store.card_posted(job.job_id, card=CARD, face=job.face)
    await store.schedule(job.job_id, state=state, next_at=None)
    return await get(store, job.job_id)


async def get(store: SqliteStore, job_id: str) -> Job:
    job = await store.job(job_id)
    assert job is not None
    return job
