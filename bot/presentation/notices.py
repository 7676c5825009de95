"""What operators are told: what happened, what it means for money, and what to do next. No prompt stands in it."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from bot.domain.errors import InvariantBroken, Refusal
from bot.domain.job import Job
from bot.domain.money import show_usd
from bot.domain.notices import Notice, NoticeKind
from bot.domain.submitting import FREE_BYTES_MIN
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.words import MODE_WORDS, show_command

_ACCENTS = {
    NoticeKind.UNCONFIRMED: Accent.AMBER,
    NoticeKind.GATEWAY_OUT: Accent.RED,
    NoticeKind.OVERBILLED: Accent.RED,
    NoticeKind.LOSS: Accent.RED,
    NoticeKind.DELIVERY_GIVEN_UP: Accent.AMBER,
    NoticeKind.DISK_LOW: Accent.RED,
}
# What an operator sets for a price.
_PRICE_SETTINGS = {
    "ShortAPI": "`SHORTAPI_{resolution}_USD_PER_S`",
    "HiAPI": "`HIAPI_{resolution}_USD_PER_S`",
    "PixelDojo": "`PIXELDOJO_CREDITS_{resolution}` or `PIXELDOJO_CREDIT_USD`",
}


def notice_card(notice: Notice) -> Layout:
    """Return the message. Its last line names it, so that it is known again."""
    return boxed(_ACCENTS[notice.kind], text(*_LINES[notice.kind](notice), mark_line(notice.key)))


def mark(key: str) -> str:
    """Return what stands for a notice's key where it must be short and tell nothing: 16 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def mark_line(key: str) -> str:
    return f"-# notice {mark(key)}"


def _unconfirmed(notice: Notice) -> list[str]:
    job, title = _job_of(notice), notice.gateway_title
    held = "Nothing is on hold."
    if price_microusd := job.request.price_microusd:
        held = f"{show_usd(price_microusd)} stays on hold until that is known; nothing is bought twice."
    return [
        f"**{title} has not confirmed a job**",
        f"`{job.job_id}` of <@{job.user_id}> ({MODE_WORDS[job.request.mode]}, {job.request.duration_s} s): {title} may "
        f"have taken it, or not. {held}",
        "`/video-admin unconfirmed` shows what is known of it; there it can be closed, or bound to the gateway's id.",
    ]


def _gateway_out(notice: Notice) -> list[str]:
    title = notice.gateway_title
    if notice.reason is Refusal.CREDIT:
        what = f"**{title} has no credit left**"
        now = f"Add credit in {title}'s console. Ten minutes after the last refusal the next job finds out."
    else:
        what = f"**{title} does not accept this bot's key**"
        now = (
            f"Set `{title.upper()}_KEY` to a valid key and start the bot again, or allow the key in {title}'s console."
        )
    return [
        what,
        f"It refuses every job, at no cost. Until that is mended, jobs with `gateway:auto` go elsewhere where another "
        f"gateway can make them, and those that name {title} are refused.",
        now,
    ]


def _overbilled(notice: Notice) -> list[str]:
    title, row = notice.gateway_title, notice.detail
    names = _PRICE_SETTINGS[title].format(resolution=row.rpartition(" ")[2].upper())
    now = f"Set {names} to what {title} bills, and start the bot again."
    return [
        f"**{title} billed more than its price**",
        f"The price of {row} is too low. Members pay at most what was on hold; what was billed above it is your loss.",
        f"{now} No more {row} is bought at {title} until then.",
    ]


def _loss(notice: Notice) -> list[str]:
    month = f"{datetime.strptime(notice.detail, '%Y-%m').replace(tzinfo=UTC):%B %Y}"
    return [
        f"**Your loss in {month} has reached {show_usd(notice.loss_microusd)}**",
        f"Gateways billed, or may have billed, that much more than people paid. You are told from "
        f"{show_usd(notice.limit_microusd)} on (`LOSS_NOTICE_USD`), once a month.",
        "`/video-admin unconfirmed` shows what may add to it. `gallop pause` stops new jobs until `gallop resume`.",
    ]


def _given_up(notice: Notice) -> list[str]:
    job = _job_of(notice)
    where = "in direct messages" if job.request.private or job.guild_id is None else f"in <#{job.channel_id}>"
    if job.forgotten:
        kept, tell = "It was deleted, as that person asked.", ""
    else:
        kept = f"The video is kept: {show_command(job)} brings it, to that person alone."
        tell = f"Tell <@{job.user_id}>. "
    return [
        "**A video could not be posted**",
        f"Discord did not take the video of `{job.job_id}` for <@{job.user_id}>, {where} or anywhere else it may go. "
        f"{_paid(job)} {kept}",
        f"{tell}In a server the bot needs View Channels, Send Messages, Send Messages in Threads, Embed Links, Attach "
        f"Files and Read Message History.",
    ]


def _paid(job: Job) -> str:
    return f"{show_usd(job.charged_microusd)} was charged." if job.charged_microusd else "Nothing was charged."


def _disk_low(notice: Notice) -> list[str]:
    return [
        f"**Only {_gigabytes(notice.free_bytes)} GB are free on the bot's disk**",
        f"Below {_gigabytes(FREE_BYTES_MIN)} GB nothing is submitted: jobs wait in line, and after an hour they end "
        f"and their price is released. Jobs that a gateway has already go on.",
        "Make room where `DATA_DIR` and `DATABASE_URL` are, or set `RETENTION_DAYS` lower and start the bot again: it "
        "then deletes older pictures and videos.",
    ]


def _gigabytes(bytes_count: int) -> str:
    """Show bytes in GB, never rounded up to a limit they are below."""
    tenths = bytes_count // 100_000_000
    return f"{tenths // 10}" if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"


def _job_of(notice: Notice) -> Job:
    if notice.job is None:
        raise InvariantBroken(f"a notice of {notice.kind} without its job")
    return notice.job


_LINES: dict[NoticeKind, Callable[[Notice], list[str]]] = {
    NoticeKind.UNCONFIRMED: _unconfirmed,
    NoticeKind.GATEWAY_OUT: _gateway_out,
    NoticeKind.OVERBILLED: _overbilled,
    NoticeKind.LOSS: _loss,
    NoticeKind.DELIVERY_GIVEN_UP: _given_up,
    NoticeKind.DISK_LOW: _disk_low,
}
