"""Finds out from a gateway's words what its refusal was about; the words themselves are never kept or shown."""

import re
from collections.abc import Iterable

from bot.domain.errors import Refusal, SubmissionRefused
from bot.domain.request import PICTURES_MAX

_TEXT_CHARACTERS_MAX = 4_000

# gateways.md 4.6: the upstream's codes and how resellers reword them.
_CONTENT = (
    "datainspection",
    "data_inspection",
    "inappropriate content",
    "ipinfringement",
    "content_policy",
    "content policy",
    "moderation",
    "sensitive",
    "nsfw",
    "rejected the prompt",
)
_CREDIT = ("balance", "insufficient credit", "insufficient_credit", "insufficient fund", "insufficient quota",
           "quota_exceeded", "arrearage", "credits", "payment required", "top up")  # fmt: skip
_KEY = ("api key", "api_key", "apikey", "unauthorized", "unauthenticated", "permission", "forbidden", "access denied",
        "accessdenied", "invalid token")  # fmt: skip
_BUSY = ("rate limit", "rate_limit", "too many requests", "throttling", "busy", "overload", "try again later")
_MODEL = ("invalid model", "unknown model", "model not found", "model_not_found", "modelnotfound", "model_unavailable",
          "model unavailable", "unsupported task kind")  # fmt: skip
_FACE = ("real person", "human face", "face detected", "real face", "portrait right")
_PICTURE = ("image", "picture", "photo", "reference", "face", "first frame")
_MODEL_NAMES = re.compile(r"\b(?:image|reference|text)-to-video\b")

# "images[1]", "reference_urls.1" and "/input/reference_image/1" count from 0; "image 2" and "[Image 2]" from 1.
_INDEX = re.compile(r"(?:images|image_urls|reference_images?|reference_urls)\s?(?:\[|\.|/)\s?(\d)(?!\d)")
_NUMBER = re.compile(r"(?:image|picture|photo|reference|character)\s?#?\s?([1-9])(?!\d|[.:]\d|\s?(?:px|pixel|mb|kb))")

_BY_STATUS = {401: Refusal.KEY, 402: Refusal.CREDIT, 415: Refusal.REQUEST, 429: Refusal.BUSY, 503: Refusal.BUSY}
_JOB_ID_KEYS = frozenset({"jobid", "taskid"})


def words(*values: object) -> str:
    """Return every text in the given JSON values as one lower-case line to search in."""
    return " ".join(_texts(values))[:_TEXT_CHARACTERS_MAX].lower()


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def refused(
    gateway: str, status: int, text: str, *, sent: bytes, retry_after_s: float | None, detail: str = ""
) -> SubmissionRefused:
    """Return the error for a certain refusal of a paid POST. `text` comes from `words`.

    `sent` is the POST's body: a gateway may quote it, and what a person wrote is nobody's reason.
    """
    return SubmissionRefused(
        gateway,
        detail or f"status {status}",
        reason=submission_refusal(status, text, said=sent.decode(errors="replace").lower()),
        retry_after_s=retry_after_s,
        picture=refused_picture(text),
    )


def submission_refusal(status: int, text: str, *, said: str = "") -> Refusal:
    """Say what a certain refusal of a paid POST was about. `text` comes from `words`, `said` is what it may quote."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    reason = _by_words(text, said)
    if reason is not None:
        return reason
    return {403: Refusal.KEY, 404: Refusal.MODEL}.get(status, Refusal.REQUEST if status >= 400 else Refusal.OTHER)


def _by_words(text: str, said: str) -> Refusal | None:
    for reason, parts in (
        (Refusal.FACE, _FACE),
        (Refusal.CONTENT, _CONTENT),
        (Refusal.CREDIT, _CREDIT),
        (Refusal.MODEL, _MODEL),
        (Refusal.KEY, _KEY),
        (Refusal.BUSY, _BUSY),
        (Refusal.PICTURE, _PICTURE),
    ):
        telling = tuple(part for part in parts if part not in said) if reason.about_gateway else parts
        if _holds(text, telling):
            return reason
    return None


def job_refusal(text: str) -> Refusal:
    """Say what the failure of a running job was about. `text` comes from `words`."""
    if _holds(text, _FACE):
        return Refusal.FACE
    if _holds(text, _CONTENT):
        return Refusal.CONTENT
    return Refusal.PICTURE if _holds(text, _PICTURE) else Refusal.OTHER


def refused_picture(text: str) -> int | None:
    """Return the number, from 1, of the picture a gateway complains about, where it names one."""
    if found := _INDEX.search(text):
        position = int(found[1]) + 1
        return position if position <= PICTURES_MAX else None
    found = _NUMBER.search(text)
    return int(found[1]) if found else None


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    plain = _MODEL_NAMES.sub("", text)
    return any(part in plain for part in parts)


def names_a_job(value: object) -> bool:
    """Say whether a job id stands anywhere in a JSON value: then a refusal is not to be believed."""
    if isinstance(value, dict):
        return any(_is_job_id(key, item) or names_a_job(item) for key, item in value.items())
    return isinstance(value, list) and any(names_a_job(item) for item in value)


def _is_job_id(key: object, value: object) -> bool:
    return str(key).lower().replace("_", "") in _JOB_ID_KEYS and isinstance(value, str | int) and bool(value)
