"""A request's options: what the person gave, else the guild's defaults, else the built-in ones; within the rules."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bot.domain.errors import GatewayRejected, OptionRejected, RequestRejected, Unavailable
from bot.domain.guild import Defaults
from bot.domain.request import DURATION_MIN_S, GATEWAY_AUTO, RATIO_DEFAULT, RATIOS, Ask, Mode, Resolution
from bot.domain.rules import Allowed

_BUILT_IN = Defaults()


@dataclass(frozen=True, slots=True)
class Options:
    """The options that count. `ratio` is None only where the picture is the ratio; `gateway` is a name or ``auto``."""

    resolution: Resolution
    duration_s: int
    ratio: str | None
    gateway: str


def options_of(ask: Ask, defaults: Defaults, allowed: Allowed) -> Options:
    """Fill in what the person did not give; a default that rules forbid gives way to the built-in one."""
    resolution, duration_s, ratio = defaults.resolution, defaults.duration_s, defaults.ratio or RATIO_DEFAULT
    if _forbids(allowed.resolutions, resolution.value):
        resolution = _BUILT_IN.resolution
    if allowed.duration_max_s is not None and duration_s > allowed.duration_max_s:
        duration_s = _BUILT_IN.duration_s
    if _forbids(allowed.ratios, ratio):
        ratio = RATIO_DEFAULT
    gateway = defaults.gateway if ask.gateway is None else ask.gateway
    return Options(
        resolution=ask.resolution or resolution,
        duration_s=duration_s if ask.duration_s is None else ask.duration_s,
        ratio=ask.ratio if ask.mode is Mode.IMAGE else ask.ratio or ratio,
        gateway=gateway.strip().casefold(),
    )


def check_rules(options: Options, allowed: Allowed) -> None:
    """Refuse what the guild's rules do not allow.

    Raises:
        OptionRejected: by a rule.
    """
    longest_s = allowed.duration_max_s
    if _forbids(allowed.resolutions, options.resolution.value):
        values = tuple(each.value for each in Resolution if not _forbids(allowed.resolutions, each.value))
        raise OptionRejected("resolution", options.resolution.value, allowed=values, by_rule=True)
    if longest_s is not None and options.duration_s > longest_s:
        values = tuple(str(seconds) for seconds in range(DURATION_MIN_S, longest_s + 1))
        raise OptionRejected("duration", str(options.duration_s), allowed=values, by_rule=True)
    if options.ratio is not None and _forbids(allowed.ratios, options.ratio):
        values = tuple(ratio for ratio in RATIOS if not _forbids(allowed.ratios, ratio))
        raise OptionRejected("ratio", options.ratio, allowed=values, by_rule=True)


def loosened(ask: Ask, options: Options, allowed: Allowed, problem: RequestRejected) -> Options | None:
    """Return the options with one default of the guild less, where it may be that which stood in the way.

    None: nothing is left but what the person gave, what is built in, and what rules forbid to take instead.
    """
    option = problem.option if isinstance(problem, OptionRejected) else ""
    if isinstance(problem, GatewayRejected) and problem.why is Unavailable.NO_PRICE:
        option = "resolution"
    gateway_is_free = ask.gateway is None and options.gateway != GATEWAY_AUTO
    if gateway_is_free and isinstance(problem, GatewayRejected):
        return replace(options, gateway=GATEWAY_AUTO)
    for loose in _without_a_default(ask, options, option):
        if loose != options and keeps_rules(loose, allowed):
            return loose
    return replace(options, gateway=GATEWAY_AUTO) if gateway_is_free else None


def _without_a_default(ask: Ask, options: Options, option: str) -> Iterator[Options]:
    if option == "resolution" and ask.resolution is None:
        yield replace(options, resolution=_BUILT_IN.resolution)
    if option == "duration" and ask.duration_s is None:
        yield replace(options, duration_s=_BUILT_IN.duration_s)
    if option == "ratio" and ask.ratio is None:
        yield replace(options, ratio=RATIO_DEFAULT)


def keeps_rules(options: Options, allowed: Allowed) -> bool:
    try:
        check_rules(options, allowed)
    except OptionRejected:
        return False
    return True


def _forbids(values: frozenset[str] | None, value: str) -> bool:
    return values is not None and value not in values
