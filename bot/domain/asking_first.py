"""Asks before money is spent: makes the quotes that wait for a press, with what else could be pressed."""

import logging
from collections.abc import Iterable, Iterator
from functools import partial

from bot.domain.errors import RequestRejected, StoreFailed, TooManyFailures
from bot.domain.guild_store import GuildStore
from bot.domain.job_views import JobViews
from bot.domain.kept_quotes import Choice, KeptQuote, KeptQuotes, Threshold
from bot.domain.offers import takes
from bot.domain.ports import Clock, Pictures
from bot.domain.quota import FAILURES_PER_DAY_MAX
from bot.domain.quoting import Ground, Quote, Quoter, check_limits
from bot.domain.request import Ask, Image, Mode
from bot.domain.store import Store
from bot.domain.variants import cheaper, spelled_out, within
from bot.domain.windows import day_ends_at

log = logging.getLogger(__name__)


class AskingFirst:
    """Makes kept quotes. Nothing is held by them; pictures are taken in before anybody sees one."""

    def __init__(
        self,
        *,
        store: Store,
        guild_store: GuildStore,
        quoter: Quoter,
        kept: KeptQuotes,
        pictures: Pictures,
        views: JobViews,
        clock: Clock,
    ) -> None:
        self._store = store
        self._guild_store = guild_store
        self._quoter = quoter
        self._kept = kept
        self._pictures = pictures
        self._views = views
        self._clock = clock

    async def threshold(self, ask: Ask, ground: Ground, quote: Quote) -> Threshold | None:
        """Return the lowest threshold that the price is above: the guild's or the person's own."""
        price_microusd = quote.request.price_microusd
        if not price_microusd:
            return None
        own_microusd = (await self._guild_store.person(ask.user_id)).confirm_above_microusd
        passed = [
            Threshold(above_microusd, own)
            for above_microusd, own in ((ground.settings.confirm_above_microusd, False), (own_microusd, True))
            if above_microusd is not None and price_microusd > above_microusd
        ]
        return min(passed, key=lambda threshold: threshold.above_microusd, default=None)

    async def keep(
        self,
        ask: Ask,
        ground: Ground,
        quote: Quote,
        images: tuple[Image, ...],
        *,
        threshold: Threshold | None,
        was_microusd: int | None = None,
    ) -> KeptQuote:
        """Keep what was asked for, with the cheaper choices that would pass now.

        Raises:
            TooManyFailures: nothing paid would pass.
            StoreFailed: nothing was kept.
        """
        if quote.request.price_microusd and await self._has_failed_too_often(ask):
            raise TooManyFailures(FAILURES_PER_DAY_MAX, window_ends_at=day_ends_at(self._clock.now()))
        asked = Choice(spelled_out(ask, quote.request), quote)
        others = cheaper(ask, quote, partial(self._quoter.offered, ground=ground))
        passing = self._passing(others, ground, quote, is_preview_left=await self._is_preview_left(ask))
        fitting = [choice for choice in passing if takes(choice.quote.capability.pictures, images)]
        return self._kept.keep(
            quote.request,
            (asked, *fitting),
            images,
            usual_s=(await self._views.pace_for(quote.request)).usual_s,
            threshold=threshold,
            was_microusd=was_microusd,
        )

    async def keep_instead(self, ask: Ask) -> KeptQuote | None:
        """Keep the dearest other way to make what a limit refused that would pass now; None where nothing would."""
        try:
            ground = await self._quoter.ground(ask)
            quote = self._quoter.price(ask, ground)
            others = within(ask, quote, partial(self._quoter.offered, ground=ground))
            is_preview_left, is_paid_left = await self._is_preview_left(ask), not await self._has_failed_too_often(ask)
            for choice in self._passing(others, ground, quote, is_preview_left=is_preview_left):
                if choice.price_microusd and not is_paid_left:
                    continue
                return self._kept.keep(quote.request, (choice,), await self.take_pictures(choice.ask, choice.quote))
        except (RequestRejected, StoreFailed) as error:
            log.info("nothing offered instead interaction_id=%d error=%s", ask.interaction_id, type(error).__name__)
        return None

    async def take_pictures(self, ask: Ask, quote: Quote) -> tuple[Image, ...]:
        """Take the pictures in.

        Raises:
            PictureRejected, StoreFailed: nothing was kept.
        """
        if quote.capability.pictures is None:
            return ()
        ratio = ask.ratio if ask.mode is Mode.IMAGE else None
        return await self._pictures.take(ask.attachments, rules=quote.capability.pictures, ratio=ratio, mode=ask.mode)

    def _passing(self, asks: Iterable[Ask], ground: Ground, quote: Quote, *, is_preview_left: bool) -> Iterator[Choice]:
        """Yield those that rules, gateways and limits let through, and that are really cheaper."""
        for ask in asks:
            try:
                other = self._quoter.price(ask, ground)
                check_limits(other)
            except RequestRejected:
                continue
            price_microusd = other.request.price_microusd
            if price_microusd < quote.request.price_microusd and (price_microusd or is_preview_left):
                yield Choice(ask, other)

    async def _has_failed_too_often(self, ask: Ask) -> bool:
        failures = await self._store.failures_today(user_id=ask.user_id, now=self._clock.now())
        return failures >= FAILURES_PER_DAY_MAX

    async def _is_preview_left(self, ask: Ask) -> bool:
        most = self._quoter.previews_per_day
        return most is None or await self._store.previews_today(user_id=ask.user_id, now=self._clock.now()) < most
