"""Which other ways there are to make what was asked, for less money."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from bot.domain.offers import Offer
from bot.domain.quota import in_the_way
from bot.domain.quoting import Quote
from bot.domain.request import DURATION_DEFAULT_S, DURATION_MIN_S, Ask, Resolution, VideoRequest

Offered = Callable[[Ask], list[Offer]]


def spelled_out(ask: Ask, request: VideoRequest) -> Ask:
    """Return the ask with its options as they were decided, so that no default can change them any more."""
    ratio = request.ratio or ask.ratio
    return replace(ask, resolution=request.resolution, duration_s=request.duration_s, ratio=ratio)


def cheaper(ask: Ask, quote: Quote, offered: Offered) -> Iterator[Ask]:
    """Yield the ways that may be cheaper: a smaller picture, the usual length, another gateway, a free preview."""
    request, full = quote.request, spelled_out(ask, quote.request)
    if request.resolution is Resolution.P1080:
        yield replace(full, resolution=Resolution.P720)
    if request.duration_s > DURATION_DEFAULT_S:
        yield replace(full, duration_s=DURATION_DEFAULT_S)
    for offer in _payable(full, quote, offered)[:1]:
        if offer.capabilities.gateway != request.gateway:
            yield replace(full, gateway=offer.capabilities.gateway)
    yield from _previews(full, offered)


def within(ask: Ask, quote: Quote, offered: Offered) -> Iterator[Ask]:
    """Yield the ways that the limits would allow, at last the free preview.

    They are smaller, shorter by whole seconds, or made by another gateway where not simply the cheapest was asked for.
    Those of full length come first, of these the dearest: it is nearest to what was asked.
    """
    request, full = quote.request, spelled_out(ask, quote.request)
    found: list[tuple[tuple[bool, int, bool], Ask]] = []
    for smaller in _smaller(full, request):
        payable = _payable(smaller, quote, offered)
        for offer in payable if quote.is_named else payable[:1]:
            price_microusd, name = offer.price_microusd or 0, offer.capabilities.gateway
            if in_the_way(quote.standings, price_microusd) is None:
                is_own = name == request.gateway or not quote.is_named
                nearness = (smaller.duration_s == request.duration_s, price_microusd, is_own)
                found.append((nearness, smaller if is_own else replace(smaller, gateway=name)))
    # Of equally near ones the larger and longer come first, as they were found.
    yield from (each for _, each in sorted(found, key=lambda one: one[0], reverse=True))
    yield from _previews(full, offered)


def _smaller(full: Ask, request: VideoRequest) -> Iterator[Ask]:
    large = request.resolution is Resolution.P1080
    for resolution in (Resolution.P1080, Resolution.P720) if large else (request.resolution,):
        for duration_s in range(request.duration_s, DURATION_MIN_S - 1, -1):
            yield replace(full, resolution=resolution, duration_s=duration_s)


def _payable(ask: Ask, quote: Quote, offered: Offered) -> list[Offer]:
    """Return the paid offers below the quoted price, the cheapest first."""
    return [
        offer
        for offer in offered(ask)
        if not offer.capabilities.free
        and offer.price_microusd is not None
        and offer.price_microusd < quote.request.price_microusd
    ]


def _previews(full: Ask, offered: Offered) -> Iterator[Ask]:
    """Yield the free preview; what no preview can do is left out of it."""
    preview = replace(full, seed=None, negative_prompt=None)
    for offer in offered(preview):
        if offer.capabilities.free:
            yield replace(preview, gateway=offer.capabilities.gateway)
