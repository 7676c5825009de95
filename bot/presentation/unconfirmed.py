"""What operators see of unconfirmed jobs: the list, the question before one is closed, the form for an id."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from discord import ButtonStyle, ui

from bot.domain.confirming import REPLAY_MAX
from bot.domain.job import Attempt, Job, JobState
from bot.domain.money import show_usd
from bot.domain.ports import CardView
from bot.domain.pricing import Capabilities, Idempotency
from bot.presentation.choices import FACE_WORDS
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.markdown import shown
from bot.presentation.words import DOT, MODE_WORDS, counted, date, gateway_and_model, money, stamp

PER_PAGE = 5
GATEWAY_JOB_ID = "gateway_job_id"
GATEWAY_JOB_ID_MAX = 200
NONE_LEFT = "Every submission is confirmed."
_WHAT = "Their gateway may have taken these jobs, or not. Their price stays on hold; nothing is bought twice."
_PROMPT_CHARACTERS_MAX = 60
_ID_CHARACTERS_MAX = 60
BUTTON_ID = re.compile(
    r"gallop:unconfirmed:(?P<does>page|ask|close|bind):(?P<page>\d{1,4})(:(?P<job_id>[0-9a-z]{16}))?"
)
FORM_ID = re.compile(r"gallop:bind:(?P<page>\d{1,4}):(?P<job_id>\w{16})")


class Does(StrEnum):
    """What a button of these cards does."""

    PAGE = "page"
    ASK = "ask"
    CLOSE = "close"
    BIND = "bind"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long unconfirmed jobs are waited for: `task_life_s` from submission on.

    `replaying` are the names of gateways that get replays meanwhile.
    """

    task_life_s: float
    replaying: frozenset[str] = frozenset()

    @classmethod
    def of(cls, gateways: Iterable[Capabilities], *, task_life_s: float) -> "Patience":
        replaying = (facts.gateway for facts in gateways if facts.idempotency is Idempotency.REPLAY)
        return cls(task_life_s, frozenset(replaying))


def unconfirmed_card(views: Sequence[CardView], patience: Patience, *, page: int = 0, note: str = "") -> Layout:
    """Return one page of the unconfirmed jobs, the first being 0; one too high shows the last.

    `note` says what has just happened.
    """
    if not views:
        return boxed(Accent.GREY, text(note, NONE_LEFT))
    pages = -(-len(views) // PER_PAGE)
    page = min(page, pages - 1)
    items: list[ui.Item[Layout]] = [text(note, f"**{counted(len(views), 'unconfirmed job')}**", _WHAT)]
    for view in views[page * PER_PAGE : (page + 1) * PER_PAGE]:
        items += [ui.Separator(), text(*_facts(view), *_known(view.job, patience))]
        items.append(
            ui.ActionRow(
                _button("Close as lost", Does.ASK, page, view.job.job_id),
                _button("Bind an id", Does.BIND, page, view.job.job_id),
            )
        )
    if pages > 1:
        items += [ui.Separator(), text(f"-# Page {page + 1} of {pages}"), _turning(page, pages)]
    return boxed(Accent.AMBER, *items)


def closing_card(view: CardView, *, page: int) -> Layout:
    """Return the question that is asked before a job is closed as lost; `page` is where the answer leads back to."""
    if view.free:
        what = "This ends the job. Nothing is on hold, so nothing is lost. It cannot be undone."
    else:
        what = f"{_what_closing_does(view.job)} It cannot be undone."
    return boxed(
        Accent.RED,
        text("**Close this job as lost?**", *_facts(view), what, "Should the video still arrive, it is posted free."),
        ui.ActionRow(
            _button("Close as lost", Does.CLOSE, page, view.job.job_id, ButtonStyle.danger),
            _button("Keep it", Does.PAGE, page),
        ),
    )


def closed_text(view: CardView) -> str:
    """Return what came of closing a job; `view` is the job after it."""
    job = view.job
    if job.state is not JobState.LOST:
        return f"`{job.job_id}` was not closed: {_now(view)}"
    if view.free:
        return f"`{job.job_id}` is closed as lost. Nothing was on hold."
    released, lost = show_usd(job.request.price_microusd), show_usd(_loss_microusd(job))
    return f"`{job.job_id}` is closed as lost: {released} released, {lost} booked as your loss."


def bound_text(view: CardView, gateway_job_id: str) -> str:
    """Return what came of binding a gateway job id; `view` is the job after it."""
    given = shown(gateway_job_id, lines_max=1, characters_max=_ID_CHARACTERS_MAX)
    return f"`{view.job.job_id}` is {given} at {view.gateway_title}: {_now(view)}"


def _now(view: CardView) -> str:
    return f"it is {FACE_WORDS[view.job.face]} now, {money(view)}."


def bind_form(view: CardView, *, page: int) -> ui.Modal:
    """Return the form that asks for a gateway job id. It is answered by its custom id, also after a restart."""
    form = ui.Modal(
        title=f"Bind job …{view.job.job_id[-5:]} to a {view.gateway_title} id"[:45],
        custom_id=f"gallop:bind:{page}:{view.job.job_id}",
    )
    entry: ui.TextInput[ui.Modal] = ui.TextInput(custom_id=GATEWAY_JOB_ID, max_length=GATEWAY_JOB_ID_MAX)
    form.add_item(
        ui.Label(
            text="Gateway job id",
            description=f"What {view.gateway_title} calls the job; its console or its log of requests has it.",
            component=entry,
        )
    )
    # discord.py keeps a form that is not finished in memory, to wait for its answer itself.
    form.stop()
    return form


def _facts(view: CardView) -> tuple[str, str]:
    job, request = view.job, view.job.request
    facts = [
        f"`{job.job_id}`",
        f"<@{job.user_id}>",
        gateway_and_model(view.gateway_title, view.model_title),
        MODE_WORDS[request.mode],
        f"{request.duration_s} s",
        request.resolution.value,
        money(view),
    ]
    return _prompt(job), DOT.join(facts)


def _prompt(job: Job) -> str:
    """What is private, or asked to be forgotten, is not even an operator's to read here."""
    if job.request.private:
        return "**private**"
    if job.forgotten:
        return "**forgotten**"
    return f"**{shown(job.request.prompt, lines_max=1, characters_max=_PROMPT_CHARACTERS_MAX)}**"


def _known(job: Job, patience: Patience) -> list[str]:
    sent_at = job.submitted_at or job.since_at
    times = [
        f"sent {stamp(sent_at)}",
        f"given up {date(sent_at + timedelta(seconds=patience.task_life_s))}",
        counted(job.attempt_count, "attempt"),
    ]
    lines = [DOT.join(times)]
    if job.attempt is not None:
        lines.append(_callback(job.attempt))
        if job.attempt.gateway in patience.replaying:
            ends_at = job.attempt.submitted_at + REPLAY_MAX
            lines.append(f"Replays with the same key end {stamp(ends_at)}; they buy no second video.")
    return lines


def _callback(attempt: Attempt) -> str:
    if attempt.hinted_at is None:
        return "No callback came."
    if attempt.hinted_gateway_job_id is None:
        return f"A callback came {stamp(attempt.hinted_at)} and named no gateway job id."
    named = shown(attempt.hinted_gateway_job_id, lines_max=1, characters_max=_ID_CHARACTERS_MAX)
    return f"A callback came {stamp(attempt.hinted_at)} and named {named}; that is read until it confirms the job."


def _what_closing_does(job: Job) -> str:
    released_microusd, lost_microusd = job.request.price_microusd, _loss_microusd(job)
    lost = "it" if lost_microusd == released_microusd else show_usd(lost_microusd)
    return f"This releases {show_usd(released_microusd)} and books {lost} as your loss."


def _loss_microusd(job: Job) -> int:
    """What the gateway may have billed: its own price, which after a failover can be below the hold."""
    return job.attempt.price_microusd if job.attempt is not None else job.request.price_microusd


def _turning(page: int, pages: int) -> ui.ActionRow[Layout]:
    previous = _button("Previous", Does.PAGE, max(0, page - 1))
    following = _button("Next", Does.PAGE, page + 1)
    previous.disabled, following.disabled = page == 0, page == pages - 1
    return ui.ActionRow(previous, following)


def _button(
    label: str, does: Does, page: int, job_id: str = "", style: ButtonStyle = ButtonStyle.secondary
) -> ui.Button[Layout]:
    end = f":{job_id}" if job_id else ""
    return ui.Button(label=label, style=style, custom_id=f"gallop:unconfirmed:{does.value}:{page}{end}")
