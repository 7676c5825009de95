"""The short phrases that cards, replies and private answers share, so that one thing is always called the same."""

from datetime import datetime

from bot.domain.job import FINAL_STATES, Job, JobState, MessageRef
from bot.domain.money import show_usd
from bot.domain.ports import CardView
from bot.domain.request import Mode
from bot.domain.windows import Window

DOT = " · "
FREE = "free preview"
WINDOW_NOW = {Window.DAY: "today", Window.WEEK: "this week", Window.MONTH: "this month"}
WINDOW_EACH = {Window.DAY: "a day", Window.WEEK: "a week", Window.MONTH: "a month"}
MODE_WORDS = {Mode.TEXT: "text", Mode.IMAGE: "image", Mode.REFERENCE: "reference"}


def until(moment: datetime) -> str:
    """Return when a window ends, as its reader sees it: "until 21 November 2026 00:00 (in 10 hours)"."""
    return f"until {date(moment)}"


def date(moment: datetime) -> str:
    """Return Discord's stamp of day and time, and how far away that is: "21 November 2026 00:00 (in 10 hours)"."""
    return f"<t:{int(moment.timestamp())}:f> ({stamp(moment)})"


def stamp(moment: datetime) -> str:
    """Return Discord's relative stamp, which counts down by itself."""
    return f"<t:{int(moment.timestamp())}:R>"


def ordinal(number: int) -> str:
    suffix = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def capital(words: str) -> str:
    """Return the words as a sentence begins."""
    return f"{words[0].upper()}{words[1:]}"


def listed(things: list[str], *, last: str = "and") -> str:
    """Join as in a sentence: ``a, b and c``."""
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} {last} {things[-1]}"


def gateway_and_model(gateway_title: str, model_title: str) -> str:
    return f"{gateway_title}, {model_title}" if model_title else gateway_title


def message_link(message: MessageRef, *, guild_id: int | None) -> str:
    """Return the message's address in Discord; `guild_id` None is a direct message."""
    return f"https://discord.com/channels/{guild_id or '@me'}/{message.channel_id}/{message.message_id}"


def money(view: CardView) -> str:
    """Say what has happened to the price: on hold, charged, refunded or released."""
    job = view.job
    if view.free:
        return FREE
    return became(
        job.state,
        price_microusd=job.request.price_microusd,
        charged_microusd=job.charged_microusd,
        refunded_microusd=job.refunded_microusd,
    )


def became(state: JobState, *, price_microusd: int, charged_microusd: int | None, refunded_microusd: int) -> str:
    """Say what became of a job's price; `charged_microusd` is what is left of the charge after a refund."""
    if state not in FINAL_STATES:
        return f"{show_usd(price_microusd)} on hold"
    if state is not JobState.STORED:
        return f"{show_usd(price_microusd)} released"
    kept_microusd = price_microusd if charged_microusd is None else charged_microusd
    parts = [f"{show_usd(kept_microusd)} charged"] if kept_microusd or not refunded_microusd else []
    if refunded_microusd:
        parts.append(f"{show_usd(refunded_microusd)} refunded")
    if (freed_microusd := price_microusd - kept_microusd - refunded_microusd) > 0:
        parts.append(f"{show_usd(freed_microusd)} released")
    return ", ".join(parts)


def amount(view: CardView) -> str:
    """Return what a finished video cost."""
    job = view.job
    if view.free:
        return FREE
    if job.state is JobState.LOST:
        return "nothing charged"
    kept_microusd = job.request.price_microusd if job.charged_microusd is None else job.charged_microusd
    if not job.refunded_microusd:
        return show_usd(kept_microusd)
    refunded = f"{show_usd(job.refunded_microusd)} refunded"
    return f"{show_usd(kept_microusd)}, {refunded}" if kept_microusd else refunded


def show_command(job: Job) -> str:
    return f"`/video show job:{job.job_id}`"
