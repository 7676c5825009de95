"""What a guild's managers decided for their guild, what they did, and what a person decided for themselves."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Final

from bot.domain.job import CardFace, Delivery, Job, JobState, MessageRef
from bot.domain.request import DURATION_DEFAULT_S, GATEWAY_AUTO, Mode, Resolution
from bot.domain.windows import TimeZone

REASON_MAX = 200
# What fits into a column of the database, as every id of Discord does.
ID_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an option is where a person gives none. `ratio` None leaves it to the mode."""

    resolution: Resolution = Resolution.P720
    duration_s: int = DURATION_DEFAULT_S
    ratio: str | None = None
    gateway: str = GATEWAY_AUTO


@dataclass(frozen=True, slots=True)
class GuildSettings:
    """A guild's settings. Empty `channel_ids` or `role_ids`: every channel, everybody.

    `confirm_above_microusd`: dearer videos are confirmed first; None never asks. `retention_days`: None is the
    operator's; a longer one than that has no effect. `audit_channel_id`: where acts are told, None nowhere.
    """

    guild_id: int
    time_zone: TimeZone = field(default_factory=TimeZone)
    confirm_above_microusd: int | None = None
    paused: bool = False
    channel_ids: frozenset[int] = frozenset()
    role_ids: frozenset[int] = frozenset()
    defaults: Defaults = field(default_factory=Defaults)
    retention_days: int | None = None
    audit_channel_id: int | None = None


class GuildField(StrEnum):
    """The settings that are changed one at a time, so that two managers at once lose nothing."""

    TIME_ZONE = "time_zone"
    CONFIRM_ABOVE = "confirm_above_microusd"
    PAUSED = "paused"
    CHANNELS = "channel_ids"
    ROLES = "role_ids"
    RESOLUTION = "default_resolution"
    DURATION = "default_duration_s"
    RATIO = "default_ratio"
    GATEWAY = "default_gateway"
    RETENTION = "retention_days"
    AUDIT_CHANNEL = "audit_channel_id"


@dataclass(frozen=True, slots=True)
class PersonSettings:
    """What a person set for themselves, over the whole bot, in UTC windows; None is nothing set."""

    user_id: int
    confirm_above_microusd: int | None = None
    day_microusd: int | None = None
    week_microusd: int | None = None
    month_microusd: int | None = None


PERSON_FIELDS: Final = frozenset(field.name for field in fields(PersonSettings)) - {"user_id"}


@dataclass(frozen=True, slots=True)
class Grant:
    """Money beyond a person's limits in one guild. `used_microusd` is what holds took of it and did not return."""

    grant_id: int
    guild_id: int
    user_id: int
    amount_microusd: int
    used_microusd: int
    expires_at: datetime
    reason: str
    actor_id: int
    at: datetime

    def left_microusd(self, now: datetime) -> int:
        """Return what new holds may still take."""
        return self.amount_microusd - self.used_microusd if now < self.expires_at else 0


@dataclass(frozen=True, slots=True)
class Block:
    """Somebody may not ask for videos in a guild, until then or (None) until unblocked."""

    user_id: int
    until: datetime | None
    reason: str
    actor_id: int
    at: datetime


# Together they take a second at most for the longest prompt.
WORDS_MAX: Final = 200
PATTERNS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class BlockedWord:
    """A word (found as a whole word, whatever its case) or a pattern that no prompt may hold."""

    text: str
    is_pattern: bool
    actor_id: int
    at: datetime


class ActKind(StrEnum):
    """What managers and operators do."""

    RULE_SET = "rule_set"
    RULE_CLEARED = "rule_cleared"
    SETTING_CHANGED = "setting_changed"
    GRANTED = "granted"
    GRANT_ENDED = "grant_ended"
    BLOCKED = "blocked"
    UNBLOCKED = "unblocked"
    WORD_ADDED = "word_added"
    WORD_REMOVED = "word_removed"
    RELEASED = "released"
    REFUNDED = "refunded"
    DELIVERED_AGAIN = "delivered_again"


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something in which guild, and when. Whether an operator acts decides what a refund lowers."""

    guild_id: int
    actor_id: int
    at: datetime
    by_operator: bool = False


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act, as it is kept for ever. `before` and `after` are readable words; empty where there is nothing to say.

    `user_id` is whom it concerns, `job_id` the job, where there is one. `subject` names a rule, setting or word.
    """

    audit_id: int
    guild_id: int
    kind: ActKind
    actor_id: int
    at: datetime
    subject: str = ""
    before: str = ""
    after: str = ""
    user_id: int | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class GuildJob:
    """A job as managers see it: no prompt.

    `refunded_microusd` is part of `charged_microusd` no more. `is_kept`: it has a video that is not erased. The
    messages of private jobs are left out.
    """

    job_id: str
    user_id: int
    channel_id: int
    state: JobState
    created_at: datetime
    gateway: str
    price_microusd: int
    charged_microusd: int | None
    refunded_microusd: int
    private: bool
    is_kept: bool
    mode: Mode
    resolution: Resolution
    duration_s: int
    delivery: Delivery
    face: CardFace
    card: MessageRef | None
    video_message: MessageRef | None

    @classmethod
    def of(cls, job: Job) -> "GuildJob":
        request = job.request
        return cls(
            job_id=job.job_id,
            user_id=job.user_id,
            channel_id=job.channel_id,
            state=job.state,
            created_at=job.created_at,
            gateway=request.gateway,
            price_microusd=request.price_microusd,
            charged_microusd=job.charged_microusd,
            refunded_microusd=job.refunded_microusd,
            private=request.private,
            is_kept=job.video is not None and not job.is_erased,
            mode=request.mode,
            resolution=request.resolution,
            duration_s=request.duration_s,
            delivery=job.delivery,
            face=job.face,
            card=None if request.private else job.card,
            video_message=None if request.private else job.video_message,
        )
