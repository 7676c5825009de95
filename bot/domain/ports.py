"""The contracts between the domain and the world: clock, store, gateways, library, pictures and Discord.

Ports carry the whole contract; adapters repeat none of it.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bot.domain.errors import Refusal
from bot.domain.job import (
    Attempt,
    BilledSource,
    CardFace,
    Ending,
    Job,
    JobBook,
    JobState,
    LineEntry,
    MessageRef,
    Running,
    Video,
)
from bot.domain.pricing import Capabilities
from bot.domain.quota import Limits, Standing
from bot.domain.request import Attachment, Image, Mode, PictureRules, Resolution, VideoRequest


class Clock(Protocol):
    """Time. Tests turn it by hand."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""

    async def sleep(self, delay_s: float) -> None: ...

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait for the event at most `timeout_s`; say whether it is set."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a gateway is asked to make. `addresses` are the pictures' public addresses, in order (empty where the
    gateway fetches none; then `images` are read from the library)."""

    request: VideoRequest
    images: tuple[Image, ...]
    addresses: tuple[str, ...]
    callback_address: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway took the job. `billed_microusd` is what it says it billed, None where it does not say."""

    gateway_job_id: str
    billed_microusd: int | None = None


class Progress(StrEnum):
    """What a read says of a job. Only documented words become FINISHED or FAILED; everything unknown is RUNNING."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer to one status read. `video_address` may be None even when finished. `video_until` is when the address
    dies, None where the gateway does not say. `refunded`: the gateway says it gave the money back. `refused_picture`
    counts from 1."""

    progress: Progress
    video_address: str | None = None
    video_until: datetime | None = None
    billed_microusd: int | None = None
    refunded: bool = False
    refusal: Refusal = Refusal.OTHER
    refused_picture: int | None = None


class Gateway(Protocol):
    """One place that makes videos. Adding one is one module and one line in app.py."""

    @property
    def capabilities(self) -> Capabilities: ...

    def body(self, submission: Submission) -> bytes:
        """Return the exact bytes of the paid POST. The same submission gives the same bytes."""

    async def submit(self, attempt: Attempt) -> Accepted:
        """Send the attempt's stored bytes, at most once per call, on a fresh connection, without any retry.

        Raises:
            SubmissionRefused: certainly nothing was started.
            SubmissionUnconfirmed: a job may be running.
        """

    async def read(self, gateway_job_id: str) -> Reading:
        """Read a job's state; free.

        Raises:
            GatewayUnavailable: nothing is known; read again.
        """

    async def fetch(self, address: str, target: Path) -> None:
        """Write the video at `address` to `target`. An existing target is replaced.

        Raises:
            GatewayUnavailable: it could not be fetched now.
            VideoUnusable: what came is no video, too large, or the address is not allowed.
        """

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opening:
    """A job to be opened: everything the one atomic step needs.

    `failures_max` and `free_jobs_max` count over the person's UTC day; None does not count.
    """

    job_id: str
    interaction_id: int
    user_id: int
    guild_id: int | None
    channel_id: int
    request: VideoRequest
    images: tuple[Image, ...]
    limits: Limits
    failures_max: int
    free_jobs_max: int | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Billing:
    """What a gateway billed for an attempt, and where the figure comes from."""

    microusd: int
    source: BilledSource


@dataclass(frozen=True, slots=True)
class End:
    """Why a job ends in failed or lost. `billing` is the operator's book entry, None leaves it as it is."""

    ending: Ending
    refusal: Refusal | None = None
    refused_picture: int | None = None
    billing: Billing | None = None


class Store(Protocol):
    """The database. Each method is one operation: atomic, and durable before it returns.

    A method that moves a job says with True that it did, with False that somebody else was first (nothing was changed).
    Every method may raise StoreFailed: nothing of it was kept.
    """

    async def open_job(self, opening: Opening) -> Job:
        """Check every limit and insert job, pictures and hold. The same interaction twice returns the first job.

        Raises:
            QuotaExceeded, TooManyFailures, TooManyPreviews, Paused: nothing was kept.
        """

    async def job(self, job_id: str) -> Job | None: ...

    async def jobs_of(self, user_id: int, *, limit: int) -> list[Job]:
        """Return the person's newest jobs, newest first."""

    async def due(self, now: datetime, *, held: bool, limit: int) -> list[Job]:
        """Return jobs whose `next_at` has come, oldest first: the held ones, or all others that are not running."""

    async def due_reads(self, now: datetime, *, gateway: str, limit: int) -> list[Job]:
        """Return that gateway's running jobs whose `next_at` has come, oldest first."""

    async def next_due_at(self, *, after: datetime) -> datetime | None:
        """Return the earliest `next_at` later than `after`, of all jobs."""

    async def line(self) -> list[LineEntry]:
        """Return every held job, oldest first; it is ready when its card is posted."""

    async def running(self, *, overdue_before: datetime) -> Running:
        """Count submitting jobs, and running ones submitted after `overdue_before`."""

    async def watched(self) -> dict[str, int]:
        """Count running jobs by gateway."""

    async def recover(self, now: datetime) -> int:
        """Move every submitting job to unconfirmed, make every unfinished or undelivered job due; count the moved."""

    async def cancel(self, job_id: str, *, user_id: int, now: datetime) -> bool:
        """held -> cancelled, releasing the hold, if the job is that person's."""

    async def begin_attempt(self, attempt: Attempt, *, next_at: datetime) -> bool:
        """held -> submitting, with the attempt written. False also when spending is paused."""

    async def accept(
        self, job_id: str, *, number: int, gateway_job_id: str, billing: Billing, now: datetime, next_at: datetime
    ) -> bool:
        """submitting or unconfirmed -> running."""

    async def leave_unconfirmed(self, job_id: str, *, now: datetime, next_at: datetime) -> bool:
        """submitting -> unconfirmed."""

    async def finish(
        self, job_id: str, *, address: str | None, until: datetime | None, billing: Billing | None, now: datetime
    ) -> bool:
        """running -> finished; also renews the address of a finished job. The job is due at once."""

    async def store_video(self, job_id: str, *, video: Video, settle_microusd: int, now: datetime) -> bool:
        """finished -> stored with the settle (none for a free job); delivery becomes due at once."""

    async def store_late_video(self, job_id: str, *, video: Video, now: datetime) -> bool:
        """Give a lost job its video, free of charge; delivery becomes due at once."""

    async def end(self, job_id: str, *, states: tuple[JobState, ...], to: JobState, end: End, now: datetime) -> bool:
        """One of `states` -> failed or lost, releasing the hold. The card is due at once."""

    async def bill(self, job_id: str, *, number: int, billing: Billing) -> None:
        """Correct what the gateway billed for an attempt."""

    async def schedule(
        self, job_id: str, *, state: JobState, next_at: datetime | None, slow: bool | None = None
    ) -> None:
        """Set when the job is due, if it is still in that state; else whoever moved it has set the time."""

    async def card_posted(self, job_id: str, *, card: MessageRef, face: CardFace) -> None: ...

    async def card_shown(self, job_id: str, *, face: CardFace) -> None:
        """Note what the card shows."""

    async def card_failed(self, job_id: str) -> None:
        """Count a failed try to post the card or to show the end."""

    async def pictures_posted(self, job_id: str, *, message: MessageRef) -> None: ...

    async def delivered(self, job_id: str, *, message: MessageRef, now: datetime) -> bool:
        """due -> posted."""

    async def delivery_failed(self, job_id: str, *, next_at: datetime) -> None:
        """Count a failed try; the delivery stays due."""

    async def give_up_delivery(self, job_id: str, *, now: datetime) -> bool:
        """due -> given_up."""

    async def standings(
        self, *, user_id: int, guild_id: int | None, limits: Limits, now: datetime
    ) -> tuple[Standing, ...]:
        """Return where a person, their guild and the whole bot stand, in the order of LimitKind."""

    async def failures_today(self, *, user_id: int, now: datetime) -> int:
        """Count the person's uncharged failures of the UTC day, as open_job does."""

    async def usual_times_s(self, *, gateway: str, mode: Mode, resolution: Resolution, duration_s: int) -> list[float]:
        """Return how long the newest (at most 50) finished jobs of that kind took from submission on, sorted."""

    async def files_in_use(self) -> frozenset[str]:
        """Return the library's names of unfinished jobs' pictures and of videos that are not delivered yet."""

    async def books(self) -> list[JobBook]:
        """Return every job's money, oldest first."""

    async def paused(self) -> bool: ...

    async def set_paused(self, paused: bool) -> None: ...

    async def note(self, key: str) -> str | None:
        """Return a small remembered fact, such as the hash of the synced commands."""

    async def set_note(self, key: str, value: str) -> None: ...


class Pictures(Protocol):
    """Takes attachments in: fetched, checked, repaired, kept in the library."""

    async def take(
        self, attachments: tuple[Attachment, ...], *, rules: PictureRules, ratio: str | None, mode: Mode
    ) -> tuple[Image, ...]:
        """Return the checked pictures, in order.

        Raises:
            PictureRejected, StoreFailed: nothing was kept in the library.
        """

    async def discard(self, images: tuple[Image, ...]) -> None:
        """Forget pictures of a request that was refused after all."""


class Library(Protocol):
    """Files on disk: pictures taken in and videos bought."""

    def path(self, name: str) -> Path: ...

    def incoming(self, job_id: str) -> Path:
        """Return where a video is downloaded to before it is kept. One per job; a half file is overwritten."""

    async def keep_video(self, job_id: str) -> Video:
        """Probe the incoming file and keep it durably.

        Raises:
            VideoUnusable: it does not decode as a video.
        """

    async def free_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class CardView:
    """A job and what its card says beside it.

    `place_in_line` counts from 1. `remark` is one more sentence for the card, such as why a preview is made; empty for
    none.
    """

    job: Job
    gateway_title: str
    model_title: str
    free: bool = False
    place_in_line: int | None = None
    usually_done_at: datetime | None = None
    remark: str = ""


class Messenger(Protocol):
    """Everything that is posted outside a command, by the bot token.

    Posting twice with `look_first` finds the first message instead of making a second one.
    """

    async def knock(self, *, user_id: int, prompt: str, key: str) -> MessageRef:
        """Tell a person by direct message that a private job begins. `key` makes a repeat the same message.

        Raises:
            DirectMessagesClosed: Discord refused it.
        """

    async def unknock(self, message: MessageRef) -> None:
        """Take that message back; a failure is only logged."""

    async def post_card(self, view: CardView, *, look_first: bool) -> MessageRef:
        """Post the job's card with its pictures.

        Raises:
            DeliveryFailed: permanent where the place is gone or forbidden.
        """

    async def find_card(self, view: CardView) -> MessageRef | None:
        """Return the job's card if it is there, though nobody wrote that down.

        Raises:
            DeliveryFailed: not permanent where that cannot be known now.
        """

    async def edit_card(self, view: CardView) -> None:
        """Show the job's present face on its card.

        Raises:
            DeliveryFailed: permanent where the card or its place is gone.
        """

    async def explain(self, view: CardView, *, look_first: bool) -> MessageRef:
        """Say how the job ended in a message of its own: where the card is gone or too old to edit.

        Raises:
            DeliveryFailed: as for post_video.
        """

    async def post_video(self, view: CardView, *, look_first: bool) -> MessageRef:
        """Post the video: in the place of the command, else its parent channel, else the requester's direct messages.

        Raises:
            DeliveryFailed: permanent where every place said a definite no.
        """

    async def may_deliver(self, job: Job) -> bool:
        """Say whether the job's place still exists and the bot may post there, as far as is known without asking."""


class Hosting(Protocol):
    """Gives a job's pictures addresses a gateway can fetch."""

    async def addresses(self, job: Job) -> tuple[str, ...]:
        """Return fresh addresses in order.

        Raises:
            UploadFailed: permanent where it cannot work later either.
        """
