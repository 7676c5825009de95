"""Checks and prices a request: against the guild's settings and rules, the gateways and every limit. Holds nothing."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.domain import prompt as prompts
from bot.domain.breakers import Breakers
from bot.domain.defaults import Options, check_rules, loosened, options_of
from bot.domain.errors import (
    Blocked,
    ChannelRejected,
    GatewayRejected,
    OptionRejected,
    Paused,
    PictureCountRejected,
    PlaceRejected,
    QuotaExceeded,
    RequestRejected,
    RoleRejected,
    Unavailable,
    WordRejected,
)
from bot.domain.guild import Defaults, GuildSettings
from bot.domain.guild_store import GuildStore
from bot.domain.offers import Offer, Serving, choose, offers, wish_of
from bot.domain.ports import Clock, Gateway, Patterns
from bot.domain.pricing import ModeCapability, Overbilled
from bot.domain.quota import LimitKind, Limits, Measure, Spender, Standing, in_the_way
from bot.domain.request import GATEWAY_AUTO, PICTURE_COUNTS, Ask, Mode, VideoRequest
from bot.domain.rules import Allowed, allowed_by
from bot.domain.store import Store

log = logging.getLogger(__name__)

_PREVIEW = "so this is a free preview: pictures in slow moves, no generated video."
PREVIEW_WHY_UNSET = f"No paid gateway is set up for this, {_PREVIEW}"
PREVIEW_WHY_UNSERVED = f"The operator has not opened paid gateways here, {_PREVIEW}"
PREVIEW_WHY_RULE = f"This server's rules allow no paid gateway for this, {_PREVIEW}"
_NO_GUILD = GuildSettings(guild_id=0)


@dataclass(frozen=True, slots=True)
class Ground:
    """What an ask stands on, read once. `prompt` is in neutral form; the guild allows the person and the words."""

    prompt: str
    settings: GuildSettings
    allowed: Allowed
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """A checked request with its price, and where the person stands before it. Nothing is held by a quote.

    `is_named`: a certain gateway was asked for, not simply the cheapest. `why_preview` says why a preview is made that
    nobody asked for; empty where that is not so.
    """

    request: VideoRequest
    offer: Offer
    capability: ModeCapability
    standings: tuple[Standing, ...]
    is_named: bool
    why_preview: str = ""


class Quoter:
    """Prices requests; reads only."""

    def __init__(
        self,
        *,
        store: Store,
        guild_store: GuildStore,
        gateways: Mapping[str, Gateway],
        patterns: Patterns,
        serving: Serving,
        overbilled: Overbilled,
        breakers: Breakers,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._store = store
        self._guild_store = guild_store
        self._gateways = gateways
        self._patterns = patterns
        self._serving = serving
        self._overbilled = overbilled
        self._breakers = breakers
        self._limits = limits
        self._clock = clock

    @property
    def previews_per_day(self) -> int | None:
        """How many free jobs a person may ask for in a day; None does not count them."""
        counts = (gateway.capabilities.jobs_per_user_day for gateway in self._gateways.values())
        return min((count for count in counts if count is not None), default=None)

    def offers(self, ask: Ask) -> list[Offer]:
        """Return what each gateway would take, whatever the guild decided; at once and without I/O."""
        return self._made(ask, options_of(ask, Defaults(), Allowed()), Allowed())

    async def offers_and_auto(self, ask: Ask) -> tuple[list[Offer], Offer | None]:
        """Return what each gateway would take, and what ``auto`` would: None where that is nothing."""
        settings, allowed = await self._decided(ask)
        options = options_of(ask, settings.defaults, allowed)
        made = self._made(ask, options, allowed)
        try:
            check_rules(options, allowed)
            return made, choose(made, wish_of(ask, options), named=GATEWAY_AUTO)
        except OptionRejected as problem:
            return [Offer(offer.capabilities, None, problem) for offer in made] if problem.by_rule else made, None
        except RequestRejected:
            return made, None

    async def ground(self, ask: Ask) -> Ground:
        """Check what no option changes: place, pictures' count, prompt, and what the guild decided about the person.

        Raises:
            RequestRejected: nothing was held.
        """
        place = ask.place
        if place.missing and not ask.private:
            raise PlaceRejected(place.missing)
        check_count(ask, *PICTURE_COUNTS[ask.mode])
        neutral = prompts.check(ask.prompt, pictures=len(ask.attachments))
        settings, allowed = await self._decided(ask)
        if await self._store.paused():
            raise Paused
        if place.guild_id is not None:
            await self._check_person(ask, settings, place.guild_id)
            await self._check_words(ask, neutral, place.guild_id)
        return Ground(neutral, settings, allowed, await self.standings(spender_of(ask)))

    async def standings(self, spender: Spender) -> tuple[Standing, ...]:
        return await self._store.standings(spender, limits=self._limits, now=self._clock.now())

    def price(self, ask: Ask, ground: Ground) -> Quote:
        """Choose options and gateway within the rules, and price it; limits are not looked at.

        Raises:
            RequestRejected: nothing was held.
        """
        options, offer = self._chosen(ask, ground)
        capability = offer.capabilities.modes[ask.mode]
        if capability.pictures is not None:
            check_count(ask, capability.pictures.count_min, capability.pictures.count_max)
        if ask.mode is Mode.REFERENCE:
            prompts.check_weight(prompts.render_tokens(ground.prompt, capability.picture_token))
        request = _request(ask, ground.prompt, options, offer)
        return Quote(
            request,
            offer,
            capability,
            ground.standings,
            is_named=options.gateway != GATEWAY_AUTO,
            why_preview=self._why_preview(ask, options, ground, request),
        )

    async def quote(self, ask: Ask) -> Quote:
        """Check everything but the pictures' bytes, and price it.

        Raises:
            RequestRejected: nothing was held.
        """
        quote = self.price(ask, await self.ground(ask))
        check_limits(quote)
        return quote

    def offered(self, ask: Ask, ground: Ground) -> list[Offer]:
        """Return what each gateway would take for an ask on that ground, the cheapest first."""
        return self._made(ask, options_of(ask, ground.settings.defaults, ground.allowed), ground.allowed)

    async def _decided(self, ask: Ask) -> tuple[GuildSettings, Allowed]:
        """Return what the guild decided; in a direct message nobody decides but the operator."""
        if ask.place.guild_id is None:
            return _NO_GUILD, Allowed()
        rules = await self._guild_store.rules_for(spender_of(ask))
        return await self._guild_store.guild(ask.place.guild_id), allowed_by(rules)

    async def _check_person(self, ask: Ask, settings: GuildSettings, guild_id: int) -> None:
        block = await self._guild_store.block_of(user_id=ask.user_id, guild_id=guild_id, now=self._clock.now())
        if block is not None:
            raise Blocked(block.until)
        if settings.paused:
            raise Paused(by_guild=True)
        if settings.channel_ids and spender_of(ask).channel_id not in settings.channel_ids:
            raise ChannelRejected(tuple(sorted(settings.channel_ids)))
        if settings.role_ids and not settings.role_ids & ask.place.role_ids:
            raise RoleRejected(tuple(sorted(settings.role_ids)))

    async def _check_words(self, ask: Ask, neutral: str, guild_id: int) -> None:
        words = await self._guild_store.words(guild_id)
        texts = (neutral, prompts.clean(ask.negative_prompt or "")) if words else ()
        for text in filter(None, texts):
            if await asyncio.to_thread(self._patterns.found, words, text):
                log.info("prompt refused by blocklist guild_id=%d user_id=%d", guild_id, ask.user_id)
                raise WordRejected

    def _chosen(self, ask: Ask, ground: Ground) -> tuple[Options, Offer]:
        """Choose the gateway; defaults of the guild that stand in the way give way one by one."""
        options = options_of(ask, ground.settings.defaults, ground.allowed)
        while True:
            check_rules(options, ground.allowed)
            made = self._made(ask, options, ground.allowed)
            try:
                return options, choose(made, wish_of(ask, options), named=options.gateway)
            except (GatewayRejected, OptionRejected) as problem:
                loose = loosened(ask, options, ground.allowed, problem)
                if loose is None:
                    raise
                options = loose

    def _made(self, ask: Ask, options: Options, allowed: Allowed) -> list[Offer]:
        known = [self._overbilled.without(gateway.capabilities, ask.mode) for gateway in self._gateways.values()]
        return offers(
            known,
            wish_of(ask, options),
            may_pay=self._may_pay(ask),
            out={name for name in self._gateways if self._breakers.is_out(name)},
            allowed=allowed.gateways,
        )

    def _may_pay(self, ask: Ask) -> bool:
        return self._serving.may_pay(ask.place, user_id=ask.user_id)

    def _why_preview(self, ask: Ask, options: Options, ground: Ground, request: VideoRequest) -> str:
        if request.pinned or not self._gateways[request.gateway].capabilities.free:
            return ""
        problems = [offer.problem for offer in self._made(ask, options, ground.allowed)]
        if any(isinstance(problem, GatewayRejected) and problem.why is Unavailable.RULE for problem in problems):
            return PREVIEW_WHY_RULE
        return PREVIEW_WHY_UNSET if self._may_pay(ask) else PREVIEW_WHY_UNSERVED


def check_limits(quote: Quote) -> None:
    """Refuse what a limit does not allow.

    Raises:
        QuotaExceeded: nothing was held.
    """
    standing = in_the_way(quote.standings, quote.request.price_microusd)
    if standing is not None:
        raise QuotaExceeded(quote.request.price_microusd, standing)


def after_hold(standing: Standing, price_microusd: int) -> Standing:
    """Return where the person would stand with one more hold of that price."""
    granted = standing.beyond_microusd(price_microusd) if standing.kind is LimitKind.MEMBER else 0
    is_money = standing.measure is Measure.MONEY
    return replace(
        standing,
        committed=standing.committed + (price_microusd if is_money else 1),
        on_hold=standing.on_hold + (price_microusd if is_money else 0),
        granted=standing.granted + (granted if is_money else min(granted, 1)),
        grants_left_microusd=standing.grants_left_microusd - min(granted, standing.grants_left_microusd),
    )


def check_count(ask: Ask, count_min: int, count_max: int) -> None:
    if not count_min <= len(ask.attachments) <= count_max:
        raise PictureCountRejected(ask.mode, len(ask.attachments), count_min, count_max)


def spender_of(ask: Ask) -> Spender:
    """Return who would spend: rules know a thread by its channel."""
    place = ask.place
    return Spender(ask.user_id, place.guild_id, place.parent_id or place.channel_id, place.role_ids)


def _request(ask: Ask, neutral: str, options: Options, offer: Offer) -> VideoRequest:
    negative = prompts.clean(ask.negative_prompt or "")
    # The guild's default gateway may be left for another one, as any that nobody named; a preview is left for none.
    named = ask.gateway is not None or offer.capabilities.free
    return VideoRequest(
        mode=ask.mode,
        prompt=neutral,
        resolution=options.resolution,
        ratio=None if ask.mode is Mode.IMAGE else options.ratio,
        duration_s=options.duration_s,
        gateway=offer.capabilities.gateway,
        pinned=named and options.gateway != GATEWAY_AUTO,
        price_microusd=offer.price_microusd or 0,
        seed=ask.seed,
        negative_prompt=negative if prompts.is_visible(negative) else None,
        private=ask.private,
    )
