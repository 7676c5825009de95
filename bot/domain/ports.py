"""The contracts between the domain and the world: clock, gateways, library, pictures, Discord and figures.

Ports carry the whole contract; adapters repeat none of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bot.domain.errors import Refusal
from bot.domain.guild import BlockedWord
from bot.domain.job import (
    Attempt,
    Job,
    MessageRef,
    Video,
)
from bot.domain.pricing import Capabilities
from bot.domain.request import Attachment, Image, Mode, PictureRules, VideoRequest


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
    """One place that makes videos. Adding one is one module and one line in bot/parts.py."""

    @property
    def capabilities(self) -> Capabilities: ...

    def body(self, submission: Submission) -> bytes:
        """Return the exact bytes of the paid POST. The same submission gives the same bytes."""

    async def submit(self, attempt: Attempt) -> Accepted:
        """Send the attempt's stored bytes, at most once per call, on a fresh connection, without any retry.

        Where the gateway's idempotency is REPLAY, the same attempt sent again brings the first one's answer.

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

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        """Say whether a callback's signature holds; True where the gateway does not sign or no key is set."""

    def callback_job_id(self, body: bytes) -> str | None:
        """Return the gateway job id that a callback's body names, None where it names none. Never raises."""

    async def aclose(self) -> None: ...


class Callbacks(Protocol):
    """Where gateways may report. A callback is a hint: whatever it says, the job is then read."""

    def address(self, *, gateway: str, job_id: str, token: str) -> str | None:
        """Return the address for one attempt, None where the internet does not reach this bot."""


class Patterns(Protocol):
    """Looks for what a guild's blocklist forbids, in time that grows only linearly with the text.

    A full blocklist may take a second, so that texts are looked through in a thread, not on the event loop.
    """

    def is_valid(self, pattern: str) -> bool:
        """Say whether a pattern can be run in linear time."""

    def found(self, words: Sequence[BlockedWord], text: str) -> BlockedWord | None:
        """Return the first word or pattern that the text holds, None where it holds none."""

    def every_found(self, words: Sequence[BlockedWord], text: str) -> list[BlockedWord]:
        """Return all that the text holds."""


class Measures(Protocol):
    """Figures that operators watch over time."""

    def video_stored(self, gateway: str, *, seconds: float) -> None:
        """A video is in the library, so long after the command."""

    def video_posted(self, *, seconds: float) -> None:
        """A video is in its channel, so long after it was stored."""


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

    async def discard(self, names: Sequence[str]) -> None:
        """Delete these files; one that is not there is no error."""

    async def purge(self, *, before: datetime, keep: frozenset[str]) -> int:
        """Delete every file last written before then, except the names in `keep`; return how many there were."""

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
        """Say whether the job's place still exists and the bot may post there; what cannot be known now is yes."""


class Hosting(Protocol):
    """Gives a job's pictures addresses a gateway can fetch."""

    async def addresses(self, job: Job) -> tuple[str, ...]:
        """Return fresh addresses in order.

        Raises:
            UploadFailed: permanent where it cannot work later either.
        """
