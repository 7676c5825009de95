"""The contract of the database: one method is one operation, atomic and durable.

The port carries the whole contract; the adapter repeats none of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.errors import Refusal
from bot.domain.job import (
    Attempt,
    BilledSource,
    CardFace,
    Delivery,
    Ending,
    Job,
    JobBook,
    JobState,
    LedgerEntry,
    LineEntry,
    MessageRef,
    Running,
    Video,
)
from bot.domain.quota import Limits, Spender, Standing
from bot.domain.request import Image, Mode, Resolution, VideoRequest


@dataclass(frozen=True, slots=True)
class Opening:
    """A job to be opened: everything the one atomic step needs.

    `parent_id` is the channel of a thread, and what rules know it by. `failures_max` and `free_jobs_max` count over the
    person's UTC day; None does not count.
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
    parent_id: int | None = None
    role_ids: frozenset[int] = frozenset()

    @property
    def spender(self) -> Spender:
        return Spender(self.user_id, self.guild_id, self.parent_id or self.channel_id, self.role_ids)


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


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What deleting a person's content did: jobs cancelled in line, jobs erased, jobs that must end first.

    `settings`: what the person had set for themselves is deleted.
    """

    cancelled: int
    erased: int
    later: int
    settings: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Figures of the whole database: jobs by state and gateway, jobs by delivery, and what is in open holds."""

    jobs: Mapping[tuple[JobState, str], int]
    deliveries: Mapping[Delivery, int]
    holds: int
    on_hold_microusd: int


@dataclass(frozen=True, slots=True)
class Holds:
    """A person's open holds over the whole bot."""

    count: int
    microusd: int


class Store(Protocol):
    """The database. Each method is one operation: atomic, and durable before it returns.

    A method that moves a job says with True that it did, with False that somebody else was first (nothing was changed).
    Every method may raise StoreFailed: nothing of it was kept.
    """

    async def open_job(self, opening: Opening) -> Job:
        """Check every limit and insert job, pictures and hold. The same interaction twice returns the first job.

        What grants must pay is taken from the ones that expire soonest, and written on the hold. The caps in flight and
        the gateways that rules allow now count for this job to its end.

        Raises:
            QuotaExceeded, TooManyFailures, TooManyPreviews, Paused, Blocked, GatewayRejected: nothing was kept.
        """

    async def job(self, job_id: str) -> Job | None: ...

    async def jobs_of(self, user_id: int, *, limit: int) -> list[Job]:
        """Return the person's newest jobs, newest first, without those that are deleted or only wait for it."""

    async def every_job_of(self, user_id: int) -> list[Job]:
        """Return all that is kept of a person's jobs, also of erased ones, newest first."""

    async def due(self, now: datetime, *, held: bool, limit: int) -> list[Job]:
        """Return jobs whose `next_at` has come, oldest first: the held ones, or all others that are not running."""

    async def due_reads(self, now: datetime, *, gateway: str, limit: int) -> list[Job]:
        """Return that gateway's running jobs whose `next_at` has come, oldest first."""

    async def next_due_at(self, *, after: datetime) -> datetime | None:
        """Return the earliest `next_at` later than `after`, of all jobs."""

    async def line(self, now: datetime) -> list[LineEntry]:
        """Return every held job, oldest first."""

    async def running(self, *, overdue_before: datetime) -> Running:
        """Count submitting jobs, and running ones submitted after `overdue_before`."""

    async def watched(self) -> dict[str, int]:
        """Count running jobs by gateway."""

    async def recover(self, now: datetime) -> int:
        """Move every submitting job to unconfirmed, make every unfinished or undelivered job due; count the moved."""

    async def bring_forward(self, now: datetime) -> None:
        """Make every unfinished or undelivered job due: the clock was set back, and their times lie too far ahead.

        What a held job's `not_before` lets it wait stays as long as it was.
        """

    async def cancel(self, job_id: str, *, user_id: int, now: datetime) -> bool:
        """held -> cancelled, releasing the hold, if the job is that person's."""

    async def begin_attempt(self, attempt: Attempt, *, next_at: datetime) -> bool:
        """held -> submitting, with the attempt written. False also when spending is paused or the person blocked."""

    async def accept(
        self, job_id: str, *, number: int, gateway_job_id: str, billing: Billing, now: datetime, next_at: datetime
    ) -> bool:
        """submitting or unconfirmed -> running; due at once where a callback came before.

        False also when the gateway gave that job id to another job.
        """

    async def return_to_line(
        self, job_id: str, *, number: int, gateway: str, not_before: datetime | None, now: datetime
    ) -> bool:
        """submitting -> held after a certain refusal, next to be submitted to `gateway`; due at `not_before`, else now.

        The refused attempt is booked as costing nothing.
        """

    async def reroute(self, job_id: str, *, gateway: str, to: str) -> bool:
        """Give a held job of `gateway` to another one."""

    async def attempts(self, job_id: str) -> list[Attempt]:
        """Return every attempt of a job, oldest first."""

    async def hint(self, job_id: str, *, number: int, gateway_job_id: str | None, now: datetime) -> None:
        """Note a callback for an attempt, and the id it names while the attempt has none of its own.

        The job's newest attempt makes a job that waits for its gateway (unconfirmed, running, finished, or lost
        without a video) due: at once, or 2 s after the callback before. During submitting it is only noted. A job that
        waits in line after that attempt was refused goes held -> unconfirmed: the gateway has what it said it refused.
        """

    async def name_attempt(self, job_id: str, *, number: int, gateway_job_id: str) -> bool:
        """Write down the gateway job id of an attempt that has none; False where it is another job's."""

    async def unconfirmed(self) -> list[Job]:
        """Return every unconfirmed job, oldest first."""

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

    async def refund(self, job_id: str, *, amount_microusd: int, actor_id: int, reason: str, now: datetime) -> bool:
        """Give back a settled amount, at most the settle and once; False where there is no settle or a refund already.

        Raises:
            StoreFailed: also where the amount is more than the settle.
        """

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

    async def standings(self, spender: Spender, *, limits: Limits, now: datetime) -> tuple[Standing, ...]:
        """Return where a person stands against every limit there is for them, in the order of LimitKind.

        The operator's ceilings are always there, the others where somebody set them.
        """

    async def failures_today(self, *, user_id: int, now: datetime) -> int:
        """Count the person's uncharged failures of the UTC day, as open_job does."""

    async def previews_today(self, *, user_id: int, now: datetime) -> int:
        """Count the person's free jobs of the UTC day, as open_job does."""

    async def opened_by(self, interaction_id: int) -> Job | None:
        """Return the job that a command opened."""

    async def usual_times_s(self, *, gateway: str, mode: Mode, resolution: Resolution, duration_s: int) -> list[float]:
        """Return how long the newest (at most 50) finished jobs of that kind took from submission on, sorted."""

    async def files_in_use(self) -> frozenset[str]:
        """Return the library's names of unfinished jobs' pictures and of videos that are not delivered yet."""

    async def books(self) -> list[JobBook]:
        """Return every job's money, oldest first."""

    async def entries_of(self, user_id: int) -> list[LedgerEntry]:
        """Return a person's ledger, oldest first."""

    async def holds_of(self, user_id: int) -> Holds: ...

    async def loss_microusd(self, *, month: str) -> int:
        """Return what gateways billed for that month's resolved jobs, less what people paid for them.

        A month is that of the hold, as ``2026-11``.
        """

    async def counts(self) -> Counts:
        """Return the figures that operators watch."""

    async def given_up(self, *, since: datetime) -> list[Job]:
        """Return jobs whose delivery was given up and whose video was stored at `since` or later, oldest first."""

    async def forget(self, user_id: int, *, now: datetime) -> Forgotten:
        """Delete a person's content: held jobs are cancelled, ended ones erased, the others erased by `erase` later.

        What they set for themselves is deleted, too.

        Erased: prompts, pictures, videos, addresses, what was sent to the gateway. States, amounts and ids stay. An
        erased job is in no history.
        """

    async def erase(self, *, before: datetime, guilds: Mapping[int, datetime] | None = None) -> int:
        """Erase ended and told jobs that are forgotten, or that ended before that moment; return how many.

        `guilds` gives a later moment for the jobs of guilds whose own retention is shorter.
        """

    async def compact(self) -> None:
        """Write the database anew, so that no scrap of erased content is left in it; other writes wait for seconds."""

    async def unwanted_files(self) -> list[str]:
        """Return names of the library that belonged to erased jobs and are not yet deleted."""

    async def files_deleted(self, names: list[str]) -> None:
        """Take those names off the list."""

    async def told(self) -> frozenset[str]:
        """Return the keys of the notices that operators were told."""

    async def note_told(self, key: str, *, now: datetime) -> None: ...

    async def forget_told(self, key: str) -> None:
        """Let that notice be told again when its reason comes back."""

    async def paused(self) -> bool: ...

    async def set_paused(self, paused: bool) -> None: ...

    async def note(self, key: str) -> str | None:
        """Return a small remembered fact, such as the hash of the synced commands."""

    async def set_note(self, key: str, value: str) -> None: ...
