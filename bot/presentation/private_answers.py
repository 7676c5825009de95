"""The private answers that are no refusal: an accepted job, history and help."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.domain.errors import GatewayRejected, Unavailable
from bot.domain.job import FINAL_STATES, Job
from bot.domain.money import show_usd
from bot.domain.offers import Offer
from bot.domain.ports import CardView
from bot.domain.quota import LimitKind, narrowest
from bot.domain.request import DURATION_DEFAULT_S, DURATION_MAX_S, DURATION_MIN_S, PICTURES_MAX, Mode, Resolution
from bot.domain.video_service import Opened
from bot.presentation import endings
from bot.presentation.choices import FACE_WORDS
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.limit_words import left_words
from bot.presentation.markdown import shown
from bot.presentation.quota import crossing_text
from bot.presentation.words import DOT, FREE, gateway_and_model, listed, money, ordinal, show_command, stamp

_UNMENTIONED_MAX = 3
_CROSSINGS_MAX = 3
NOT_SENT = "Discord did not take the video just now. Try again in a minute."
NO_JOBS = "You have no videos yet. `/video text` makes the first one, `/video help` shows how."


def opened_text(opened: Opened, link: str | None) -> str:
    """Return the answer to an accepted command; `link` is the card's address once it is posted."""
    view = opened.view
    # Once the card is there it says when the video is due; an estimate here would only grow old.
    line = _line(replace(view, usually_done_at=None) if link else view)
    lines = [_held(opened), *_crossings(opened), line, view.remark, _unmentioned(opened.unmentioned)]
    if view.job.request.private:
        lines.append(f"It comes by direct message{f': {link}' if link else '.'}")
    elif link:
        lines.append(f"Follow it here: {link}")
    return "\n".join(line for line in lines if line)


def _held(opened: Opened) -> str:
    if opened.view.free:
        return f"{FREE[0].upper()}{FREE[1:]}, nothing is charged."
    # How much the whole bot may still spend is the operator's business.
    own = tuple(standing for standing in opened.standings if standing.kind is not LimitKind.BOT)
    least = narrowest(own)
    held = f"{show_usd(opened.view.job.request.price_microusd)} on hold"
    if least is None:
        return f"{held}."
    return f"{held}; {left_words(least)}."


def _crossings(opened: Opened) -> Iterator[str]:
    """Yield how much of each limit is used now, where that was not said before; the fullest first."""
    fullest_first = sorted(opened.crossings, key=lambda crossing: crossing[1], reverse=True)
    yield from (crossing_text(*crossing) for crossing in fullest_first[:_CROSSINGS_MAX])
    if len(fullest_first) > _CROSSINGS_MAX:
        yield "More limits are half used or more: `/video quota` shows them."


def _line(view: CardView) -> str:
    place = f"{ordinal(view.place_in_line)} in line" if view.place_in_line else ""
    done = f"usually done {stamp(view.usually_done_at)}" if view.usually_done_at else ""
    both = DOT.join(part for part in (place, done) if part)
    return f"{both[0].upper()}{both[1:]}." if both else ""


def _unmentioned(numbers: tuple[int, ...]) -> str:
    if not numbers:
        return ""
    if len(numbers) > _UNMENTIONED_MAX:
        return f"The prompt does not name {len(numbers)} pictures. Next time write [Image 1] and so on for them."
    pictures = "picture" if len(numbers) == 1 else "pictures"
    names = listed([str(number) for number in numbers])
    tokens = listed([f"[Image {number}]" for number in numbers])
    where = "it belongs" if len(numbers) == 1 else "they belong"
    return f"The prompt does not name {pictures} {names}. Next time write {tokens} where {where}."


def ended_text(view: CardView) -> str:
    """Return how a job ended that has no card, or was just cancelled."""
    return endings.sentence(view)


def no_video_text(view: CardView) -> str:
    """Return why a job has no video to show."""
    job = view.job
    if job.video is not None:
        return "This video is no longer kept."
    if job.state in FINAL_STATES:
        return endings.sentence(view)
    return f"There is no video yet: {FACE_WORDS[job.face]}. `/video status job:{job.job_id}` shows more."


def too_large_text(job: Job, *, limit_bytes: int, link: str | None) -> str:
    """Return how to get a video that is larger than Discord takes from the bot here."""
    size_mib = (job.video.bytes_count if job.video else 0) / 2**20
    where = f"It was posted here: {link}" if link else f"{show_command(job)} works where larger files are allowed."
    return f"The video has {size_mib:.1f} MiB; Discord takes {limit_bytes / 2**20:.1f} MiB here.\n{where}"


def history_card(views: Sequence[CardView]) -> Layout:
    """Return the newest jobs, newest first, each with what its video needs to be shown again."""
    if not views:
        return boxed(Accent.GREY, text(NO_JOBS))
    return boxed(Accent.GREY, text("**Your newest videos**"), *(text(*_entry(view)) for view in views))


def _entry(view: CardView) -> tuple[str, str]:
    job = view.job
    facts = [
        FACE_WORDS[job.face],
        stamp(job.created_at),
        f"{job.request.duration_s} s",
        job.request.resolution.value,
        view.gateway_title,
        money(view),
        f"`{job.job_id}`",
    ]
    return f"**{shown(job.request.prompt, lines_max=1, characters_max=80)}**", DOT.join(facts)


# What stands in help in the place of a price that could not be had now.
_HELP_WHY = {
    Unavailable.GUILD_NOT_SERVED: "not open here",
    Unavailable.OUT: "takes no jobs at the moment",
    Unavailable.RULE: "not allowed on this server",
}
_EXAMPLES = (
    "/video text prompt: A paper boat sails down a rainy street, camera low",
    "/video image image: (your picture) prompt: The curtains move, the cat looks up duration: 8",
    "/video reference prompt: [Image 1] hands [Image 2] a flower image1: (one) image2: (two)",
)


def help_card(offers: Sequence[Offer]) -> Layout:
    """Return the one card of help; `offers` are for references, which every gateway can do, so that none is missing."""
    does = (
        "`/video text` makes a video from words, `/video image` from one picture that begins to move, "
        f"`/video reference` with the people and things of up to {PICTURES_MAX} pictures, called [Image 1] and so on "
        f"in the prompt. {DURATION_MIN_S} to {DURATION_MAX_S} s, 720p or 1080p, with sound. The video comes into this "
        "channel, or with `private:True` by direct message."
    )
    costs = [_cost(offer) for offer in offers]
    money_words = (
        "Without `gateway` the cheapest is taken. The price is put on hold when you ask, charged when the video is "
        "there, released if it fails."
    )
    limits = (
        "`/video quota` shows what you have left. `/video status`, `history` and `show` find your videos again; "
        "`/video cancel` works while one is in line. `/video privacy` gives you all your data, or deletes it."
    )
    return boxed(
        Accent.GREY,
        text("**What it does**", does),
        text("**To copy**", *(f"```{example}```" for example in _EXAMPLES)),
        text(f"**What it costs** (for {DURATION_DEFAULT_S} s)", *costs, money_words),
        text("**Where the limits are**", limits),
    )


def _cost(offer: Offer) -> str:
    facts = offer.capabilities
    title = gateway_and_model(facts.title, facts.model_title)
    modes = listed([mode.value for mode in Mode if mode in facts.modes])
    if facts.free:
        return f"{facts.title}: {FREE}, pictures in slow moves, no generated video{DOT}{modes}"
    if not facts.configured:
        return f"{title}: no key here"
    if isinstance(offer.problem, GatewayRejected) and offer.problem.why in _HELP_WHY:
        return f"{title}: {_HELP_WHY[offer.problem.why]}"
    prices = [
        f"{show_usd(price_microusd)} at {resolution.value}"
        for resolution in Resolution
        if (price_microusd := facts.price_microusd(resolution=resolution, duration_s=DURATION_DEFAULT_S)) is not None
    ]
    return f"{title}: {', '.join(prices) or 'no price here'}{DOT}{modes}"
