"""What a command may ask for: a quote, a job, its state, its cancellation, and where somebody stands."""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bot.domain import prompt as prompts
from bot.domain.asking_first import AskingFirst
from bot.domain.breakers import Breakers
from bot.domain.errors import (
    DeliveryFailed,
    NoSuchChoice,
    NotYourJob,
    QuoteGone,
    QuotePressed,
    RequestRejected,
    StoreFailed,
    TooLateToCancel,
)
from bot.domain.guild_store import GuildStore
from bot.domain.job import FINAL_STATES, Job, JobState, MessageRef
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.kept_quotes import Choice, KeptQuote, KeptQuotes, Over, interaction_of
from bot.domain.offers import Offer, Serving, takes
from bot.domain.ports import CardView, Clock, Gateway, Library, Messenger, Patterns, Pictures
from bot.domain.pricing import Overbilled
from bot.domain.quota import FAILURES_PER_DAY_MAX, Limits, Spender, Standing, is_worth_telling
from bot.domain.quoting import Quote, Quoter, check_limits, spender_of
from bot.domain.request import Ask, Image, Mode, Place
from bot.domain.store import Opening, Store

log = logging.getLogger(__name__)

_HISTORY_MAX = 10
# Crockford's alphabet in lower case: no letter looks like a digit.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted job. `standings` already count its hold. `unmentioned` are pictures the prompt does not name.

    `crossings` are the person's limits of which the hold used up so many percent, 50, 75 or 90.
    """

    view: CardView
    standings: tuple[Standing, ...]
    unmentioned: tuple[int, ...] = ()
    crossings: tuple[tuple[Standing, int], ...] = ()


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
        guild_store: GuildStore,
        patterns: Patterns,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._store = store
        self._guild_store = guild_store
        self._gateways = gateways
        self._pictures = pictures
        self._library = library
        self._messenger = messenger
        self._runner = runner
        self._views = views
        self._limits = limits
        self._clock = clock
        self._quoter = Quoter(
            store=store,
            guild_store=guild_store,
            gateways=gateways,
            patterns=patterns,
            serving=serving,
            overbilled=overbilled,
            breakers=breakers,
            limits=limits,
            clock=clock,
        )
        self._kept = KeptQuotes(clock)
        self._asking = AskingFirst(
            store=store,
            guild_store=guild_store,
            quoter=self._quoter,
            kept=self._kept,
            pictures=pictures,
            views=views,
            clock=clock,
        )

    def offers(self, ask: Ask) -> list[Offer]:
        """Return what each gateway would take, whatever the guild decided; at once and without I/O."""
        return self._quoter.offers(ask)

    async def offers_and_auto(self, ask: Ask) -> tuple[list[Offer], Offer | None]:
        """Return what each gateway would take within the guild's rules, and what ``auto`` would; None is nothing."""
        return await self._quoter.offers_and_auto(ask)

    async def quote(self, ask: Ask) -> Quote:
        """Check everything but the pictures' bytes, and price it.

        Raises:
            RequestRejected: nothing was held.
        """
        return await self._quoter.quote(ask)

    async def open(self, ask: Ask) -> Opened:
        """Take the pictures in, set the price aside and open the job, whatever it costs within the limits.

        The same interaction twice opens one job.

        Raises:
            RequestRejected: nothing was held.
            StoreFailed, DeliveryFailed: nothing was held.
        """
        return await self._take_and_open(ask, await self.quote(ask))

    async def request(self, ask: Ask) -> Opened | KeptQuote:
        """Open the job, or quote it first where its price is above a threshold of the guild's or the person's own.

        `quote_over` must be awaited for every quote that comes back.

        Raises:
            RequestRejected: nothing was held.
            StoreFailed, DeliveryFailed: nothing was held.
        """
        ground = await self._quoter.ground(ask)
        quote = self._quoter.price(ask, ground)
        check_limits(quote)
        threshold = await self._asking.threshold(ask, ground, quote)
        if threshold is None:
            return await self._take_and_open(ask, quote)
        images = await self._asking.take_pictures(ask, quote)
        try:
            return await self._asking.keep(ask, ground, quote, images, threshold=threshold)
        except (RequestRejected, StoreFailed):
            await self._pictures.discard(images)
            raise

    async def request_instead(self, ask: Ask) -> KeptQuote | None:
        """Quote the dearest way that would pass now to make what a limit refused; None where there is none.

        `quote_over` must be awaited for the quote.
        """
        return await self._asking.keep_instead(ask)

    async def press(self, quote_id: str, choice: int, *, user_id: int, place: Place) -> Opened | KeptQuote:
        """Check everything again and open the job at the quoted price; at another price, quote it anew.

        After a refusal the quote may be pressed again while its time lasts.

        Raises:
            QuoteGone, QuotePressed, NoSuchChoice: nothing more was held.
            RequestRejected, StoreFailed, DeliveryFailed: nothing was held.
        """
        kept = await self._begin_press(quote_id, user_id)
        try:
            if choice >= len(kept.choices):
                raise NoSuchChoice
            answer = await self._use(kept, kept.choices[choice], place)
            self._kept.end(quote_id, Over.PRESSED)
            return answer
        finally:
            self._kept.put_back(quote_id)

    async def dismiss(self, quote_id: str, *, user_id: int) -> None:
        """Forget a quote that nobody wants.

        Raises:
            QuoteGone, QuotePressed: nothing was changed.
        """
        await self._begin_press(quote_id, user_id)
        self._kept.end(quote_id, Over.DISMISSED)

    async def _begin_press(self, quote_id: str, user_id: int) -> KeptQuote:
        try:
            return self._kept.press(quote_id, user_id=user_id)
        except QuoteGone:
            job = await self._store.opened_by(interaction_of(quote_id))
            if job is not None and job.user_id == user_id:
                raise QuotePressed from None
            raise

    async def quote_over(self, quote: KeptQuote) -> Over:
        """Wait until a quote is pressed, dismissed or expired; unless it was pressed, its pictures are gone then.

        Cancelled, the quote is gone too.
        """
        try:
            over = await self._kept.over(quote)
        except asyncio.CancelledError:
            if self._kept.withdraw(quote.quote_id):
                await self._pictures.discard(quote.images)
            raise
        if over is not Over.PRESSED:
            await self._pictures.discard(quote.images)
        return over

    async def _use(self, kept: KeptQuote, choice: Choice, place: Place) -> Opened | KeptQuote:
        """Do what a press asks for; the pictures stay the kept quote's where this raises."""
        ask = replace(choice.ask, place=place)
        ground = await self._quoter.ground(ask)
        quote = self._quoter.price(ask, ground)
        check_limits(quote)
        are_right = takes(quote.capability.pictures, kept.images)
        images = kept.images if are_right else await self._asking.take_pictures(ask, quote)
        try:
            if quote.request.price_microusd == choice.price_microusd:
                answer: Opened | KeptQuote = await self._open(ask, quote, images)
            else:
                was_microusd = choice.price_microusd
                answer = await self._asking.keep(
                    ask, ground, quote, images, threshold=kept.threshold, was_microusd=was_microusd
                )
        except (RequestRejected, StoreFailed, DeliveryFailed):
            if not are_right:
                await self._pictures.discard(images)
            raise
        if not are_right:
            await self._pictures.discard(kept.images)
        return answer

    async def _take_and_open(self, ask: Ask, quote: Quote) -> Opened:
        images = await self._asking.take_pictures(ask, quote)
        try:
            return await self._open(ask, quote, images)
        except (RequestRejected, StoreFailed, DeliveryFailed):
            await self._pictures.discard(images)
            raise

    async def _open(self, ask: Ask, quote: Quote, images: tuple[Image, ...]) -> Opened:
        """Set the price aside and open the job; the pictures stay the caller's where this raises."""
        knock: MessageRef | None = None
        if ask.private:
            knock = await self._messenger.knock(
                user_id=ask.user_id, prompt=quote.request.prompt, key=str(ask.interaction_id)
            )
        opening = self._opening(ask, quote, images)
        try:
            job = await self._store.open_job(opening)
        except (RequestRejected, StoreFailed):
            if knock is not None:
                await self._messenger.unknock(knock)
            raise
        if job.job_id != opening.job_id:
            # A second press may hold the very pictures of the first one's job.
            await self._pictures.discard(tuple(image for image in images if image not in job.images))
        self._runner.wake()
        return await self._opened(ask, quote, job)

    async def _opened(self, ask: Ask, quote: Quote, job: Job) -> Opened:
        """Put together what can be said of an open job. The hold is there: whatever fails here is only logged."""
        named = prompts.referenced(job.request.prompt)
        unmentioned = [n for n in range(1, len(job.images) + 1) if n not in named] if ask.mode is Mode.REFERENCE else []
        view, standings = self._views.plain_view(job), quote.standings
        crossings: list[tuple[Standing, int]] = []
        try:
            view = await self._views.view(job)
            standings = await self._quoter.standings(spender_of(ask))
            if job.request.price_microusd and any(is_worth_telling(standing) for standing in standings):
                crossings = await self._guild_store.note_crossings(
                    spender_of(ask), limits=self._limits, now=self._clock.now()
                )
        except Exception:
            # Whatever breaks here, the price is on hold: the answer must say so, and a quote must not be used again.
            log.exception("job opened, but not all can be said of it job_id=%s", job.job_id)
        if quote.why_preview:
            view = replace(view, remark=quote.why_preview)
        return Opened(view=view, standings=standings, unmentioned=tuple(unmentioned), crossings=tuple(crossings))

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

    async def quota(self, spender: Spender) -> tuple[Standing, ...]:
        """Return where the person stands; the whole bot's standing is the operator's business and left out."""
        return (await self._quoter.standings(spender))[:-1]

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
            parent_id=ask.place.parent_id,
            role_ids=ask.place.role_ids,
        )


def new_job_id(now: datetime) -> str:
    """Return 16 characters: ten that sort by time, six at random."""
    number = int(now.timestamp() * 1000) << 30 | secrets.randbits(30)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
