"""The messages that accompany a job where everybody sees them: its card in every state, and its video."""

from collections.abc import Sequence

from discord import ButtonStyle, ui

from bot.domain.job import CardFace, Job
from bot.domain.ports import CardView
from bot.presentation import endings
from bot.presentation.layout import Accent, Layout, boxed, gallery, plain, text
from bot.presentation.markdown import shown
from bot.presentation.words import (
    DOT,
    MODE_WORDS,
    amount,
    counted,
    gateway_and_model,
    money,
    ordinal,
    show_command,
    stamp,
)

_ACCENTS = {
    CardFace.HELD: Accent.GREY,
    CardFace.RENDERING: Accent.BLUE,
    CardFace.SLOW: Accent.BLUE,
    CardFace.POSTING: Accent.BLUE,
    CardFace.UNCONFIRMED: Accent.AMBER,
    CardFace.DELIVERED: Accent.GREEN,
    CardFace.KEPT: Accent.AMBER,
    CardFace.CANCELLED: Accent.GREY,
    CardFace.FAILED: Accent.RED,
    CardFace.LOST: Accent.RED,
}
_DONE, _NOW, _LATER = "✓", "●", "○"
_STEP_OF_FACE = {CardFace.HELD: 0, CardFace.RENDERING: 1, CardFace.SLOW: 1, CardFace.POSTING: 2}
# Farther back the place changes without the card being edited, so that a number there would soon be wrong.
_PLACE_ON_CARD_MAX = 3


def job_card(view: CardView, *, pictures: Sequence[str] = (), place_shown_max: int = _PLACE_ON_CARD_MAX) -> Layout:
    """Return the job's card as it stands now.

    `pictures` are gallery addresses such as ``attachment://name``, in order; without them there is no gallery. A place
    in line farther back than `place_shown_max` is not named. The text holds the job id only once the video is kept:
    the job's video message is found again by that id.
    """
    job = view.job
    if job.face is CardFace.DELIVERED:
        return delivered_card(view, link=None)
    items: list[ui.Item[Layout]] = [text(f"**{_title(job)}**", _facts(view), *_remarks(view))]
    if pictures:
        items.append(gallery(pictures, [_picture_words(job, n) for n in range(1, len(pictures) + 1)]))
    if job.face in _STEP_OF_FACE:
        items.append(text(_steps(view, place_shown_max), money(view)))
    else:
        items.append(text(endings.sentence(view)))
    if job.face is CardFace.HELD:
        items.append(ui.ActionRow(_cancel_button(job)))
    return boxed(_ACCENTS[job.face], *items)


def delivered_card(view: CardView, *, link: str | None) -> Layout:
    """Return what the card shrinks to once the video is a message of its own."""
    title = _title(view.job, lines_max=1, characters_max=100)
    return boxed(Accent.GREEN, text(f"{title}{DOT}{f'video: {link}' if link else 'video posted'}"))


def video_message(view: CardView, *, address: str, ping: bool) -> Layout:
    """Return the video with its caption. `ping`: the requester is notified, so the message begins with the name."""
    return plain(gallery([address], [view.job.request.prompt]), text(*_caption(view, ping=ping)))


def video_link_message(view: CardView, *, link: str | None, ping: bool) -> Layout:
    """Return what is posted where the video is too large for Discord. `link` None: there is no address to give."""
    way = f"video: {link}" if link else f"{show_command(view.job)} posts it where larger files are allowed."
    large = "The video is ready, but larger than Discord takes here."
    return plain(text(*_caption(view, ping=ping), f"{large} {way}"))


def kept_video(view: CardView, *, address: str) -> Layout:
    """Return a stored video with everything that made it, for the person who asked for it."""
    return plain(gallery([address], [view.job.request.prompt]), text(*kept_facts(view)))


def kept_facts(view: CardView) -> tuple[str, ...]:
    """Return the prompt and all settings of a finished job, line by line."""
    request = view.job.request
    settings = [*_settings(view), amount(view)]
    if request.seed is not None:
        settings.append(f"seed {request.seed}")
    without = f"without: {shown(request.negative_prompt, lines_max=1)}" if request.negative_prompt else ""
    return f"**{shown(request.prompt)}**", DOT.join(settings), without


def explanation(view: CardView) -> Layout:
    """Return how the job ended as a message of its own: where the card is gone or too old to edit."""
    prompt = shown(view.job.request.prompt, lines_max=1, characters_max=100)
    return boxed(_ACCENTS[view.job.face], text(f"**{prompt}**", _requester(view.job), endings.sentence(view)))


def knock_text(prompt: str) -> str:
    """Return what opens a private job in the requester's direct messages."""
    return f"You asked for a private video: **{shown(prompt)}**\nIts card and the video come here."


def _title(job: Job, *, lines_max: int = 3, characters_max: int = 300) -> str:
    """Return the beginning of the prompt; once its content is deleted, that."""
    return shown(job.request.prompt, lines_max=lines_max, characters_max=characters_max) or "(prompt deleted)"


def _requester(job: Job) -> str:
    return f"<@{job.user_id}>"


def _settings(view: CardView) -> list[str]:
    request = view.job.request
    settings = [MODE_WORDS[request.mode]]
    if view.job.images:
        settings.append(counted(len(view.job.images), "picture"))
    settings += [f"{request.duration_s} s", request.resolution.value]
    if request.ratio:
        settings.append(request.ratio)
    return [*settings, gateway_and_model(view.gateway_title, view.model_title)]


def _facts(view: CardView) -> str:
    return DOT.join([_requester(view.job), *_settings(view)])


def _remarks(view: CardView) -> list[str]:
    notes = [f"Picture {n} {image.note}" for n, image in enumerate(view.job.images, start=1) if image.note]
    return [f"-# {remark}" for remark in (view.remark, DOT.join(notes)) if remark]


def _caption(view: CardView, *, ping: bool) -> list[str]:
    request, name = view.job.request, _requester(view.job)
    model = gateway_and_model(view.gateway_title, view.model_title)
    facts = DOT.join([f"{request.duration_s} s", request.resolution.value, model, amount(view)])
    prompt = f"**{shown(request.prompt)}**"
    return [name, prompt, facts] if ping else [prompt, f"{name}{DOT}{facts}"]


def _picture_words(job: Job, number: int) -> str:
    return f"Picture {number}: {job.request.prompt}"


def _steps(view: CardView, place_shown_max: int) -> str:
    step = _STEP_OF_FACE[view.job.face]
    place = view.place_in_line
    in_line = f"in line ({ordinal(place)})" if place and step == 0 and place <= place_shown_max else "in line"
    marks = (_DONE,) * step + (_NOW,) + (_LATER,) * (2 - step)
    steps = "  ".join(f"{mark} {name}" for mark, name in zip(marks, (in_line, "rendering", "posting"), strict=True))
    if view.job.face is CardFace.SLOW:
        return f"{steps}{DOT}slower than usual, still running"
    if view.job.not_before is not None and step == 0:
        return f"{steps}{DOT}{view.gateway_title} is busy; asked again {stamp(view.job.not_before)}"
    if view.usually_done_at is None or step == 2:
        return steps
    return f"{steps}{DOT}usually done {stamp(view.usually_done_at)}"


def _cancel_button(job: Job) -> ui.Button[Layout]:
    return ui.Button(label="Cancel", style=ButtonStyle.secondary, custom_id=f"gallop:cancel:{job.job_id}")
