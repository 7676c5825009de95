"""What a command may ask for: a quote, a job, its state, its cancellation, and where somebody stands."""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bot.domain import prompt as prompts
from bot.domain.breakers import Breakers
from bot.domain.errors import (
    DeliveryFailed,
    NotYourJob,
    Paused,
    PictureCountRejected,
    PlaceRejected,
    QuotaExceeded,
    RequestRejected,
    StoreFailed,
    TooLateToCancel,
)
from bot.domain.job import FINAL_STATES, Job, JobState, MessageRef
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.offers import Offer, Serving, choose, offers, wish_of
from bot.domain.ports import CardView, Clock, Gateway, Library, Messenger, Pictures
from bot.domain.pricing import ModeCapability, Overbilled
from bot.domain.quota import FAILURES_PER_DAY_MAX, Limits, Standing
from bot.domain.request import GATEWAY_AUTO, PICTURE_COUNTS, RATIO_DEFAULT, Ask, Image, Mode, VideoRequest
from bot.domain.store import Opening, Store

log = logging.getLogger(__name__)

_HISTORY_MAX = 10
_PREVIEW = "so this is a free preview: pictures in slow moves, no generated video."
PREVIEW_WHY_UNSET = f"No paid gateway is set up for this, {_PREVIEW}"
PREVIEW_WHY_UNSERVED = f"The operator has not opened paid gateways here, {_PREVIEW}"
# Crockford's alphabet in lower case: no letter looks like a digit.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Quote:
    """A checked request with its price, and where the person stands before it. Nothing is held by a quote."""

    request: VideoRequest
    offer: Offer
    capability: ModeCapability
    standings: tuple[Standing, ...]
    may_pay: bool

    @property
    def is_fallback(self) -> bool:
        """Say whether a preview is made because no paid gateway may be used."""
        return self.offer.capabilities.free and not self.request.pinned


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted job. `standings` already count its hold. `unmentioned` are pictures the prompt does not name."""

    view: CardView
    standings: tuple[Standing, ...]
    unmentioned: tuple[int, ...] = ()


class VideoService:
    """The one gate to spending: no command opens a job by another way."""

    def __init__(
        self,
        *,
        store: Store,
        gateways: Mapping[str, Gateway],
        pictures: Pictures,
        library: Library,
        messenger: Messenger,
        runner: JobRunner,
        views: JobViews,
        serving: Serving,
        overbilled: Overbilled,
        breakers: Breakers,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._store = store
        self._gateways = gateways
        self._pictures = pictures
        self._library = library
        self._messenger = messenger
        self._runner = runner
        self._views = views
        self._serving = serving
        self._overbilled = overbilled
        self._breakers = breakers
        self._limits = limits
        self._clock = clock

    def offers(self, ask: Ask) -> list[Offer]:
        """Return what each gateway would take, at once and without I/O: for autocomplete."""
        known = [self._overbilled.without(gateway.capabilities, ask.mode) for gateway in self._gateways.values()]
        out = {name for name in self._gateways if self._breakers.is_out(name)}
        return offers(known, wish_of(ask), may_pay=self._may_pay(ask), out=out)

    def _may_pay(self, ask: Ask) -> bool:
        return self._serving.may_pay(ask.place, user_id=ask.user_id)

    async def quote(self, ask: Ask) -> Quote:
        """Check everything but the pictures' bytes, and price it.

        Raises:
            RequestRejected: nothing was held.
        """
        if ask.place.missing and not ask.private:
            raise PlaceRejected(ask.place.missing)
        _check_count(ask, *PICTURE_COUNTS[ask.mode])
        neutral = prompts.check(ask.prompt, pictures=len(ask.attachments))
        offer = choose(self.offers(ask), wish_of(ask), named=ask.gateway.strip().casefold())
        capability = offer.capabilities.modes[ask.mode]
        if capability.pictures is not None:
            _check_count(ask, capability.pictures.count_min, capability.pictures.count_max)
        if ask.mode is Mode.REFERENCE:
            prompts.check_weight(prompts.render_tokens(neutral, capability.picture_token))
        request = _request(ask, neutral, offer)
        standings = await self._standings(ask.user_id, ask.place.guild_id)
        if await self._store.paused():
            raise Paused
        for standing in standings:
            if not standing.allows(request.price_microusd):
                raise QuotaExceeded(
                    limit=standing.limit,
                    needed_microusd=request.price_microusd,
                    available_microusd=standing.available_microusd or 0,
                    window_ends_at=standing.window_ends_at,
                )
        return Quote(request, offer, capability, standings, may_pay=self._may_pay(ask))

    async def open(self, ask: Ask) -> Opened:
        """Take the pictures in, set the price aside and open the job. The same interaction twice opens one job.

        Raises:
            RequestRejected: nothing was held.
            StoreFailed, DeliveryFailed: nothing was held.
        """
        quote = await self.quote(ask)
        images = await self._take_pictures(ask, quote)
        knock: MessageRef | None = None
        try:
            if ask.private:
                knock = await self._messenger.knock(
                    user_id=ask.user_id, prompt=quote.request.prompt, key=str(ask.interaction_id)
                )
            opening = self._opening(ask, quote, images)
            job = await self._store.open_job(opening)
        except (RequestRejected, StoreFailed, DeliveryFailed):
            await self._pictures.discard(images)
            if knock is not None:
                await self._messenger.unknock(knock)
            raise
        if job.job_id != opening.job_id:
            await self._pictures.discard(images)
        self._runner.wake()
        named = prompts.referenced(job.request.prompt)
        unmentioned = [n for n in range(1, len(job.images) + 1) if n not in named] if ask.mode is Mode.REFERENCE else []
        try:
            view = await self._views.view(job)
            standings = await self._standings(ask.user_id, ask.place.guild_id)
        except StoreFailed:
            # The hold is there: the answer must say so, even if it can say no more.
            log.exception("job opened, but not all can be said of it job_id=%s", job.job_id)
            view, standings = self._views.plain_view(job), quote.standings
        if quote.is_fallback:
            view = replace(view, remark=PREVIEW_WHY_UNSET if quote.may_pay else PREVIEW_WHY_UNSERVED)
        return Opened(view=view, standings=standings, unmentioned=tuple(unmentioned))

    async def card_posted(self, job_id: str, *, timeout_s: float) -> Job | None:
        """Wait for the job's card, or for its end without one; None when neither came in time."""
        return await self._runner.card_posted(job_id, timeout_s=timeout_s)

    async def job(self, job_id: str, *, user_id: int) -> CardView:
        """Return a person's own job.

        Raises:
            NotYourJob: there is none, or it is somebody else's.
        """
        return await self._views.view(await self._own(job_id, user_id))

    async def history(self, user_id: int) -> list[CardView]:
        """Return the person's ten newest jobs, newest first."""
        return [await self._views.view(job) for job in await self._store.jobs_of(user_id, limit=_HISTORY_MAX)]

    async def cancel(self, job_id: str, *, user_id: int) -> CardView:
        """Cancel a job that is still in line; its hold is released.

        Raises:
            NotYourJob: there is none, or it is somebody else's.
            TooLateToCancel: it left the line; nothing was changed.
        """
        job = await self._own(job_id, user_id)
        if not await self._store.cancel(job_id, user_id=user_id, now=self._clock.now()):
            job = await self._own(job_id, user_id)
            title = self._gateways[job.request.gateway].capabilities.title
            if job.state is not JobState.CANCELLED:
                confirmed = job.state is not JobState.UNCONFIRMED
                raise TooLateToCancel(title, ended=job.state in FINAL_STATES, confirmed=confirmed)
        self._runner.wake()
        return await self._views.view(await self._own(job_id, user_id))

    async def quota(self, user_id: int, *, guild_id: int | None) -> tuple[Standing, ...]:
        """Return where the person stands; the whole bot's standing is the operator's business and left out."""
        return (await self._standings(user_id, guild_id))[:-1]

    def video_path(self, job: Job) -> Path | None:
        """Return the stored video's file, None where there is none (any more)."""
        if job.video is None:
            return None
        path = self._library.path(job.video.name)
        return path if path.is_file() else None

    async def _own(self, job_id: str, user_id: int) -> Job:
        job = await self._store.job(job_id.strip(" `").casefold())
        if job is None or job.user_id != user_id or job.is_erased:
            raise NotYourJob
        return job

    async def _standings(self, user_id: int, guild_id: int | None) -> tuple[Standing, ...]:
        return await self._store.standings(
            user_id=user_id, guild_id=guild_id, limits=self._limits, now=self._clock.now()
        )

    async def _take_pictures(self, ask: Ask, quote: Quote) -> tuple[Image, ...]:
        """Take the pictures in.

        Raises:
            PictureRejected, StoreFailed: nothing was kept.
        """
        if quote.capability.pictures is None:
            return ()
        ratio = ask.ratio if ask.mode is Mode.IMAGE else None
        return await self._pictures.take(ask.attachments, rules=quote.capability.pictures, ratio=ratio, mode=ask.mode)

    def _opening(self, ask: Ask, quote: Quote, images: tuple[Image, ...]) -> Opening:
        now = self._clock.now()
        return Opening(
            job_id=new_job_id(now),
            interaction_id=ask.interaction_id,
            user_id=ask.user_id,
            guild_id=ask.place.guild_id,
            channel_id=ask.place.channel_id,
            request=quote.request,
            images=images,
            limits=self._limits,
            failures_max=FAILURES_PER_DAY_MAX,
            free_jobs_max=quote.offer.capabilities.jobs_per_user_day,
            now=now,
        )


def new_job_id(now: datetime) -> str:
    """Return 16 characters: ten that sort by time, six at random."""
    number = int(now.timestamp() * 1000) << 30 | secrets.randbits(30)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))


def _check_count(ask: Ask, count_min: int, count_max: int) -> None:
    if not count_min <= len(ask.attachments) <= count_max:
        raise PictureCountRejected(ask.mode, len(ask.attachments), count_min, count_max)


def _request(ask: Ask, neutral: str, offer: Offer) -> VideoRequest:
    negative = prompts.clean(ask.negative_prompt or "")
    return VideoRequest(
        mode=ask.mode,
        prompt=neutral,
        resolution=ask.resolution,
        ratio=None if ask.mode is Mode.IMAGE else ask.ratio or RATIO_DEFAULT,
        duration_s=ask.duration_s,
        gateway=offer.capabilities.gateway,
        pinned=ask.gateway.strip().casefold() != GATEWAY_AUTO,
        price_microusd=offer.price_microusd or 0,
        seed=ask.seed,
        negative_prompt=negative if prompts.is_visible(negative) else None,
        private=ask.private,
    )
