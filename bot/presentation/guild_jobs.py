"""What managers see of their server's jobs: the list, the choices while one is typed, and what came of an act."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from discord import ui

from bot.domain.guild import GuildJob
from bot.domain.guild_jobs import JOBS_MAX, Refunded
from bot.domain.job import JobState
from bot.domain.money import show_usd
from bot.presentation.card_age import OPENED
from bot.presentation.choices import CHOICE_CHARACTERS_MAX, FACE_WORDS
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.markdown import label
from bot.presentation.words import DOT, FREE, MODE_WORDS, became, counted, stamp

PER_PAGE = 8
_NAME_CHARACTERS_MAX = 32


class Listed(StrEnum):
    """Which jobs the list shows."""

    ALL = "all"
    IN_LINE = "line"
    RENDERING = "rendering"
    UNCONFIRMED = "unconfirmed"
    VIDEO = "video"
    CANCELLED = "cancelled"
    FAILED = "failed"
    LOST = "lost"


LISTED_WORDS = {
    Listed.ALL: "all",
    Listed.IN_LINE: "in line",
    Listed.RENDERING: "rendering",
    Listed.UNCONFIRMED: "not confirmed",
    Listed.VIDEO: "posting, posted or kept",
    Listed.CANCELLED: "cancelled",
    Listed.FAILED: "failed",
    Listed.LOST: "lost",
}
LISTED_STATES: Mapping[Listed, frozenset[JobState]] = {
    Listed.ALL: frozenset(),
    Listed.IN_LINE: frozenset({JobState.HELD}),
    Listed.RENDERING: frozenset({JobState.SUBMITTING, JobState.RUNNING}),
    Listed.UNCONFIRMED: frozenset({JobState.UNCONFIRMED}),
    Listed.VIDEO: frozenset({JobState.FINISHED, JobState.STORED}),
    Listed.CANCELLED: frozenset({JobState.CANCELLED}),
    Listed.FAILED: frozenset({JobState.FAILED}),
    Listed.LOST: frozenset({JobState.LOST}),
}
PAGE_ID = re.compile(
    rf"gallop:guild-jobs:{OPENED}:(?P<user_id>\d{{1,20}}):(?P<listed>{'|'.join(Listed)}):(?P<page>\d{{1,3}})"
)


def jobs_card(
    jobs: Sequence[GuildJob],
    *,
    listed: Listed,
    user_id: int | None,
    links: Mapping[str, str],
    opened: str,
    page: int = 0,
) -> Layout:
    """Return one page of a server's newest jobs, the first being 0; one too high shows the last.

    `links` are addresses of messages by job id; a job without one is shown with its channel. `opened` is the mark of
    when the card was opened.
    """
    looked_for = [f"<@{user_id}>"] if user_id is not None else []
    looked_for += [LISTED_WORDS[listed]] if listed is not Listed.ALL else []
    if not jobs:
        return boxed(Accent.GREY, text(DOT.join(["No jobs", *looked_for])))
    pages = -(-len(jobs) // PER_PAGE)
    page = min(page, pages - 1)
    count = f"The newest {JOBS_MAX} jobs" if len(jobs) >= JOBS_MAX else counted(len(jobs), "job")
    items: list[ui.Item[Layout]] = [text(f"**{DOT.join([count, *looked_for])}**")]
    for job in jobs[page * PER_PAGE : (page + 1) * PER_PAGE]:
        items.append(text(*_entry(job, links.get(job.job_id, ""))))
    items.append(
        text(
            "-# `/video-admin release` ends a job in line, `refund` gives a charge back, `deliver` posts a video again."
        )
    )
    if pages > 1:
        ids = [f"gallop:guild-jobs:{opened}:{user_id or 0}:{listed.value}:{n}" for n in (max(0, page - 1), page + 1)]
        previous = ui.Button[Layout](label="Previous", custom_id=ids[0], disabled=page == 0)
        following = ui.Button[Layout](label="Next", custom_id=ids[1], disabled=page == pages - 1)
        items += [text(f"-# Page {page + 1} of {pages}"), ui.ActionRow(previous, following)]
    return boxed(Accent.GREY, *items)


def _entry(job: GuildJob, link: str) -> tuple[str, str]:
    kind = [MODE_WORDS[job.mode], f"{job.duration_s} s", job.resolution.value]
    whose = [f"<@{job.user_id}>", *kind, *(["private"] if job.private else [])]
    where = link or f"<#{job.channel_id}>"
    return DOT.join(whose), DOT.join([_stands(job), stamp(job.created_at), where, f"`{job.job_id}`"])


def _stands(job: GuildJob) -> str:
    return f"{FACE_WORDS[job.face]}{DOT}{_money(job)}"


def _money(job: GuildJob) -> str:
    if not job.price_microusd:
        return FREE
    return became(
        job.state,
        price_microusd=job.price_microusd,
        charged_microusd=job.charged_microusd,
        refunded_microusd=job.refunded_microusd,
    )


def guild_job_choice(job: GuildJob, *, member: str, now: datetime) -> str:
    """Return ``mia · 3 min ago · posted · $0.645 charged · …zs22a``; the end of the job id makes it unique."""
    name = label(member, characters_max=_NAME_CHARACTERS_MAX)
    end = f"{DOT}…{job.job_id[-5:]}"
    facts = DOT.join([name, _age(now - job.created_at), _stands(job)])
    return facts[: CHOICE_CHARACTERS_MAX - len(end)] + end


def _age(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds()) // 60)
    if minutes == 0:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    hours = minutes // 60
    return f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"


def released_text(job: GuildJob) -> str:
    """Return what came of releasing a hold."""
    hold = f"{show_usd(job.price_microusd)} released." if job.price_microusd else "Nothing was on hold."
    done = f"The job of <@{job.user_id}> is out of the line and will not be made. {hold}"
    return f"{done}\nIts card says so (`{job.job_id}`)."


def refunded_text(refunded: Refunded) -> str:
    """Return what came of a refund, and what it does not lower."""
    job = refunded.job
    whole_microusd = (job.charged_microusd or 0) + job.refunded_microusd
    of_whole = f" of {show_usd(whole_microusd)}" if whole_microusd != refunded.amount_microusd else ""
    done = f"{show_usd(refunded.amount_microusd)}{of_whole} refunded to <@{job.user_id}> (`{job.job_id}`)."
    counts = "" if refunded.by_operator else " The operator's limit still counts it."
    return f"{done}{counts}\nTheir `/video history` shows it."


def delivered_again_text(job: GuildJob) -> str:
    """Return what happens now with a video that is to be posted again."""
    done = f"The video of <@{job.user_id}> is posted again in <#{job.channel_id}>"
    if job.private:
        done = f"The video goes to <@{job.user_id}> by direct message again"
    return f"{done} (`{job.job_id}`).\nWhere its message is still there, no second one comes."
