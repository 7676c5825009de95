"""What stands in the lists that Discord shows while an option is typed: gateways with their price, and own jobs."""

from bot.domain.errors import GatewayRejected, OptionRejected, RequestRejected, Unavailable
from bot.domain.job import CardFace
from bot.domain.money import show_usd
from bot.domain.offers import Offer
from bot.domain.ports import CardView
from bot.presentation.markdown import label
from bot.presentation.words import DOT, FREE, gateway_and_model

CHOICE_CHARACTERS_MAX = 100

FACE_WORDS = {
    CardFace.HELD: "in line",
    CardFace.RENDERING: "rendering",
    CardFace.SLOW: "rendering",
    CardFace.POSTING: "posting",
    CardFace.UNCONFIRMED: "not confirmed",
    CardFace.DELIVERED: "posted",
    CardFace.KEPT: "kept",
    CardFace.CANCELLED: "cancelled",
    CardFace.FAILED: "failed",
    CardFace.LOST: "lost",
}

_WHY = {
    Unavailable.NO_SUCH_GATEWAY: "unknown",
    Unavailable.NO_KEY: "has no key here",
    Unavailable.NO_PRICE: "has no price here",
    Unavailable.GUILD_NOT_SERVED: "not open here",
    Unavailable.NEEDS_PICTURES: "needs reference pictures",
    Unavailable.MODE: "cannot do this",
    Unavailable.OUT: "takes no jobs at the moment",
    Unavailable.RULE: "not allowed on this server",
}


def gateway_choice(offer: Offer) -> str:
    """Return ``ShortAPI, HappyHorse 1.0 · $0.645``, or why not: ``PixelDojo · needs reference pictures``."""
    facts = offer.capabilities
    if offer.problem is not None:
        return f"{facts.title}{DOT}{why_not(offer.problem)}"[:CHOICE_CHARACTERS_MAX]
    name = facts.title if facts.free else gateway_and_model(facts.title, facts.model_title)
    return f"{name}{DOT}{price(offer)}"[:CHOICE_CHARACTERS_MAX]


def auto_choice(taken: Offer | None) -> str:
    """Return the first choice; `taken` is the offer that ``auto`` would take, None where there is none."""
    if taken is None:
        return f"auto{DOT}no gateway can do this"
    return f"auto{DOT}the cheapest that can do it: {taken.capabilities.title}, {price(taken)}"


def price(offer: Offer) -> str:
    return FREE if offer.capabilities.free else show_usd(offer.price_microusd or 0)


def why_not(problem: RequestRejected) -> str:
    """Return in a few words why a gateway cannot be chosen: ``needs reference pictures``."""
    if isinstance(problem, GatewayRejected):
        return _WHY[problem.why]
    if isinstance(problem, OptionRejected) and problem.by_rule:
        unit = " s" if problem.option == "duration" else ""
        return f"{problem.value}{unit} is not allowed on this server"
    if isinstance(problem, OptionRejected):
        if problem.option in {"seed", "negative_prompt"}:
            return f"takes no {problem.option.replace('_', ' ')}"
        return f"has no {problem.option} {problem.value}"
    return "cannot do this"


def job_choice(view: CardView) -> str:
    """Return the prompt's beginning and where the job stands; the end of the job id makes it unique, as it must be."""
    job = view.job
    facts = (FACE_WORDS[job.face], f"{job.request.duration_s} s", view.gateway_title, f"…{job.job_id[-5:]}")
    end = "".join(f"{DOT}{fact}" for fact in facts)
    return f"{label(job.request.prompt, characters_max=40)}{end}"[:CHOICE_CHARACTERS_MAX]
