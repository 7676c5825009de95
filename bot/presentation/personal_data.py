"""Writes everything kept about a person as one readable document, and names the files that come along with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain.job import Job, LedgerEntry, MessageRef
from bot.domain.privacy import PersonalData
from bot.presentation.personal_facts import amount, facts_document, time
from bot.presentation.words import show_command

DOCUMENT = "data.json"
NO_ROOM = "larger than what Discord takes here"
GONE = "no longer kept"
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
_ABOUT = {
    "what": "Everything Gallop keeps about you, but the keys, tokens, ids and addresses between it and the gateways. "
    "Times are UTC. A million microusd is a dollar.",
    "jobs": "Every video you asked for, newest first: what you asked for, where it stands, and what it cost.",
    "jobs.deletion_asked": "You asked for this job to be deleted; one that is not over yet is deleted after its end.",
    "jobs.deleted": "Its prompt, pictures and video are deleted, and what you see is what is left.",
    "jobs.price": "What was put on hold when you asked.",
    "jobs.charged": "What you paid, less refunds; null while that is open, and where nothing is charged.",
    "jobs.refunded": "What was given back of what you had paid.",
    "jobs.pictures": "The pictures you sent, as Gallop keeps them: repaired where needed, without hidden data.",
    "jobs.pictures.file": "Where the file lies beside this document; null: see left_out, or it is deleted. "
    "The same for jobs.video.file.",
    "jobs.card": "The message on Discord that accompanied it. The same for jobs.pictures_message "
    "and jobs.video_message.",
    "ledger": "Every movement of your money, oldest first. hold: set aside. settle: charged, and the rest of the hold "
    "is free again. release: the whole hold is free again. refund: given back of what was charged.",
    "settings": "What you set for yourself with `/video quota`: your own limits over all servers, and above which "
    "price you are asked first.",
    "rules": "What managers of a server decided for you by name.",
    "grants": "Money beyond your limits that managers gave you, also what has expired.",
    "blocks": "Servers whose managers do not let you ask for videos, and until when; null: until they unblock you.",
    "acts": "What managers and operators did about you or your jobs, oldest first.",
    "left_out": "Files that are not in this archive, why, and where they are.",
}


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A picture or a video: its name in the library, and the one it gets beside the document."""

    job: Job
    kept_name: str
    name: str
    bytes_count: int
    is_video: bool


def files_of(data: PersonalData) -> list[KeptFile]:
    """Return the files, those that matter most first: all pictures, then the videos, each newest first.

    Of a job that is erased only facts are left, also where its video's file waits for its end.
    """
    pictures = [
        KeptFile(job, image.name, _picture_name(job, number), image.bytes_count, is_video=False)
        for job in data.jobs
        for number, image in enumerate(job.images, 1)
    ]
    videos = [
        KeptFile(job, job.video.name, _video_name(job), job.video.bytes_count, is_video=True)
        for job in data.jobs
        if job.video is not None and not job.is_erased
    ]
    return pictures + videos


def document(data: PersonalData, *, missing: Mapping[str, str], made_at: datetime) -> bytes:
    """Return ``data.json``. `missing` are files that do not lie beside it, each name with the reason."""
    content = {
        "about": _ABOUT,
        "user_id": str(data.user_id),
        "made_at": made_at.isoformat(),
        "jobs": [_job(job, missing) for job in data.jobs],
        "ledger": [_entry(entry) for entry in data.entries],
        **facts_document(data.facts),
        "left_out": [_left_out(file, missing[file.name]) for file in files_of(data) if file.name in missing],
    }
    return json.dumps(content, ensure_ascii=False, indent=2).encode()


def _picture_name(job: Job, number: int) -> str:
    return f"pictures/{job.job_id}-{number}{_SUFFIXES.get(job.images[number - 1].content_type, '')}"


def _video_name(job: Job) -> str:
    return f"videos/{job.job_id}.mp4"


def _job(job: Job, missing: Mapping[str, str]) -> dict[str, Any]:
    """Return what concerns the person. Keys, tokens and signed addresses of an attempt are the operator's secrets."""
    request = job.request
    return {
        "job_id": job.job_id,
        "mode": request.mode.value,
        "deletion_asked": job.forgotten,
        "deleted": job.is_erased,
        "prompt": request.prompt or None,
        "negative_prompt": request.negative_prompt,
        "resolution": request.resolution.value,
        "ratio": request.ratio,
        "duration_s": request.duration_s,
        "seed": request.seed,
        "gateway": request.gateway,
        "gateway_named_by_you": request.pinned,
        "model": job.attempt.model if job.attempt else None,
        "private": request.private,
        "server_id": _id(job.guild_id),
        "channel_id": _id(job.channel_id),
        "state": job.state.value,
        "delivery": job.delivery.value,
        "ending": job.ending.value if job.ending else None,
        "refusal": job.refusal.value if job.refusal else None,
        "refused_picture": job.refused_picture,
        "created_at": time(job.created_at),
        "submitted_at": time(job.submitted_at),
        "finished_at": time(job.finished_at),
        "state_since": time(job.since_at),
        "price": amount(request.price_microusd),
        "charged": amount(job.charged_microusd),
        "refunded": amount(job.refunded_microusd),
        "pictures": [
            {
                "file": _present(_picture_name(job, number), missing),
                "width": image.width,
                "height": image.height,
                "bytes": image.bytes_count,
                "changed": image.note or None,
            }
            for number, image in enumerate(job.images, 1)
        ],
        "video": _video(job, missing),
        "card": _message(job.card),
        "pictures_message": _message(job.pictures_message),
        "video_message": _message(job.video_message),
    }


def _video(job: Job, missing: Mapping[str, str]) -> dict[str, Any] | None:
    video = job.video
    if video is None:
        return None
    return {
        "file": None if job.is_erased else _present(_video_name(job), missing),
        "duration_s": video.duration_s,
        "width": video.width,
        "height": video.height,
        "bytes": video.bytes_count,
    }


def _entry(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "job_id": entry.job_id,
        "kind": entry.kind.value,
        "amount": amount(entry.amount_microusd),
        "at": time(entry.at),
        "reason": entry.reason,
    }


def _left_out(file: KeptFile, why: str) -> dict[str, str | None]:
    where = None
    if why != GONE:
        where = show_command(file.job).strip("`") if file.is_video else "the job's card on Discord shows it"
    return {"file": file.name, "job_id": file.job.job_id, "why": why, "where": where}


def _present(name: str, missing: Mapping[str, str]) -> str | None:
    return None if name in missing else name


def _message(message: MessageRef | None) -> dict[str, str] | None:
    if message is None:
        return None
    return {"channel_id": str(message.channel_id), "message_id": str(message.message_id)}


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)
