"""What an emulator can be told to do wrong, next time it is asked."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class Refused(StrEnum):
    """Kinds of honest refusals; each emulator says them in its own envelope and status."""

    KEY = "key"
    CREDIT = "credit"
    BUSY = "busy"
    CONTENT = "content"
    MODEL = "model"
    REQUEST = "request"
    NOT_FOUND = "not_found"
    TYPE = "type"


class SubmitFault(StrEnum):
    """What happens to the next paid POST, beside an honest refusal."""

    DROP_UNREAD = "drop_unread"
    ACCEPT_THEN_DROP = "accept_then_drop"
    ACCEPT_THEN_HANG = "accept_then_hang"
    ACCEPT_THEN_500 = "accept_then_500"
    ACCEPT_THEN_HTML = "accept_then_html"
    ACCEPT_WITHOUT_ID = "accept_without_id"
    ACCEPT_BUT_SAY_REFUSED = "accept_but_say_refused"
    STALL_THEN_ACCEPT = "stall_then_accept"


class ReadFault(StrEnum):
    """What happens to the next status read."""

    SERVER_ERROR = "server_error"
    NOT_FOUND = "not_found"
    ENVELOPE_ERROR = "envelope_error"
    HTML = "html"
    UNKNOWN_STATUS = "unknown_status"
    NO_ADDRESS = "no_address"


class JobFault(StrEnum):
    """How the next accepted job goes wrong."""

    FAILS_CONTENT = "fails_content"
    FAILS_REFUNDED = "fails_refunded"
    NEVER_FINISHES = "never_finishes"


class MediaFault(StrEnum):
    """What happens to the next download of a video."""

    EXPIRED = "expired"
    TRUNCATED = "truncated"
    HTML = "html"
    EMPTY = "empty"
    REDIRECT = "redirect"
    STALLED = "stalled"


@dataclass
class Faults:
    """Queues of faults, each used once, oldest first: ``faults.submit.append(SubmitFault.ACCEPT_THEN_DROP)``."""

    submit: deque[SubmitFault | Refused] = field(default_factory=deque)
    read: deque[ReadFault] = field(default_factory=deque)
    job: deque[JobFault] = field(default_factory=deque)
    media: deque[MediaFault] = field(default_factory=deque)

    def next_submit(self) -> SubmitFault | Refused | None:
        return self.submit.popleft() if self.submit else None

    def next_read(self) -> ReadFault | None:
        return self.read.popleft() if self.read else None

    def next_job(self) -> JobFault | None:
        return self.job.popleft() if self.job else None

    def next_media(self) -> MediaFault | None:
        return self.media.popleft() if self.media else None
