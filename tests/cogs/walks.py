"""Walks jobs of the stage's member to where a test needs them, as the runner would."""

from itertools import count

from bot.domain.job import Attempt, BilledSource, Job, Video
from bot.domain.request import Ask, Attachment, Mode, Place
from bot.domain.store import Billing
from tests.cogs.stage import Stage

_interactions = count(1)


async def opened(on: Stage, prompt: str = "A paper boat", gateway: str = "auto", **more: object) -> Job:
    """Open a job of the member, a second after the one before."""
    on.clock.turn(1)
    place = Place(on.channel.id, on.guild.id)
    ask = {"user_id": on.member.id, "mode": Mode.TEXT, "prompt": prompt, "gateway": gateway, **more}
    return (await on.service.open(Ask(next(_interactions), place=place, **ask))).view.job


def pictures(on: Stage, *given: bytes) -> tuple[Attachment, ...]:
    """Return attachments as Discord hands them out."""
    store = on.env.backend.cdn.store_attachment
    known = [store(next(_interactions), on.channel.id, "boat.jpg", data, None) for data in given]
    return tuple(Attachment(each["url"], each["filename"], each["size"]) for each in known)


async def submitting(on: Stage, job: Job) -> Attempt:
    price = job.request.price_microusd
    attempt = Attempt(job.job_id, 1, job.request.gateway, "m", b"{}", f"{job.job_id}-1", "token", on.clock.now(), price)
    assert await on.store.begin_attempt(attempt, next_at=on.clock.now())
    return attempt


async def unconfirmed(on: Stage, prompt: str = "A paper boat", gateway: str = "hiapi", **more: object) -> Job:
    """Open a job whose submission was left without an answer."""
    job = await opened(on, prompt, gateway, **more)
    await submitting(on, job)
    now = on.clock.now()
    assert await on.store.leave_unconfirmed(job.job_id, now=now, next_at=now)
    return await on.newest_job()


async def running(on: Stage, job: Job) -> Job:
    now = on.clock.now()
    await submitting(on, job)
    billing = Billing(job.request.price_microusd, BilledSource.PRICE)
    await on.store.accept(job.job_id, number=1, gateway_job_id=f"g-{job.job_id}", billing=billing, now=now, next_at=now)
    return await on.newest_job()


async def stored(on: Stage, job: Job, data: bytes = b"video", settle_microusd: int | None = None) -> Job:
    """Walk a job to its stored video; the settle is the price unless given."""
    now = on.clock.now()
    await running(on, job)
    await on.store.finish(job.job_id, address="https://v", until=None, billing=None, now=now)
    path = on.library.path(f"{job.job_id}.mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    video = Video(path.name, len(data), 5.0, 1280, 720)
    settle = job.request.price_microusd if settle_microusd is None else settle_microusd
    await on.store.store_video(job.job_id, video=video, settle_microusd=settle, now=now)
    return await on.newest_job()
