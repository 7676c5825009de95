"""Every error Gallop raises on purpose, cut by who can do something about it.

VideoBotError
  RequestRejected         the person can change something; has a reply
  GatewayError            a gateway did not do what was asked
    SubmissionRefused       certainly nothing started
    SubmissionUnconfirmed   something may have started
    GatewayUnavailable      a free read or a download failed; says nothing about the job
  UploadFailed            the pictures have no address; nothing was submitted
  DeliveryFailed          Discord did not take a message
  StoreFailed             the database could not do the operation; nothing of it was kept
StartFailed               one sentence for the operator, and an exit code
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.quota import Standing
from bot.domain.request import Mode


class VideoBotError(Exception):
    """Everything raised on purpose."""


class RequestRejected(VideoBotError):
    """The person can change something. Nothing was held, unless the subclass says otherwise."""


class PromptProblem(StrEnum):
    """Why a prompt cannot be used."""

    BLANK = "blank"
    TOO_LONG = "too_long"
    UNKNOWN_PICTURE = "unknown_picture"


@dataclass(eq=False)
class PromptRejected(RequestRejected):
    """The prompt is blank, too long (`measured` of `limit`), or names picture `measured` of `limit` attached ones."""

    problem: PromptProblem
    measured: int = 0
    limit: int = 0


class PictureProblem(StrEnum):
    """Why a picture cannot be used or repaired."""

    NOT_A_PICTURE = "not_a_picture"
    EMPTY = "empty"
    DAMAGED = "damaged"
    TOO_SMALL = "too_small"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


@dataclass(eq=False)
class PictureRejected(RequestRejected):
    """Picture `position` (from 1) breaks a rule.

    TOO_SMALL: `width` x `height` against `limit` pixels on the short side. TOO_MANY_PIXELS: `measured` against `limit`
    pixels. TOO_LARGE: `measured` against `limit` bytes. UNREADABLE: Discord did not hand the file over.
    """

    position: int
    problem: PictureProblem
    mode: Mode
    width: int = 0
    height: int = 0
    measured: int = 0
    limit: int = 0


@dataclass(eq=False)
class PictureCountRejected(RequestRejected):
    """`count` pictures were attached; the mode takes `count_min` to `count_max`."""

    mode: Mode
    count: int
    count_min: int
    count_max: int


@dataclass(eq=False)
class PictureGapRejected(RequestRejected):
    """Picture option `missing` is empty, though a later one is filled: nobody could say which picture is the second."""

    missing: int


@dataclass(eq=False)
class OptionRejected(RequestRejected):
    """`gateway_title` cannot do the given value of `option`; `allowed` says what it can (empty: nothing of the kind).

    `gateway_title` is empty when no gateway at all could do it, or when the guild's rules forbid it (`by_rule`).
    """

    option: str
    value: str
    gateway_title: str = ""
    allowed: tuple[str, ...] = ()
    by_rule: bool = False


class Unavailable(StrEnum):
    """Why a gateway may not be used for a request."""

    NO_SUCH_GATEWAY = "no_such_gateway"
    NO_KEY = "no_key"
    NO_PRICE = "no_price"
    GUILD_NOT_SERVED = "guild_not_served"
    NEEDS_PICTURES = "needs_pictures"
    MODE = "mode"
    OUT = "out"
    RULE = "rule"


@dataclass(eq=False)
class GatewayRejected(RequestRejected):
    """The named gateway cannot be used here; `allowed` lists the names that could be typed instead."""

    gateway_title: str
    why: Unavailable
    mode: Mode
    allowed: tuple[str, ...] = ()


@dataclass(eq=False)
class PlaceRejected(RequestRejected):
    """The bot lacks the `missing` permissions where the command was given."""

    missing: tuple[str, ...]


class DirectMessagesClosed(RequestRejected):
    """A private job needs the requester's direct messages, and Discord refused one."""


@dataclass(eq=False)
class QuotaExceeded(RequestRejected):
    """`needed_microusd` is over what the limit of `standing` has left; it frees up at its `window_ends_at`."""

    needed_microusd: int
    standing: Standing


@dataclass(eq=False)
class TooManyFailures(RequestRejected):
    """The person's uncharged failures of the day reached `limit`."""

    limit: int
    window_ends_at: datetime


@dataclass(eq=False)
class TooManyPreviews(RequestRejected):
    """The person's animatic jobs of the day reached `limit`."""

    limit: int
    window_ends_at: datetime


@dataclass(eq=False)
class Paused(RequestRejected):
    """The operator, or `by_guild` the guild's managers, have paused spending."""

    by_guild: bool = False


@dataclass(eq=False)
class Blocked(RequestRejected):
    """The guild's managers blocked this person, until then or (None) until they unblock."""

    until: datetime | None


class WordRejected(RequestRejected):
    """The prompt holds what the guild's blocklist forbids. Which word it was, is for its managers alone."""


@dataclass(eq=False)
class ChannelRejected(RequestRejected):
    """The guild's managers allow videos in other channels alone."""

    allowed: tuple[int, ...]


@dataclass(eq=False)
class RoleRejected(RequestRejected):
    """The guild's managers allow videos to members with one of these roles alone."""

    allowed: tuple[int, ...]


class AmountProblem(StrEnum):
    """Why a text is no amount of money."""

    COMMA = "comma"
    NOT_A_NUMBER = "not_a_number"
    NEGATIVE = "negative"
    ZERO = "zero"
    TOO_FINE = "too_fine"
    TOO_LARGE = "too_large"


@dataclass(eq=False)
class AmountRejected(RequestRejected):
    """What was typed is no amount that can be used."""

    text: str
    problem: AmountProblem


class ChangeProblem(StrEnum):
    """Why managers cannot do something."""

    NO_GUILD = "no_guild"
    NO_JOB = "no_job"
    NOT_IN_LINE = "not_in_line"
    NOT_CHARGED = "not_charged"
    REFUNDED_ALREADY = "refunded_already"
    MORE_THAN_CHARGED = "more_than_charged"
    NO_VIDEO = "no_video"
    NO_RULE = "no_rule"
    NOTHING_SAID = "nothing_said"
    NO_SUCH_TIME_ZONE = "no_such_time_zone"
    NO_SUCH_GRANT = "no_such_grant"
    NOT_BLOCKED = "not_blocked"
    NO_SUCH_WORD = "no_such_word"
    WORD_THERE_ALREADY = "word_there_already"
    BAD_PATTERN = "bad_pattern"
    PATTERN_FITS_ALL = "pattern_fits_all"
    TOO_MANY_WORDS = "too_many_words"
    BAD_TIME = "bad_time"
    BAD_VALUE = "bad_value"
    TWO_SUBJECTS = "two_subjects"
    CARD_TOO_OLD = "card_too_old"
    NOT_HERE = "not_here"


@dataclass(eq=False)
class ChangeRejected(RequestRejected):
    """Nothing was changed. `detail` is what was typed, or what counts; `option` can only have what is `allowed`."""

    problem: ChangeProblem
    detail: str = ""
    option: str = ""
    allowed: tuple[str, ...] = ()


class QuoteGone(RequestRejected):
    """The quote has expired, or is somebody else's; nothing was held."""


class NoSuchChoice(RequestRejected):
    """The quote never had that choice; it may still be pressed. Nothing was held."""


class QuotePressed(RequestRejected):
    """The quote was pressed before: its job is under way, or about to be. Nothing more was held."""


@dataclass(eq=False)
class QuoteChanged(RequestRejected):
    """The price is not what was quoted any more; nothing was held."""

    quoted_microusd: int
    price_microusd: int


class NotAnOperator(RequestRejected):
    """Only operators may do this."""


class NotYourJob(RequestRejected):
    """There is no such job, or it is somebody else's: the same answer for both."""


@dataclass(eq=False)
class TooLateToCancel(RequestRejected):
    """The job left the line: `gateway_title` has it, or may have it (not `confirmed`), or it has `ended`."""

    gateway_title: str
    ended: bool
    confirmed: bool = True


class Refusal(StrEnum):
    """What a gateway's refusal, or a job's failure, was about. Our words; a gateway's own text is never shown."""

    CONTENT = "content"
    REQUEST = "request"
    PICTURE = "picture"
    FACE = "face"
    KEY = "key"
    CREDIT = "credit"
    BUSY = "busy"
    MODEL = "model"
    CONNECTION = "connection"
    OTHER = "other"

    @property
    def about_gateway(self) -> bool:
        """Say whether the gateway, not the request, was the reason (another gateway might do it)."""
        return self in {Refusal.KEY, Refusal.CREDIT, Refusal.BUSY, Refusal.MODEL, Refusal.CONNECTION}


@dataclass(eq=False)
class GatewayError(VideoBotError):
    """A gateway did not do what was asked. `detail` is ours (a status, an exception's class), safe to log."""

    gateway: str
    detail: str


@dataclass(eq=False)
class SubmissionRefused(GatewayError):
    """Certainly nothing was started.

    `retry_after_s` is the gateway's wish after a 429 or 503, else None. `picture` is the refused picture's position
    from 1, where the gateway names one.
    """

    reason: Refusal = Refusal.OTHER
    retry_after_s: float | None = None
    picture: int | None = None


@dataclass(eq=False)
class SubmissionUnconfirmed(GatewayError):
    """Something may have been started: the hold stays, nothing is sent again but a replay where the gateway has one.

    `retry_after_s` is the gateway's wish while it still works on the first POST. `mismatch`: it keeps other bytes under
    the idempotency key, so that no replay can bring an answer.
    """

    retry_after_s: float | None = None
    mismatch: bool = False


@dataclass(eq=False)
class GatewayUnavailable(GatewayError):
    """A free read or a download failed. Says nothing about the job. `reason` tells a refused key from a dead line."""

    reason: Refusal = Refusal.OTHER


@dataclass(eq=False)
class VideoUnusable(GatewayError):
    """What the gateway handed out is not a playable video; the address may be read again."""


class UploadFailed(VideoBotError):
    """The pictures could not be given addresses; nothing was submitted."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class DeliveryFailed(VideoBotError):
    """Discord did not take a message. `permanent`: every place said a definite no; else it may or may not be there."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class StoreFailed(VideoBotError):
    """The database could not do the operation; nothing of it was kept."""


@dataclass(eq=False)
class StartFailed(Exception):
    """The program cannot start or go on; `sentence` is for the operator."""

    sentence: str
    exit_code: int = field(default=2)

    def __str__(self) -> str:
        return self.sentence


class InvariantBroken(RuntimeError):
    """A bug. Not a VideoBotError, so that no handler for those hides it."""
