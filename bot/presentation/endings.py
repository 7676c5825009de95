"""Says in words how a job ended, or why it stands still: one sentence, what was charged, and what to do now."""

from bot.domain.errors import Refusal
from bot.domain.job import CardFace, Ending, Job
from bot.domain.money import show_usd
from bot.domain.ports import CardView
from bot.presentation.words import money, show_command

_NOTHING = "Nothing was charged."

_OF_ENDING = {
    Ending.NO_VIDEO: "{gateway} finished, but gave no video that can be played.",
    Ending.LINE_TOO_LONG: "This waited an hour in line and was never started.",
    Ending.PLACE_GONE: "The bot may no longer post where this was asked, so it was never started.",
    Ending.UPLOAD_IMPOSSIBLE: "The pictures could not be handed to {gateway}, so it was never started.",
    Ending.UNPRICED: "{gateway} has no price that can be relied on any more, so it was never started.",
    Ending.TASK_LIFE_OVER: "{gateway} never finished this job.",
    Ending.TOO_MANY_FAILURES: "Too many of your videos failed today without a charge, so it was never started.",
    # The card may be public: it does not say of anybody that they are blocked.
    Ending.BLOCKED: "This server's managers no longer allow this, so it was never started.",
    Ending.RESTORED: (
        "This was in line when the bot's database was restored from a backup, so it was not started again."
    ),
}

_NOW_AFTER_ENDING = {
    Ending.PLACE_GONE: "Ask where the bot may post.",
    Ending.UPLOAD_IMPOSSIBLE: "Ask again with another gateway; the operator can look at the log.",
    Ending.UNPRICED: "Choose another gateway.",
    Ending.TOO_MANY_FAILURES: "Ask again tomorrow (UTC).",
    Ending.BLOCKED: "Ask them why.",
}

_OF_REFUSAL = {
    Refusal.CONTENT: "{gateway} refused {what}: it breaks the content rules there.",
    Refusal.REQUEST: "{gateway} refused these options.",
    Refusal.PICTURE: "{gateway} refused {what}: it cannot be used there.",
    Refusal.FACE: "{gateway} refused {what}: it shows a real person's face.",
    Refusal.KEY: "{gateway} does not accept this bot's key.",
    Refusal.CREDIT: "{gateway} has no credit left for this bot.",
    Refusal.BUSY: "{gateway} is too busy to take new videos.",
    Refusal.MODEL: "{gateway} does not offer this model at the moment.",
    Refusal.CONNECTION: "{gateway} cannot be reached.",
    Refusal.OTHER: "{gateway} could not make this video and gave no reason.",
}

_NOW_AFTER_REFUSAL = {
    Refusal.CONTENT: "Change it and ask again.",
    Refusal.REQUEST: "Ask again with other options or another gateway.",
    Refusal.PICTURE: "Ask again with another picture.",
    Refusal.FACE: "Ask again with another picture.",
    Refusal.KEY: "Another gateway may work; the operator has to look at this one.",
    Refusal.CREDIT: "Another gateway may work; the operator has to look at this one.",
    Refusal.BUSY: "Ask again later, or choose another gateway.",
    Refusal.MODEL: "Ask again later, or choose another gateway.",
    Refusal.CONNECTION: "Ask again later, or choose another gateway.",
    Refusal.OTHER: "Ask again, or choose another gateway.",
}


def sentence(view: CardView) -> str:
    """Say what the card of a job that is not on its way says instead of its steps."""
    job, gateway = view.job, view.gateway_title
    match job.face:
        case CardFace.UNCONFIRMED:
            price = show_usd(job.request.price_microusd)
            held = "Nothing is charged" if view.free else f"{price} stays on hold"
            return f"{gateway} has not confirmed this job. {held}; nothing is bought twice. You will be told here."
        case CardFace.CANCELLED:
            return f"Cancelled. {_paid(view)}"
        case CardFace.LOST:
            return f"{_lost(job, gateway)} {_NOTHING} Should the video still arrive, it is posted free of charge."
        case CardFace.KEPT:
            now = "It is deleted, as you asked." if job.forgotten else f"{show_command(job)} gets it."
            return f"The video could not be posted here. {_paid(view)} {now}"
        case _:
            return _failed(view)


def _lost(job: Job, gateway: str) -> str:
    accepted = job.attempt is not None and job.attempt.gateway_job_id is not None
    return f"{gateway} never finished this job." if accepted else f"{gateway} never confirmed this job."


def _failed(view: CardView) -> str:
    job, gateway = view.job, view.gateway_title
    if job.ending is Ending.PLACE_GONE and job.request.private:
        return f"Your direct messages are closed to the bot, so it was never started. {_NOTHING} Open them, ask again."
    if job.ending is Ending.RELEASED:
        released = "ended it." if view.free else f"released it: {money(view)}."
        return f"A manager of this server {released} {_NOTHING}"
    if job.ending in _OF_ENDING:
        now = _NOW_AFTER_ENDING.get(job.ending, "Ask again.")
        return f"{_OF_ENDING[job.ending].format(gateway=gateway)} {_NOTHING} {now}"
    refusal = job.refusal or Refusal.OTHER
    reason = _OF_REFUSAL[refusal].format(gateway=gateway, what=_what(job, refusal))
    return f"{reason} {_NOTHING} {_NOW_AFTER_REFUSAL[refusal]}"


def _what(job: Job, refusal: Refusal) -> str:
    if job.refused_picture is not None:
        return f"picture {job.refused_picture}"
    if refusal in {Refusal.PICTURE, Refusal.FACE}:
        return "the picture" if len(job.images) == 1 else "a picture"
    return "this request"


def _paid(view: CardView) -> str:
    return _NOTHING if view.free else f"{money(view)}."
