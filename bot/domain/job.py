"""A job: its states, the moves between them, and what is kept about it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.errors import Refusal
from bot.domain.request import Image, Mode, VideoRequest


class JobState(StrEnum):
    """Where a job stands with its gateway and its money."""

    HELD = "held"
    SUBMITTING = "submitting"
    UNCONFIRMED = "unconfirmed"
    RUNNING = "running"
    FINISHED = "finished"
    STORED = "stored"
    CANCELLED = "cancelled"
    FAILED = "failed"
    LOST = "lost"


# Final for money: stored settles, the others release. Only the delivery moves on.
FINAL_STATES = frozenset({JobState.STORED, JobState.CANCELLED, JobState.FAILED, JobState.LOST})

MOVES: dict[JobState, frozenset[JobState]] = {
    # To unconfirmed only where the gateway has called back for the attempt that it had refused.
    JobState.HELD: frozenset({JobState.SUBMITTING, JobState.UNCONFIRMED, JobState.CANCELLED, JobState.FAILED}),
    JobState.SUBMITTING: frozenset({JobState.RUNNING, JobState.UNCONFIRMED, JobState.FAILED, JobState.HELD}),
    JobState.UNCONFIRMED: frozenset({JobState.RUNNING, JobState.LOST}),
    JobState.RUNNING: frozenset({JobState.FINISHED, JobState.FAILED, JobState.LOST}),
    JobState.FINISHED: frozenset({JobState.STORED, JobState.FAILED}),
    **dict.fromkeys(FINAL_STATES, frozenset()),
}


class Delivery(StrEnum):
    """Where the video stands with Discord."""

    NONE = "none"
    DUE = "due"
    POSTED = "posted"
    GIVEN_UP = "given_up"


class Ending(StrEnum):
    """Why a job failed, where it was not the gateway's refusal."""

    REFUSED = "refused"
    GATEWAY_FAILED = "gateway_failed"
    NO_VIDEO = "no_video"
    LINE_TOO_LONG = "line_too_long"
    PLACE_GONE = "place_gone"
    UPLOAD_IMPOSSIBLE = "upload_impossible"
    TASK_LIFE_OVER = "task_life_over"
    UNPRICED = "unpriced"
    TOO_MANY_FAILURES = "too_many_failures"
    RESTORED = "restored"
    BLOCKED = "blocked"
    RELEASED = "released"


# Failures that are neither the person's doing nor possibly billed do not count towards the day's uncharged failures.
UNCOUNTED_ENDINGS = frozenset(
    {
        Ending.LINE_TOO_LONG,
        Ending.PLACE_GONE,
        Ending.UPLOAD_IMPOSSIBLE,
        Ending.UNPRICED,
        Ending.TASK_LIFE_OVER,
        Ending.TOO_MANY_FAILURES,
        Ending.RESTORED,
        Ending.BLOCKED,
        Ending.RELEASED,
    }
)


class BilledSource(StrEnum):
    """Where the figure of what a gateway billed comes from."""

    REPORTED = "reported"
    PRICE = "price"
    REFUNDED = "refunded"


class CardFace(StrEnum):
    """What a job's card shows; derived from the job, stored only to know what was shown last."""

    HELD = "held"
    RENDERING = "rendering"
    SLOW = "slow"
    POSTING = "posting"
    UNCONFIRMED = "unconfirmed"
    DELIVERED = "delivered"
    KEPT = "kept"
    CANCELLED = "cancelled"
    FAILED = "failed"
    LOST = "lost"


_FACE_OF_DELIVERY = {
    Delivery.DUE: CardFace.POSTING,
    Delivery.POSTED: CardFace.DELIVERED,
    Delivery.GIVEN_UP: CardFace.KEPT,
}

# The other states have a face of the same name.
_FACE_OF_STATE = {
    JobState.SUBMITTING: CardFace.RENDERING,
    JobState.RUNNING: CardFace.RENDERING,
    JobState.FINISHED: CardFace.POSTING,
    JobState.STORED: CardFace.POSTING,
}


@dataclass(frozen=True, slots=True)
class MessageRef:
    """A message of ours on Discord."""

    channel_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission of a job to one gateway, written down before the POST leaves.

    `body` is the exact bytes sent. `number` counts from 1 within the job. `price_microusd` is what this gateway asks,
    at most the job's hold. `gateway_job_id` is None until accepted. `hinted_at` is when a callback came last, and
    `hinted_gateway_job_id` the id it named.
    """

    job_id: str
    number: int
    gateway: str
    model: str
    body: bytes
    idempotency_key: str
    callback_token: str
    submitted_at: datetime
    price_microusd: int
    gateway_job_id: str | None = None
    billed_microusd: int | None = None
    billed_source: BilledSource | None = None
    hinted_at: datetime | None = None
    hinted_gateway_job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Video:
    """A finished video in the library."""

    name: str
    bytes_count: int
    duration_s: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Job:
    """One paid piece of work. Times are aware UTC.

    `next_at`: when the runner must look at the job again, None when never. `since_at`: when the state was entered.
    `attempt` is the newest one. `charged_microusd` is what was settled less `refunded_microusd`, None before the end.
    `delivery_count` counts tries to post since the video was stored. `card_face` is what the card showed last.
    `not_before`: a held job is not submitted earlier. `forgotten`: the person asked for its content to be deleted;
    it is when the job has ended. `gateways`: where the guild's rules let it go, None anywhere.
    """

    job_id: str
    user_id: int
    guild_id: int | None
    channel_id: int
    request: VideoRequest
    images: tuple[Image, ...]
    state: JobState
    created_at: datetime
    since_at: datetime
    next_at: datetime | None
    attempt: Attempt | None = None
    attempt_count: int = 0
    submitted_at: datetime | None = None
    finished_at: datetime | None = None
    ending: Ending | None = None
    refusal: Refusal | None = None
    refused_picture: int | None = None
    charged_microusd: int | None = None
    refunded_microusd: int = 0
    video_address: str | None = None
    video_until: datetime | None = None
    video: Video | None = None
    delivery: Delivery = Delivery.NONE
    delivery_count: int = 0
    delivery_since: datetime | None = None
    card: MessageRef | None = None
    card_face: CardFace | None = None
    card_count: int = 0
    pictures_message: MessageRef | None = None
    video_message: MessageRef | None = None
    slow: bool = False
    not_before: datetime | None = None
    forgotten: bool = False
    gateways: frozenset[str] | None = None

    @property
    def is_erased(self) -> bool:
        """Say whether its content is deleted: what is left belongs to the books alone."""
        return not self.request.prompt

    @property
    def face(self) -> CardFace:
        """What the card should show now."""
        if self.delivery is not Delivery.NONE:
            return _FACE_OF_DELIVERY[self.delivery]
        if self.slow and self.state in {JobState.SUBMITTING, JobState.RUNNING}:
            return CardFace.SLOW
        return _FACE_OF_STATE.get(self.state) or CardFace(self.state.value)


@dataclass(frozen=True, slots=True)
class JobBook:
    """One job in both books: what its person's ledger says, and what its gateways billed."""

    job_id: str
    gateway: str
    mode: Mode
    state: JobState
    held_microusd: int
    settled_microusd: int
    released_microusd: int
    refunded_microusd: int
    billed_microusd: int


class LedgerKind(StrEnum):
    """The entries of the ledger."""

    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger."""

    job_id: str
    kind: LedgerKind
    amount_microusd: int
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LineEntry:
    """A held job as the choice of the next submission sees it.

    `ready`: its card is posted and its `not_before` has passed, it may be submitted now. `pinned`: the person named the
    gateway. `user_jobs_max`, `guild_jobs_max`: the guild's own caps in flight, None for none.
    """

    job_id: str
    user_id: int
    guild_id: int | None
    gateway: str
    created_at: datetime
    ready: bool = True
    pinned: bool = False
    user_jobs_max: int | None = None
    guild_jobs_max: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """How many jobs are in flight, by person, guild and gateway; unconfirmed and overdue jobs are not counted."""

    by_user: Counter[int]
    by_guild: Counter[int]
    by_gateway: Counter[str]

    def joined_by(self, entries: list[LineEntry]) -> "Running":
        """Return the counts with these jobs as if they were in flight already."""
        joined = Running(Counter(self.by_user), Counter(self.by_guild), Counter(self.by_gateway))
        for entry in entries:
            joined.add(entry)
        return joined

    def add(self, entry: LineEntry) -> None:
        self.by_user[entry.user_id] += 1
        self.by_gateway[entry.gateway] += 1
        if entry.guild_id is not None:
            self.by_guild[entry.guild_id] += 1
