"""Which gateway can do a request, at what price, and if not, why not."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from bot.domain import prompt as prompts
from bot.domain.defaults import Options
from bot.domain.errors import GatewayRejected, OptionRejected, RequestRejected, Unavailable
from bot.domain.job import Job
from bot.domain.pricing import Capabilities, ModeCapability
from bot.domain.request import GATEWAY_AUTO, RATIO_DEFAULT, RATIOS, Ask, Image, Mode, PictureRules, Place, Resolution

# Reasons that lie in the set-up, not in what was asked: with these alone in the way, a preview is made instead.
_SET_UP = frozenset({Unavailable.NO_KEY, Unavailable.NO_PRICE, Unavailable.GUILD_NOT_SERVED, Unavailable.RULE})


@dataclass(frozen=True, slots=True)
class Wish:
    """The part of an ask that decides the gateway."""

    mode: Mode
    resolution: Resolution
    duration_s: int
    ratio: str | None
    seed: bool
    negative_prompt: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What one gateway would take for a wish; where it cannot, `price_microusd` is None and `problem` says why."""

    capabilities: Capabilities
    price_microusd: int | None
    problem: RequestRejected | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """Who may spend the operator's money: `guild_ids` None is every guild; empty is guilds owned by an operator."""

    guild_ids: frozenset[int] | None
    operator_ids: Callable[[], frozenset[int]]

    def may_pay(self, place: Place, *, user_id: int) -> bool:
        if self.guild_ids is None:
            return True
        if place.guild_id is None:
            return user_id in self.operator_ids()
        if self.guild_ids:
            return place.guild_id in self.guild_ids
        return place.guild_owner_id in self.operator_ids()


def wish_of(ask: Ask, options: Options) -> Wish:
    return Wish(
        mode=ask.mode,
        resolution=options.resolution,
        duration_s=options.duration_s,
        ratio=options.ratio,
        seed=ask.seed is not None,
        negative_prompt=bool(ask.negative_prompt),
    )


def offers(
    gateways: Iterable[Capabilities],
    wish: Wish,
    *,
    may_pay: bool,
    out: Container[str] = (),
    allowed: Container[str] | None = None,
) -> list[Offer]:
    """Return one offer for each gateway: the ones that can do it first, paid before free, the cheapest first.

    `out` are the names of gateways that take nothing at the moment. `allowed` are those that the guild's rules let
    people pay; None is all.
    """
    made = []
    for facts in gateways:
        forbidden = allowed is not None and not facts.free and facts.gateway not in allowed
        problem = _problem(facts, wish, may_pay=may_pay, out=facts.gateway in out, forbidden=forbidden)
        price = facts.price_microusd(resolution=wish.resolution, duration_s=wish.duration_s)
        made.append(Offer(facts, None if problem else price, problem))
    return sorted(
        made, key=lambda offer: (offer.problem is not None, offer.capabilities.free, offer.price_microusd or 0)
    )


def choose(made: list[Offer], wish: Wish, *, named: str) -> Offer:
    """Return the offer to take: the named gateway's, or for ``auto`` the cheapest paid one.

    With ``auto`` the free gateway is taken only where the set-up leaves no paid one for this mode.

    Raises:
        GatewayRejected, OptionRejected: the named gateway, or every paid one, cannot do it.
    """
    if named != GATEWAY_AUTO:
        return _taken(_named(made, wish, named))
    paid = [offer for offer in made if not offer.capabilities.free]
    able = [offer for offer in paid if offer.problem is None]
    if able:
        return able[0]
    in_the_way = [offer.problem for offer in paid if offer.problem and not _is_set_up(offer, wish)]
    if not in_the_way:
        return _taken(next(offer for offer in made if offer.capabilities.free))
    if any(isinstance(problem, GatewayRejected) and problem.why is Unavailable.OUT for problem in in_the_way):
        # What the others lack is not what stands in the way: this one would have done it.
        raise GatewayRejected("", Unavailable.OUT, wish.mode)
    raise _without_a_name(max(in_the_way, key=lambda problem: _how_far(problem, wish)), paid, wish)


def elsewhere(gateways: Iterable[Capabilities], job: Job, *, tried: Container[str]) -> Capabilities | None:
    """Return the cheapest other paid gateway that makes the very same, with these pictures, within the hold."""
    request = job.request
    wish = Wish(
        mode=request.mode,
        resolution=request.resolution,
        duration_s=request.duration_s,
        ratio=request.ratio,
        seed=request.seed is not None,
        negative_prompt=bool(request.negative_prompt),
    )
    for offer in offers(gateways, wish, may_pay=True):
        facts, price = offer.capabilities, offer.price_microusd
        if price is None or facts.free or facts.gateway in tried or price > request.price_microusd:
            continue
        if job.gateways is not None and facts.gateway not in job.gateways:
            continue
        capability = facts.modes[request.mode]
        # Pictures have longer names elsewhere, and what weighs too much is cut silently and billed.
        weight = prompts.weight(prompts.render_tokens(request.prompt, capability.picture_token))
        if takes(capability.pictures, job.images) and weight <= prompts.WEIGHT_MAX:
            return facts
    return None


def takes(rules: PictureRules | None, images: tuple[Image, ...]) -> bool:
    """Say whether pictures prepared for another gateway fit this one's rules as they are."""
    if rules is None:
        return not images
    return rules.count_min <= len(images) <= rules.count_max and all(
        min(image.width, image.height) >= rules.short_side_min_px
        and image.bytes_count <= rules.bytes_max
        and max(image.width, image.height) <= rules.elongation_max * min(image.width, image.height)
        for image in images
    )


def _how_far(problem: RequestRejected, wish: Wish) -> int:
    """Say how many of the options a gateway could do before this one stood in the way."""
    options = [option for option, _ in _asked(wish)]
    return options.index(problem.option) if isinstance(problem, OptionRejected) else -1


def _is_set_up(offer: Offer, wish: Wish) -> bool:
    """Say whether this gateway could not have been used for the mode, whatever else was asked."""
    problem = offer.problem
    if not isinstance(problem, GatewayRejected):
        return False
    if problem.why is Unavailable.NO_PRICE:
        return not offer.capabilities.prices
    lacks_mode = problem.why in {Unavailable.MODE, Unavailable.NEEDS_PICTURES} and wish.mode is not Mode.REFERENCE
    return problem.why in _SET_UP or lacks_mode


def _taken(offer: Offer) -> Offer:
    if offer.problem is not None:
        raise offer.problem
    return offer


def _named(made: list[Offer], wish: Wish, named: str) -> Offer:
    for offer in made:
        if offer.capabilities.gateway == named:
            return offer
    allowed = (GATEWAY_AUTO, *sorted(offer.capabilities.gateway for offer in made))
    raise GatewayRejected(named, Unavailable.NO_SUCH_GATEWAY, wish.mode, allowed)


def _without_a_name(problem: RequestRejected, paid: list[Offer], wish: Wish) -> RequestRejected:
    """Turn one gateway's problem into that of all: with ``auto`` the person named none."""
    if not isinstance(problem, OptionRejected):
        return problem
    allowed: list[str] = []
    for offer in paid:
        capability = offer.capabilities.modes.get(wish.mode)
        if capability is not None and _stands_there(offer.problem, problem.option):
            allowed += [value for value in _allowed(capability, problem.option) if value not in allowed]
    return OptionRejected(problem.option, problem.value, "", tuple(allowed))


def _stands_there(problem: RequestRejected | None, option: str) -> bool:
    return isinstance(problem, OptionRejected) and problem.option == option


def _problem(
    capabilities: Capabilities, wish: Wish, *, may_pay: bool, out: bool, forbidden: bool
) -> RequestRejected | None:
    def rejected(why: Unavailable) -> GatewayRejected:
        return GatewayRejected(capabilities.title, why, wish.mode)

    capability = capabilities.modes.get(wish.mode)
    price = capabilities.price_microusd(resolution=wish.resolution, duration_s=wish.duration_s)
    if capability is None:
        return rejected(Unavailable.NEEDS_PICTURES if Mode.REFERENCE in capabilities.modes else Unavailable.MODE)
    if closed := _closed(capabilities, may_pay=may_pay, forbidden=forbidden):
        return rejected(closed)
    for option, value in _asked(wish) if capabilities.free or capabilities.prices else ():
        allowed = _allowed(capability, option)
        if value not in allowed:
            return OptionRejected(option, value, capabilities.title, allowed)
    if price is None:
        return rejected(Unavailable.NO_PRICE)
    return rejected(Unavailable.OUT) if out else None


def _closed(capabilities: Capabilities, *, may_pay: bool, forbidden: bool) -> Unavailable | None:
    """Say why the gateway is closed, whatever is asked of it."""
    if not capabilities.configured:
        return Unavailable.NO_KEY
    if not capabilities.free and not may_pay:
        return Unavailable.GUILD_NOT_SERVED
    return Unavailable.RULE if forbidden else None


def _asked(wish: Wish) -> list[tuple[str, str]]:
    """Return what was asked, the rarest first: what a gateway that has it lacks beside is what stands in the way."""
    asked = [("seed", "given")] if wish.seed else []
    asked += [("negative_prompt", "given")] if wish.negative_prompt else []
    asked += [("duration", str(wish.duration_s)), ("resolution", wish.resolution.value)]
    # In image mode the picture is the ratio; a given one only shapes the picture, so that every known one will do.
    ratio = "ratio of the picture" if wish.mode is Mode.IMAGE else "ratio"
    return [*asked, (ratio, wish.ratio or RATIO_DEFAULT)]


def _allowed(capability: ModeCapability, option: str) -> tuple[str, ...]:
    """Return the values of an option that a model takes; a switch it has takes ``given``."""
    match option:
        case "duration":
            return tuple(str(s) for s in range(capability.duration_min_s, capability.duration_max_s + 1))
        case "resolution":
            return tuple(resolution.value for resolution in capability.resolutions)
        case "ratio":
            return capability.ratios
        case "seed":
            return ("given",) if capability.seed else ()
        case "negative_prompt":
            return ("given",) if capability.negative_prompt else ()
        case _:
            return RATIOS
